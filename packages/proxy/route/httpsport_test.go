package route_test

import (
	"testing"

	"porthole/packages/proxy/route"
)

// TestHTTPSPort: console hears where the same is with TLS, from us and from nobody else, on what came without.
func TestHTTPSPort(t *testing.T) {
	w := newWorld(t)
	w.start(t, "console")
	for _, c := range []struct {
		port int
		want string
	}{{443, "443"}, {8443, "8443"}, {0, ""}} {
		s := sawOf(t, ask(route.Plain(w.cfg, c.port), "GET", "http://h/api/playlists", route.HTTPSPortHeader, "1"))
		if got := s.Header.Get(route.HTTPSPortHeader); got != c.want {
			t.Errorf("port %d: told %q", c.port, got)
		}
	}
	if got := sawOf(t, ask(route.Public(w.cfg), "GET", "https://h/api/playlists", route.HTTPSPortHeader, "1")).Header.Get(route.HTTPSPortHeader); got != "" {
		t.Errorf("with TLS: told %q", got)
	}
}
