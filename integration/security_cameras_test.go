package integration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// shownToken is an API token on the page that shows it once.
var shownToken = regexp.MustCompile(`<pre class="copy"><code>([^<]+)</code>`)

// camerasOfOthers (A01): whoever may see the cameras of a list, by session or by token, neither sees another one nor learns that
// it is there; and a token is good for what it was made for.
func (f *fortress) camerasOfOthers(t *testing.T) {
	const name = "listed viewer"
	form := url.Values{"name": {name}, "role": {"viewer"}, "password": {password}, "see": {"listed"}, "camera": {"demo"}}
	if a := f.form("admin", "/settings/people", form); a.status != http.StatusSeeOther {
		t.Fatalf("add %s: %d\n%s", name, a.status, a.body)
	}
	f.cookies[name] = f.logIn(name, "")
	token := func(label, see string, cameras, scopes []string) (reply, string) {
		t.Helper()
		a := f.form(name, "/account/tokens", url.Values{"name": {label}, "see": {see}, "camera": cameras, "scope": scopes, "days": {"30"}})
		found := shownToken.FindStringSubmatch(f.get(name, "/account").body)
		if found == nil {
			return a, ""
		}
		return a, found[1]
	}
	a, watch := token("watch", "all", nil, []string{"view"})
	if watch == "" {
		t.Fatalf("make a token: %d %s", a.status, a.body)
	}
	f.hidden = append(f.hidden, watch)
	for label, c := range map[string]struct{ cameras, scopes []string }{
		"another camera": {[]string{"door"}, []string{"view"}}, "uploads": {nil, []string{"upload"}}, "everything": {nil, []string{"admin"}},
	} {
		see := "listed"
		if c.cameras == nil {
			see = "all"
		}
		if a, secret := token(label, see, c.cameras, c.scopes); a.status != http.StatusUnprocessableEntity || secret != "" {
			t.Errorf("a token for %s: %d", label, a.status)
		}
	}

	session := f.as(name)
	bearer := http.Header{"Authorization": {"Bearer " + watch}}
	for what, h := range map[string]http.Header{"session": session, "token": bearer} {
		sdp := h.Clone()
		sdp.Set("Content-Type", "application/sdp")
		for _, c := range []struct {
			method, path, body string
			header             http.Header
		}{
			{http.MethodGet, "/cameras/door/snapshot.jpg", "", h}, {http.MethodGet, "/cameras/door/1/snapshot.jpg", "", h}, {http.MethodGet, "/cameras/Door/snapshot.jpg", "", h},
			{http.MethodGet, "/cameras/demo%2f..%2fdoor/snapshot.jpg", "", h}, {http.MethodPost, "/cameras/door/whep", offer, sdp}, {http.MethodPost, "/cameras/door/whep?stream=2", offer, sdp},
			{http.MethodPost, "/cameras/demo/../door/whep", offer, sdp},
		} {
			if a := f.ask(c.method, c.path, c.body, c.header.Clone()); a.status < 300 || a.status >= 500 {
				t.Errorf("%s %s with a %s for another camera: %d", c.method, c.path, what, a.status)
			}
		}
		eventually(t, "the own camera is seen with a "+what, func() error {
			if a := f.ask(http.MethodGet, "/cameras/demo/snapshot.jpg", "", h.Clone()); a.status != http.StatusOK {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
	for _, path := range []string{"/", "/fragments/home", "/live", "/camera/door", "/fragments/camera/door", "/livestream/viewer?camera=door", "/livestream/viewer?camera=demo"} {
		if a := f.get(name, path); strings.Contains(a.body, "Front door") {
			t.Errorf("%s tells %s of another camera: %d", path, name, a.status)
		}
	}
	if a := f.get(name, "/camera/door"); a.status != http.StatusNotFound && a.status != http.StatusForbidden {
		t.Errorf("the page of another camera: %d", a.status)
	}
	// The token opens no pages, no metrics and no uploads.
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/"}, {http.MethodGet, "/account"}, {http.MethodGet, "/settings"}, {http.MethodGet, "/metrics"}, {http.MethodPost, "/uploads/"}, {http.MethodPost, "/account/password"},
		{http.MethodGet, "/media"}, {http.MethodGet, "/playlists"}, {http.MethodGet, "/api/playlists"},
	} {
		if a := f.ask(c.method, c.path, "", bearer.Clone()); !turnedAway(a) {
			t.Errorf("%s %s with a token for cameras: %d %.200s", c.method, c.path, a.status, a.body)
		}
	}
	// Nobody ends what is another's by its number.
	for _, role := range []string{"viewer", "editor"} {
		for n := range 20 {
			f.form(role, fmt.Sprintf("/account/tokens/%d/revoke", n), nil)
			f.form(role, fmt.Sprintf("/account/logins/%d/end", n), nil)
		}
	}
	if a := f.ask(http.MethodGet, "/cameras/demo/snapshot.jpg", "", bearer.Clone()); a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
		t.Errorf("another account has revoked the token: %d", a.status)
	}
	if a := f.get(name, "/account"); a.status != http.StatusOK {
		t.Errorf("another account has ended the session: %d", a.status)
	}
	// What is taken away is gone at once.
	if a := f.form("admin", "/settings/people/"+url.PathEscape(name)+"/delete", nil); a.status != http.StatusSeeOther {
		t.Fatalf("delete %s: %d", name, a.status)
	}
	for what, h := range map[string]http.Header{"session": session, "token": bearer} {
		if a := f.ask(http.MethodGet, "/cameras/demo/snapshot.jpg", "", h.Clone()); a.status != http.StatusUnauthorized {
			t.Errorf("a %s of somebody who is gone: %d", what, a.status)
		}
	}
	delete(f.cookies, name)
}
