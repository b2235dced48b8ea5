package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLicences: everybody who is logged in reads what this is made of, and its terms, and nothing beside them.
func TestLicences(t *testing.T) {
	d := newDevice(t)
	share := t.TempDir()
	d.options.Share = share
	for name, text := range map[string]string{
		"porthole/licences.json": `[{"name":"github.com/x/y","version":"v1.2.3","licence":"MIT","files":["go/x y/LICENSE","../../../etc/passwd","/usr/share/licenses/linux/COPYING"]},
			{"name":"<script>alert(1)</script>","version":"1","licence":"BSD-3-Clause","files":null}]`,
		"porthole/sbom.cdx.json":  `{"bomFormat":"CycloneDX"}`,
		"licenses/go/x y/LICENSE": "Permission is hereby granted <b>",
		"licenses/linux/COPYING":  "GPL-2.0",
		"secret":                  "not a licence",
	} {
		file := filepath.Join(share, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(share, "licenses", "link")); err != nil {
		t.Fatal(err)
	}
	d.start()
	b := d.claimed()
	page := b.get("/licences")
	checkPage(t, "licences", page)
	for _, want := range []string{"github.com/x/y", "v1.2.3", "MIT", `href="/licences/text/go/x%20y/LICENSE"`, `href="/licences/text/linux/COPYING"`, "/licences/sbom.cdx.json", "&lt;script&gt;"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page.body, "passwd") {
		t.Error("the page links to what lies elsewhere")
	}
	a := b.get("/licences/text/go/x%20y/LICENSE")
	if a.status != http.StatusOK || a.body != "Permission is hereby granted <b>" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("a text: %d %q %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	for _, path := range []string{"/licences/text/", "/licences/text/link", "/licences/text/..%2fsecret", "/licences/text/%2e%2e/secret", "/licences/text/go", "/licences/text/none", "/licences/text/%2fetc%2fpasswd"} {
		if a := b.get(path); a.status == http.StatusOK || strings.Contains(a.body, "not a licence") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := b.get("/licences/sbom.cdx.json"); a.status != http.StatusOK || !strings.Contains(a.body, "CycloneDX") || !strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the list for programs: %d %v", a.status, a.header)
	}
	if a := d.browser().get("/licences"); a.status != http.StatusSeeOther {
		t.Errorf("a stranger: %d", a.status)
	}
}

// TestNoLicencesHere: a developer's machine has no list, and the page says so.
func TestNoLicencesHere(t *testing.T) {
	d := newDevice(t)
	d.options.Share = t.TempDir()
	d.start()
	b := d.claimed()
	if a := b.get("/licences"); a.status != http.StatusOK || !strings.Contains(a.body, "comes with the image") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if a := b.get("/licences/sbom.cdx.json"); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
}
