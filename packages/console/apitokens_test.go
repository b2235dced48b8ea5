package main_test

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/media/decode/decodetest"
	console "porthole/packages/console"
	"porthole/packages/internal/identity"
)

var secretToken = regexp.MustCompile(`porthole_[a-z2-7]{26}`)

// token makes an API token on the page and returns its secret.
func (h *household) token(b *browser, form url.Values) string {
	h.t.Helper()
	if a := b.do(http.MethodPost, "/account/tokens", form); a.status != http.StatusSeeOther {
		h.t.Fatalf("make a token: %d\n%s", a.status, a.body)
	}
	page := b.get("/account")
	checkPage(h.t, "with a token", page)
	found := secretToken.FindAllString(page.body, -1)
	if len(found) != 1 {
		h.t.Fatalf("%d tokens on the page after one was made", len(found))
	}
	if again := b.get("/account").body; secretToken.MatchString(again) {
		h.t.Error("a token is shown twice")
	}
	return found[0]
}

func tokenForm(name, days string, scopes ...string) url.Values {
	return url.Values{"name": {name}, "days": {days}, "see": {"all"}, "scope": scopes}
}

// TestAPITokens: a token is good for what it says, for as long as it says, and never for more than its account.
func TestAPITokens(t *testing.T) {
	h := newHousehold(t)
	by := func(secret string) identity.Identity {
		t.Helper()
		return h.who(identity.Credentials{Authorization: "Bearer " + secret})
	}
	is := func(what, secret string, want identity.Identity) {
		t.Helper()
		if d := cmp.Diff(want, by(secret)); d != "" {
			t.Errorf("%s:\n%s", what, d)
		}
	}
	viewOnly, measureOnly := []identity.Scope{identity.ScopeView}, []identity.Scope{identity.ScopeMetrics}
	door := h.token(h.admin, url.Values{"name": {"front  door tablet"}, "days": {"90"}, "see": {"listed"}, "camera": {"yard", "demo"}, "scope": {"view"}})
	is("listed cameras", door, identity.Identity{User: "admin", Role: identity.Viewer, Cameras: []string{"demo", "yard"}, Scopes: viewOnly})
	meter := h.token(h.admin, tokenForm("Prometheus", "0", "metrics"))
	is("metrics", meter, identity.Identity{User: "admin", Role: identity.Viewer, Scopes: measureOnly})
	// What she may not do her tokens may not either, whatever is sent.
	hers := h.token(h.anna, url.Values{"name": {"recorder"}, "days": {"30"}, "see": {"all"}, "scope": {"view", "metrics", "upload", "admin"}})
	annas := identity.Identity{User: "anna", Role: identity.Viewer, Cameras: []string{"yard"}, Scopes: viewOnly}
	is("anna's", hers, annas)
	other := h.token(h.anna, url.Values{"name": {"hall"}, "days": {"30"}, "see": {"listed"}, "camera": {"yard", "hall"}, "scope": {"view"}})
	is("anna's listed", other, annas)
	nobody := identity.Identity{}
	for _, wrong := range []string{"", "porthole_", door + "x", door[:len(door)-1], strings.ToUpper(door), "abc", tokensOf(t, h.admin)} {
		is("a wrong one", wrong, nobody)
	}
	for name, form := range map[string]url.Values{
		"no name": tokenForm(" ", "30", "view"), "long name": tokenForm(strings.Repeat("x", 61), "30", "view"), "no scope": tokenForm("x", "30"),
		"no such scope": tokenForm("x", "30", "admin"), "no such time": tokenForm("x", "31", "view"), "same name": tokenForm("recorder", "30", "view"),
		"no camera": {"name": {"x"}, "days": {"30"}, "see": {"listed"}, "camera": {"hall"}, "scope": {"view"}},
	} {
		a := h.anna.do(http.MethodPost, "/account/tokens", form)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "-error") || secretToken.MatchString(a.body) {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		checkPage(t, name, a)
	}
	page := h.anna.get("/account").body
	for _, want := range []string{"recorder", "view every camera of the account", "used: in the last hours", "Revoke the token recorder"} {
		if !strings.Contains(page, want) {
			t.Errorf("her page lacks %q", want)
		}
	}
	if strings.Contains(page, "Prometheus") || strings.Contains(page, "read the metrics") {
		t.Error("her page shows another's token, or a scope that she cannot give")
	}
	// Nobody revokes another's; the administrator can on the page for it.
	h.anna.post("/account/tokens/1/revoke")
	h.anna.post("/settings/people/admin/tokens/1/revoke")
	if by(door).User == "" {
		t.Error("anna revoked the admin's token")
	}
	h.admin.post("/account/tokens/3/revoke")
	h.admin.post("/settings/people/admin/tokens/3/revoke")
	if by(hers).User == "" {
		t.Error("a token was revoked as another account's")
	}
	if a := h.admin.post("/settings/people/anna/tokens/3/revoke"); a.status != http.StatusSeeOther {
		t.Error(a.status)
	}
	is("revoked by the administrator", hers, nobody)
	h.admin.post("/account/tokens/1/revoke")
	is("revoked", door, nobody)
	h.exec("UPDATE api_tokens SET expires = 1 WHERE name = 'Prometheus'")
	is("over", meter, nobody)
	if body := h.admin.get("/account").body; !strings.Contains(body, "its time is over") {
		t.Error("the page does not say that a token is over")
	}
	// A token follows its account: its password may change, its cameras count, and it ends with it.
	if a := h.admin.post("/settings/people/anna", "role", "viewer", "see", "listed", "camera", "hall", "password", password+"!"); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	is("with a camera less", other, identity.Identity{User: "anna", Role: identity.Viewer, Cameras: []string{}, Scopes: viewOnly})
	h.admin.post("/settings/people/anna/delete")
	is("of somebody who is gone", other, nobody)
	for _, secret := range []string{door, meter, hers, other} {
		if strings.Contains(h.log.String(), secret) || strings.Contains(h.admin.get("/settings/audit").body, secret) {
			t.Error("a token is in a log")
		}
	}
}

// tokensOf is a camera's stream token, which is no API token.
func tokensOf(t *testing.T, b *browser) string { t.Helper(); return tokens(t, b, "yard")[0] }

// TestTokenOpensNoPage: with a token one gets at uploads, if it says so, and at no page.
func TestTokenOpensNoPage(t *testing.T) {
	d := newDevice(t)
	d.options.Decoder = decodetest.Binary(t)
	d.start()
	h := &household{device: d, admin: d.claimed(), asker: identity.NewAsker(d.internal())}
	upload, view := h.token(h.admin, tokenForm("camera roll", "0", "upload")), h.token(h.admin, tokenForm("tablet", "0", "view", "metrics"))
	program := d.browser()
	for _, secret := range []string{upload, view} {
		program.header = http.Header{"Authorization": {"Bearer " + secret}}
		for _, path := range []string{"/", "/fragments/home", "/media", "/media/1/file", "/account", "/settings/people", "/settings/audit", "/playlists", "/certificate"} {
			if a := program.get(path); a.status != http.StatusUnauthorized && !strings.HasPrefix(a.location, "/login") {
				t.Errorf("%s: %d", path, a.status)
			}
		}
		for _, path := range []string{"/account/logout", "/settings/people", "/media/1/delete", "/playlists"} {
			if a := program.post(path, "name", "x"); a.status != http.StatusUnauthorized && !strings.HasPrefix(a.location, "/login") && a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
				t.Errorf("POST %s: %d", path, a.status)
			}
		}
	}
	if a := program.send("POST", "/uploads/", nil, "Upload-Length", "10"); a.status != http.StatusForbidden {
		t.Errorf("upload with a token for something else: %d", a.status)
	}
	for _, authorization := range []string{"Bearer x", "Bearer", basic("admin", password), "Digest x"} {
		if a := d.browser().send("POST", "/uploads/", nil, "Upload-Length", "10", "Authorization", authorization); a.status != http.StatusUnauthorized {
			t.Errorf("upload with %q: %d", authorization, a.status)
		}
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 48))); err != nil {
		t.Fatal(err)
	}
	program.header = http.Header{"Authorization": {"Bearer " + upload}}
	id := h.uploaded(program, "from-program.png", picture.Bytes())
	if a := h.admin.get("/media/" + id); a.status != http.StatusOK || !strings.Contains(a.body, "from-program.png") {
		t.Errorf("the medium: %d", a.status)
	}
	// An account that is no editor any more has no tokens for uploads.
	h.exec("UPDATE api_tokens SET account = 'admin'")
	h.exec("UPDATE accounts SET role = 'viewer' WHERE name = 'admin'")
	if a := program.send("POST", "/uploads/", nil, "Upload-Length", "10"); a.status != http.StatusForbidden {
		t.Errorf("upload by a viewer's token: %d", a.status)
	}
}

// TestTokenRoles walks through all pages with a token for everything: it opens uploads and updates, and for the rest it is nobody.
func TestTokenRoles(t *testing.T) {
	m := newMatrix(t)
	h := &household{device: m.device, admin: m.people["admin"], asker: identity.NewAsker(m.internal())}
	header := http.Header{"Authorization": {"Bearer " + h.token(h.admin, tokenForm("everything", "30", "view", "metrics", "upload", "update"))}}
	b := m.browser()
	for _, r := range console.Routes() {
		verb, path := method(r.Pattern)
		if r.Who == "anyone" {
			continue
		}
		a := m.ask(b, verb, m.target(path, ""), header)
		m.checkSecrets("stranger", verb+" "+path+" with a token", a)
		programs := strings.HasPrefix(path, "/uploads/") || path == "/media/status" || strings.HasPrefix(path, "/api/v1/update")
		let := a.status != http.StatusUnauthorized && (a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login"))
		if let != programs || a.status == http.StatusInternalServerError {
			t.Errorf("%s %s (for %s) with a token: %d %s", verb, path, r.Who, a.status, a.location)
		}
	}
}
