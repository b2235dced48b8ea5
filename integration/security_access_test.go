package integration_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// turnedAway reports whether an answer lets nobody in.
func turnedAway(a reply) bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden ||
		a.status == http.StatusSeeOther && (strings.HasPrefix(a.header.Get("Location"), "/login") || strings.HasPrefix(a.header.Get("Location"), "/claim"))
}

// pagesOfOthers (A01, broken access control): nobody opens a page of a higher role, whatever the method; and what needs no
// session of the console is not had by its other ways in.
func (f *fortress) pagesOfOthers(t *testing.T) {
	for _, p := range consolePages(t) {
		for _, role := range guests {
			if p.allowed(role) {
				continue
			}
			h := f.as(role)
			if p.method == http.MethodPost {
				h.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if a := f.ask(p.method, p.at(), "", h); !turnedAway(a) {
				t.Errorf("%s %s as %s: %d %.200s", p.method, p.at(), role, a.status, a.body)
			}
		}
		// Whoever may look sees nothing that is an administrator's: ask looks.
		if p.method == http.MethodGet && p.path != "/" {
			for _, role := range append(guests, "admin") {
				if !p.allowed(role) {
					continue
				}
				if a := f.get(role, p.at()); a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
					t.Errorf("GET %s as %s: %d", p.at(), role, a.status)
				}
			}
		}
	}
	// A password in a header is good for programs' addresses, never for pages.
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+password))}, "Sec-Fetch-Site": {"none"}}
	for _, path := range []string{"/", "/settings", "/settings/people", "/settings/reset", "/logs/proxy"} {
		if a := f.ask(http.MethodGet, path, "", basic); !turnedAway(a) {
			t.Errorf("%s with Basic: %d", path, a.status)
		}
	}
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/metrics"}, {http.MethodGet, "/livestream/ice.json"}, {http.MethodGet, "/cameras/door/snapshot.jpg"},
		{http.MethodPost, "/cameras/door/whep"}, {http.MethodPatch, "/cameras/door/whep/x"}, {http.MethodDelete, "/cameras/door/whep/x"},
		{http.MethodGet, "/live"}, {http.MethodGet, "/livestream/viewer?camera=door"},
		{http.MethodGet, "/api/playlists"}, {http.MethodGet, "/api/v1/program"}, {http.MethodPost, "/api/player-feedback"},
	} {
		for what, h := range map[string]http.Header{
			"nobody": {}, "a token nobody gave": {"Authorization": {"Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
			"a session nobody has": {"Cookie": {"__Host-porthole=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
		} {
			if a := f.ask(c.method, c.path, "", h); !turnedAway(a) && a.status != http.StatusNotFound {
				t.Errorf("%s %s as %s: %d %.200s", c.method, c.path, what, a.status, a.body)
			}
		}
	}
}

// offer is a browser's that wants to watch; nobody answers its checks.
const offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n" +
	"a=rtcp-mux\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=setup:actpass\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 " +
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"

// thingsOfOthers (A01, insecure direct object references): who knows or guesses the name of what is another's does not get it.
func (f *fortress) thingsOfOthers(t *testing.T) {
	// An upload belongs to the account that began it.
	tus := func(role, method, path string, more ...string) reply {
		t.Helper()
		h := f.as(role)
		h.Set("Tus-Resumable", "1.0.0")
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return f.ask(method, path, "", h)
	}
	made := tus("editor", http.MethodPost, "/uploads/", "Upload-Length", "1000", "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("a.png")))
	at, err := url.Parse(made.header.Get("Location"))
	if made.status != http.StatusCreated || err != nil || at.Path == "" {
		t.Fatalf("begin an upload: %d %v", made.status, made.header)
	}
	for _, method := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete} {
		if a := tus("another editor", method, at.Path, "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); a.status != http.StatusNotFound && a.status != http.StatusForbidden {
			t.Errorf("%s of another's upload: %d", method, a.status)
		}
	}
	if a := tus("editor", http.MethodHead, at.Path); a.status != http.StatusOK {
		t.Errorf("the own upload is gone: %d", a.status)
	}
	id := at.Path[strings.LastIndexByte(at.Path, '/')+1:]
	if a := f.get("another editor", "/media/status?upload="+id); a.status != http.StatusNotFound {
		t.Errorf("the state of another's upload: %d %s", a.status, a.body)
	}

	// A live view belongs to who began it.
	whep := func(role, method, path, body string, more ...string) reply {
		t.Helper()
		h := f.as(role)
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return f.ask(method, path, body, h)
	}
	var view reply
	eventually(t, "watch the camera", func() error {
		if view = whep("viewer", http.MethodPost, "/cameras/door/whep", offer, "Content-Type", "application/sdp"); view.status != http.StatusCreated {
			return fmt.Errorf("%d %s", view.status, view.body)
		}
		return nil
	})
	session := view.header.Get("Location")
	for _, role := range []string{"anonymous", "editor", "admin"} {
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			a := whep(role, method, session, "a=ice-ufrag:abcd\r\n", "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", view.header.Get("ETag"))
			if a.status != http.StatusNotFound && a.status != http.StatusUnauthorized {
				t.Errorf("%s of another's live view as %s: %d %s", method, role, a.status, a.body)
			}
		}
	}
	if a := whep("viewer", http.MethodDelete, session, "", "If-Match", view.header.Get("ETag")); a.status != http.StatusOK && a.status != http.StatusNoContent {
		t.Errorf("the own live view: %d %s", a.status, a.body)
	}

	// What is being tried out is an administrator's: its name is guessed, or seen by a viewer over his shoulder.
	for _, role := range guests {
		if a := f.get(role, "/cameras/probe-1/snapshot.jpg"); a.status == http.StatusOK || a.status >= 500 {
			t.Errorf("a camera that is tried out, as %s: %d", role, a.status)
		}
	}
	// An editor is no administrator of his own account either.
	for _, c := range []struct {
		path string
		form url.Values
	}{
		{"/settings/people/editor", url.Values{"role": {"admin"}}}, {"/settings/people/admin", url.Values{"role": {"admin"}, "password": {"taken over by an editor"}}},
		{"/settings/people", url.Values{"name": {"mallory"}, "role": {"admin"}, "password": {"taken over by an editor"}}}, {"/settings/people/viewer/delete", nil},
		{"/settings/reset", url.Values{"word": {"reset"}, "password": {password}}},
	} {
		if a := f.form("editor", c.path, c.form); a.status != http.StatusForbidden {
			t.Errorf("%s as an editor: %d", c.path, a.status)
		}
	}
	if a := f.get("admin", "/settings/people"); strings.Contains(a.body, "mallory") || !strings.Contains(a.body, ">viewer") {
		t.Errorf("the accounts have changed:\n%s", a.body)
	}
}

// forgedIdentity (A07): what the processes tell each other in headers counts from nobody else.
func (f *fortress) forgedIdentity(t *testing.T) {
	forged := base64.StdEncoding.EncodeToString([]byte(`{"user":"admin","role":"admin"}`))
	for _, base := range []string{f.URL(""), fmt.Sprintf("https://localhost:%d", f.WSS)} {
		for _, h := range []http.Header{
			{"Porthole-Identity": {forged}}, {"porthole-identity": {forged}}, {"Porthole_identity": {forged}},
			{"Porthole-Identity": {forged, forged}}, {"Porthole-Identity": {forged}, "Connection": {"Porthole-Identity"}},
			{"Porthole-Identity": {forged}, "X-Forwarded-For": {"127.0.0.1"}, "Porthole-Near": {"1"}, "Forwarded": {"for=127.0.0.1;proto=https"}},
		} {
			for _, path := range []string{"/livestream/ice.json", "/cameras/door/snapshot.jpg", "/settings"} {
				if a := f.askAt(base+path, http.MethodGet, "", h.Clone()); a.status == http.StatusOK {
					t.Errorf("%s%s with %v: %d", base, path, h, a.status)
				}
			}
		}
	}
}

// otherSites (A01, cross-site request forgery): no page of another site has somebody's browser do anything here.
func (f *fortress) otherSites(t *testing.T) {
	for _, from := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.lan"}},
		{"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
	} {
		for _, p := range consolePages(t) {
			if p.method == http.MethodGet || p.method == http.MethodHead || p.method == http.MethodOptions {
				continue
			}
			for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain"} {
				h := from.Clone()
				h.Set("Cookie", f.cookies["admin"])
				h.Set("Content-Type", kind)
				if a := f.ask(p.method, p.at(), "name=x", h); a.status != http.StatusForbidden {
					t.Errorf("%s %s from %v: %d", p.method, p.at(), from, a.status)
				}
			}
		}
		// A WebSocket knows no such check of the browser's: the Origin has to do.
		for _, at := range []string{f.URL("/ws"), fmt.Sprintf("https://localhost:%d/", f.WSS)} {
			h := from.Clone()
			h.Set("Cookie", f.cookies["admin"])
			h.Set("Connection", "Upgrade")
			h.Set("Upgrade", "websocket")
			h.Set("Sec-Websocket-Version", "13")
			h.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			if a := f.askAt(at, http.MethodGet, "", h); a.status != http.StatusForbidden {
				t.Errorf("a WebSocket at %s from %v: %d", at, from, a.status)
			}
		}
		// What a form can send is no offer; what is one, a browser asks leave for, and gets it without a session only.
		h := from.Clone()
		h.Set("Cookie", f.cookies["admin"])
		h.Set("Content-Type", "text/plain")
		if a := f.ask(http.MethodPost, "/cameras/door/whep", offer, h); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("a form that watches: %d", a.status)
		}
		h = from.Clone()
		h.Set("Access-Control-Request-Method", "POST")
		h.Set("Access-Control-Request-Headers", "content-type")
		if a := f.ask(http.MethodOptions, "/cameras/door/whep", "", h); a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("who asks leave to watch gets %v", a.header)
		}
	}
	if a := f.get("admin", "/settings"); a.status != http.StatusOK {
		t.Errorf("the session has ended: %d", a.status)
	}
}

// fixedSession (A07): a session that somebody planted is worth nothing after the login, and one that has ended stays so.
func (f *fortress) fixedSession(t *testing.T) {
	for _, planted := range []string{"__Host-porthole=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "__Host-porthole=", "__Host-porthole=' OR '1'='1", f.cookies["editor"]} {
		mine := f.logInAnew(planted)
		if mine == planted {
			t.Errorf("the session that was planted (%.20s…) is in service", planted)
		}
		if a := f.ask(http.MethodGet, "/settings", "", http.Header{"Cookie": {planted}}); a.status == http.StatusOK {
			t.Errorf("the session that was planted (%.20s…) is an administrator's now", planted)
		}
		h := f.as("anonymous")
		h.Set("Cookie", mine)
		if a := f.ask(http.MethodPost, "/logout", "", h); a.status != http.StatusSeeOther {
			t.Errorf("log out: %d", a.status)
		}
		if a := f.ask(http.MethodGet, "/settings", "", http.Header{"Cookie": {mine}}); !turnedAway(a) {
			t.Errorf("after logging out: %d", a.status)
		}
	}
	f.cookies["editor"] = f.logIn("editor", "")
}

// logInAnew logs an administrator in with a cookie that is there already. One that is somebody's is logged out first, as the
// page does not ask who is logged in.
func (f *fortress) logInAnew(before string) string {
	f.t.Helper()
	if before == f.cookies["editor"] {
		h := f.as("editor")
		f.ask(http.MethodPost, "/logout", "", h)
	}
	return f.logIn("admin", before)
}
