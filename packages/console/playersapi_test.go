package main_test

import (
	"net/http"
	"strings"
	"testing"

	console "porthole/packages/console"
)

// TestPlayersAndOtherSites: any site's script may ask for what players ask for, and gets no further with the visitor's
// session; everything else stays closed to other sites.
func TestPlayersAndOtherSites(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	b.header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	for _, c := range []struct {
		method, target string
		status         int
		cors           bool
	}{
		{"GET", "/api/health", 200, true},
		{"OPTIONS", "/api/health", 204, true},
		{"OPTIONS", "/api/playlists", 204, true},
		{"GET", "/api/playlists", 401, true},
		{"GET", "/api/playlists/1", 401, true},
		{"POST", "/api/playlists", 401, true},
		{"POST", "/api/auth/player", 400, true},
		{"POST", "/api/auth/verify", 401, true},
		{"POST", "/api/player-feedback", 401, true},
		{"POST", "/api/player-edit-media", 401, true},
		{"POST", "/api/players/1/screenshot", 401, true},
		{"GET", "/api/players/1/program", 401, true},
		{"POST", "/api/nothing", 404, true},
		{"POST", "/logout", 403, false},
		{"POST", "/settings/proxy", 403, false},
		{"POST", "//api/../logout", 307, false},
		{"POST", "/api", 307, false},
	} {
		a := b.do(c.method, c.target, nil)
		moved := c.status == 307 && (a.status == 301 || a.status == 308 || a.status == 403)
		if a.status != c.status && !moved {
			t.Errorf("%s %s: %d, want %d\n%s", c.method, c.target, a.status, c.status, a.body)
		}
		if got := a.header.Get("Access-Control-Allow-Origin"); (got == "*") != c.cors || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %v", c.method, c.target, a.header)
		}
		if c.status == 401 && !strings.HasPrefix(a.body, `{"error":"`) {
			t.Errorf("%s %s: %s", c.method, c.target, a.body)
		}
	}
	b.header = http.Header{}
	if a := b.get("/"); a.status != http.StatusOK {
		t.Errorf("the session is gone: %d", a.status)
	}
}

func TestLogPath(t *testing.T) {
	for path, want := range map[string]string{
		"/api/media/TOKEN/menu.jpg": "/api/media/…", "/api/playlists": "/api/playlists", "/media/1": "/media/1",
	} {
		if got := console.LogPath(path); got != want {
			t.Errorf("%s is logged as %s", path, got)
		}
	}
}
