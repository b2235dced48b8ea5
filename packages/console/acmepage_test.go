package main_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestACMEForm: what is wrong is said at its field, what was typed stays but for secrets, and those are kept.
func TestACMEForm(t *testing.T) {
	d := newDevice(t)
	d.peer("system", newSystem(t))
	d.start()
	b := d.claimed()
	const path = "/settings/certificate"
	expect(t, "at first", b.get(path).body, "Get the certificate", "Also for Echo and older devices", `!Check now`)
	a := b.post(path, "names", "porthole.local *.example.org", "proof", "automatic", "ca", "letsencrypt", "email", "nobody")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.status)
	}
	checkPage(t, "nonsense", a)
	expect(t, "nonsense", a.body, "Nothing was saved", "in your own network only", "by DNS only", "name@example.org", "without this no server", ">porthole.local *.example.org</textarea>")

	// Nobody is asked: 127.0.0.1:1 refuses.
	form := []string{
		"names", "cam.example.org\n*.example.org", "proof", "dns", "provider", "rfc2136", "rfc2136_server", "192.0.2.53", "rfc2136_key_name", "k", "rfc2136_key", "aHVudGVyMg==",
		"ca", "other", "directory", "https://127.0.0.1:1/dir", "eab_key", "kid", "eab_mac", "aHVudGVyMg", "agreed", "1",
	}
	if a := b.post(path, form...); a.status != http.StatusSeeOther {
		t.Fatalf("good: %d\n%s", a.status, a.body)
	}
	var page string
	eventually(t, "the page says that nobody answers there", func() bool {
		page = b.get(path).body
		return strings.Contains(page, "refuses connections")
	})
	expect(t, "saved", page, "no certificate", "Try now", "192.0.2.53", "kept as it is", "!aHVudGVyMg", "The next try is on", "*.example.org")
	expect(t, "home", b.get("/").body, "There is no public certificate yet", "refuses connections")
	checkPage(t, "saved", b.get(path))
	// The secrets stay when they are left empty, and the same server is meant.
	for i, v := range form {
		if strings.HasPrefix(v, "aHVudGVyMg") {
			form[i] = ""
		}
	}
	if a := b.post(path, form...); a.status != http.StatusSeeOther {
		t.Errorf("without secrets: %d\n%s", a.status, a.body)
	}
	for i, v := range form {
		if v == "192.0.2.53" {
			form[i] = "192.0.2.54"
		}
	}
	if a := b.post(path, form...); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "is missing") {
		t.Errorf("a secret for another server: %d", a.status)
	}
	if a := b.post(path + "/try"); a.status != http.StatusSeeOther {
		t.Errorf("try: %d", a.status)
	}
	checkPage(t, "remove", b.get(path+"/remove"))
	if a := b.post(path + "/remove"); a.status != http.StatusSeeOther {
		t.Errorf("remove: %d", a.status)
	}
	expect(t, "removed", b.get(path).body, "Get the certificate", "!refuses connections", "192.0.2.53")
	eventually(t, "nothing is wrong any more", func() bool { return !strings.Contains(b.get("/").body, "refuses connections") })

	// Anybody may ask for a challenge's answer, and gets none that is not there.
	if a := d.browser().get("/.well-known/acme-challenge/" + url.PathEscape("../../x")); a.status != http.StatusNotFound || strings.Contains(a.body, "x</") {
		t.Errorf("challenge: %d %s", a.status, a.body)
	}
}
