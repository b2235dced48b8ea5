package main_test

import (
	"bytes"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// importFile sends a file with the form of the transfer page.
func (b *browser) importFile(name string, content []byte, replace bool) answer {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if replace {
		if err := form.WriteField("replace", "1"); err != nil {
			b.t.Fatal(err)
		}
	}
	if name != "" {
		part, err := form.CreateFormFile("file", name)
		if err == nil {
			_, err = part.Write(content)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		b.t.Fatal(err)
	}
	return b.raw(http.MethodPost, "/settings/transfer/import", form.FormDataContentType(), &body)
}

// imported waits until an import is over and returns what the page says of it.
func (b *browser) imported() string {
	b.t.Helper()
	var page string
	eventually(b.t, "the import is over", func() bool {
		page = b.get("/fragments/settings/transfer").body
		return strings.Contains(page, " ago)")
	})
	return page
}

// TestTransferPage: a device's signage moves to another one as a file, with its media and the codes of its players; what is
// no such file is refused and changes nothing.
func TestTransferPage(t *testing.T) {
	old := newDevice(t).start()
	b := old.claimed()
	_, code := addScreen(t, b, "name", "Shop window", "hostname", "tv-window", "may_edit", "1")
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 36))); err != nil {
		t.Fatal(err)
	}
	old.uploaded(b, "sunset.png", picture.Bytes())
	checkPage(t, "transfer", b.get("/settings/transfer"))
	bare, whole := b.get("/settings/transfer/export"), b.get("/settings/transfer/export?secrets=1")
	for _, a := range []answer{bare, whole} {
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(a.header.Get("Content-Disposition"), `attachment; filename="porthole-`) {
			t.Fatalf("export: %d %v", a.status, a.header)
		}
	}
	login := func(d *device) answer {
		return d.api("Kiwy-Signage-Player/1.0", "POST", "/api/auth/player", "", map[string]string{"hostname": "tv-window", "quickconnect_code": code}, nil)
	}

	fresh := newDevice(t).start()
	n := fresh.claimed()
	for name, a := range map[string]answer{"no file": n.importFile("", nil, false), "empty": n.importFile("x.zip", nil, false), "no form": n.post("/settings/transfer/import", "file", "x")} {
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Choose a file first.") {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
	}
	if a := n.importFile("x.zip", []byte("PK\x03\x04 no archive"), true); a.status != http.StatusSeeOther {
		t.Fatalf("garbage: %d\n%s", a.status, a.body)
	}
	if said := n.imported(); !strings.Contains(said, "notice bad") {
		t.Errorf("garbage: %s", said)
	}
	if body := n.get("/screens").body; strings.Count(body, "data-key=") != 1 {
		t.Error("garbage left something behind")
	}
	if a := n.importFile("porthole.zip", []byte(whole.body), false); a.status != http.StatusSeeOther || a.location != "/settings/transfer" {
		t.Fatalf("import: %d\n%s", a.status, a.body)
	}
	if said := n.imported(); !strings.Contains(said, "notice good") || !strings.Contains(said, "1 medium") || !strings.Contains(said, "screen") {
		t.Errorf("the report: %s", said)
	}
	if body := n.get("/screens").body; !strings.Contains(body, "Shop window") || strings.Count(body, "data-key=") != 2 {
		t.Errorf("the screens:\n%s", body)
	}
	if body := n.get("/media").body; !strings.Contains(body, "sunset.png") {
		t.Error("the medium did not come")
	}
	if a := login(fresh); a.status != http.StatusOK {
		t.Errorf("the player does not find its code: %d %s", a.status, a.body)
	}
	// Without secrets, codes stay behind.
	third := newDevice(t).start()
	m := third.claimed()
	if a := m.importFile("porthole.zip", []byte(bare.body), true); a.status != http.StatusSeeOther {
		t.Fatalf("import: %d\n%s", a.status, a.body)
	}
	if said := m.imported(); !strings.Contains(said, "notice good") {
		t.Fatalf("import without secrets: %s", said)
	}
	if a := login(third); a.status != http.StatusUnauthorized {
		t.Errorf("log in without a code: %d %s", a.status, a.body)
	}
	if a := login(old); a.status != http.StatusOK {
		t.Errorf("the old device lost something: %d", a.status)
	}
}
