package route_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"porthole/packages/proxy/route"
)

func TestRedirect(t *testing.T) {
	w := newWorld(t)
	to443, to8443, wrong := route.Plain(w.cfg, 443), route.Plain(w.cfg, 8443), route.WrongPort()
	for _, c := range []struct {
		h                    http.Handler
		method, host, target string
		status               int
		location             string
	}{
		{to443, "GET", "porthole.local", "/", 302, "https://porthole.local/"},
		{to443, "HEAD", "porthole.local:80", "/a?b=c", 302, "https://porthole.local/a?b=c"},
		{to443, "POST", "porthole.local", "/api/auth/login", 308, "https://porthole.local/api/auth/login"},
		{to443, "PUT", "porthole.local", "/x", 308, "https://porthole.local/x"},
		{to8443, "GET", "porthole.local:8080", "/a%2Fb?c=%20d", 302, "https://porthole.local:8443/a%2Fb?c=%20d"},
		{to8443, "GET", "192.0.2.7:8080", "/", 302, "https://192.0.2.7:8443/"},
		{to8443, "GET", "[2001:db8::7]:8080", "/", 302, "https://[2001:db8::7]:8443/"},
		{to8443, "GET", "[2001:db8::7]", "/", 302, "https://[2001:db8::7]:8443/"},
		{to443, "GET", "my_pi.fritz.box.", "//evil.example/", 302, "https://my_pi.fritz.box.//evil.example/"},
		{to443, "GET", "h", "/api/healthy", 302, "https://h/api/healthy"},
		{to443, "POST", "h", "/api/certificate", 308, "https://h/api/certificate"},
		{to443, "GET", "", "/", 400, ""},
		{to443, "GET", "a b", "/", 400, ""},
		{to443, "GET", "user@h", "/", 400, ""},
		{to443, "GET", "h:0", "/", 400, ""},
		{to443, "GET", "h:99999", "/", 400, ""},
		{to443, "GET", "h:", "/", 400, ""},
		{to443, "GET", "h/evil", "/", 400, ""},
		{to443, "GET", "-h", "/", 400, ""},
		{to443, "GET", "[::1", "/", 400, ""},
		{to443, "GET", "[fe80::1%eth0]", "/", 400, ""},
		{to443, "GET", "::1", "/", 400, ""},
		{to443, "GET", strings.Repeat("a.", 127) + "a", "/", 400, ""},
		{wrong, "GET", "porthole.local:443", "/a", 302, "https://porthole.local/a"},
		{wrong, "GET", "127.0.0.1:8443", "/a", 302, "https://127.0.0.1:8443/a"},
		{wrong, "POST", "127.0.0.1:8443", "/a", 308, "https://127.0.0.1:8443/a"},
		{wrong, "GET", "h\\", "/a", 400, ""},
		{route.Plain(w.cfg, 0), "GET", "h", "/", 503, ""},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		// NewRequest takes what follows // for a host; a server does not.
		r.URL = mustParsePath(t, c.target)
		r.Host = c.host
		rec := httptest.NewRecorder()
		c.h.ServeHTTP(rec, r)
		if rec.Code != c.status || rec.Header().Get("Location") != c.location {
			t.Errorf("%s %s%s: %d %q", c.method, c.host, c.target, rec.Code, rec.Header().Get("Location"))
		}
	}
}

func mustParsePath(t *testing.T, target string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(target, "//") {
		return &url.URL{Path: target}
	}
	return u
}

// TestPlainBootstrap: what a client needs before it trusts us comes without TLS, and without anybody's session.
func TestPlainBootstrap(t *testing.T) {
	w := newWorld(t)
	stop := w.start(t, "console")
	h := route.Plain(w.cfg, 443)
	for _, path := range []string{"/api/health", "/api/certificate"} {
		s := sawOf(t, ask(h, "GET", "http://h"+path, "Cookie", "session=anna", "Authorization", "Bearer x", "X-Forwarded-Proto", "https"))
		if s.Path != path || s.Header.Get("Cookie") != "" || s.Header.Get("Authorization") != "" || s.Header.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("%+v", s)
		}
	}
	stop()
	res := ask(h, "GET", "http://h/api/health")
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 502 || !strings.HasPrefix(string(body), "{") {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
}

// FuzzHost: whatever the Host header holds, a redirect leads to that host and nowhere else.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"porthole.local", "h:80", "[::1]:80", "a@b", "a/b", "", ":", "[", "h:80:80"} {
		f.Add(s)
	}
	h := route.WrongPort()
	f.Fuzz(func(t *testing.T, host string) {
		r := httptest.NewRequest("GET", "/path", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code == http.StatusBadRequest {
			return
		}
		u, err := url.Parse(rec.Header().Get("Location"))
		if err != nil || rec.Code != http.StatusFound || u.Scheme != "https" || u.User != nil || u.Path != "/path" || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q leads to %v, %v", host, u, err)
		}
		want, _, _ := strings.Cut(host, "]")
		if !strings.HasPrefix(host, "[") {
			want, _, _ = strings.Cut(host, ":")
		}
		if u.Hostname() != strings.TrimPrefix(want, "[") {
			t.Fatalf("%q leads to %s", host, u.Hostname())
		}
	})
}
