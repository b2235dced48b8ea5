package route_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
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
		{to443, "POST", "porthole.local", "/auth/login", 308, "https://porthole.local/auth/login"},
		{to443, "PUT", "porthole.local", "/x", 308, "https://porthole.local/x"},
		{to8443, "GET", "porthole.local:8080", "/a%2Fb?c=%20d", 302, "https://porthole.local:8443/a%2Fb?c=%20d"},
		{to8443, "GET", "192.0.2.7:8080", "/", 302, "https://192.0.2.7:8443/"},
		{to8443, "GET", "[2001:db8::7]:8080", "/", 302, "https://[2001:db8::7]:8443/"},
		{to8443, "GET", "[2001:db8::7]", "/", 302, "https://[2001:db8::7]:8443/"},
		{to443, "GET", "my_pi.fritz.box.", "//evil.example/", 302, "https://my_pi.fritz.box.//evil.example/"},
		{to443, "GET", "h", "/api", 302, "https://h/api"},
		{to443, "POST", "h", "/trust", 308, "https://h/trust"},
		{to443, "GET", "h", "/trust/", 302, "https://h/trust/"},
		{to443, "GET", "h", "/assets/home.js", 302, "https://h/assets/home.js"},
		{to443, "GET", "h", "/apis/x", 302, "https://h/apis/x"},
		{to443, "GET", "h", "/api/../media", 302, "https://h/api/../media"},
		{to443, "GET", "h", "/api/%2e%2e/media", 302, "https://h/api/%2e%2e/media"},
		{to443, "POST", "h", "/x/../api/health", 308, "https://h/x/../api/health"},
		// No challenge's token.
		{to443, "GET", "h", "/.well-known/acme-challenge/", 302, "https://h/.well-known/acme-challenge/"},
		{to443, "GET", "h", "/.well-known/acme-challenge/../x", 302, "https://h/.well-known/acme-challenge/../x"},
		{to443, "GET", "h", "/.well-known/acme-challenge/a/b", 302, "https://h/.well-known/acme-challenge/a/b"},
		{to443, "GET", "h", "/.well-known/acme-challenge/%2e%2e", 302, "https://h/.well-known/acme-challenge/%2e%2e"},
		{to443, "GET", "h", "/.well-known/acme-challenge/" + strings.Repeat("a", 129), 302, "https://h/.well-known/acme-challenge/" + strings.Repeat("a", 129)},
		{to443, "POST", "h", "/.well-known/acme-challenge/abc", 308, "https://h/.well-known/acme-challenge/abc"},
		{to443, "GET", "h", "/x/.well-known/acme-challenge/abc", 302, "https://h/x/.well-known/acme-challenge/abc"},
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

// TestPlainAPI: the API is never redirected. What a client needs before it trusts us comes without anybody's name, the rest
// with what a player shows; sessions never.
func TestPlainAPI(t *testing.T) {
	w := newWorld(t)
	stop := w.start(t, "console")
	h := route.Plain(w.cfg, 443)
	for _, c := range []struct{ method, path, authorization string }{
		{"GET", "/api/health", ""},
		{"GET", "/api/certificate", ""},
		{"OPTIONS", "/api/certificate", ""},
		{"GET", "/api/healthy", "Bearer x"},
		{"POST", "/api/auth/player", "Bearer x"},
		{"OPTIONS", "/api/playlists/7", "Bearer x"},
		{"GET", "/api/", "Bearer x"},
		{"GET", "/trust", ""},
		{"GET", "/ca.mobileconfig", ""},
		{"GET", "/ca.pem", ""},
		{"GET", "/assets/porthole.css", ""},
	} {
		s := sawOf(t, ask(h, c.method, "http://h"+c.path, "Cookie", "session=anna", "Authorization", "Bearer x",
			"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil", "X-Forwarded-For", "10.0.0.1", "Porthole-Near", "1"))
		if s.Path != c.path || s.Header.Get("Cookie") != "" || s.Header.Get("Authorization") != c.authorization ||
			s.Header.Get("X-Forwarded-Proto") != "http" || s.Header.Get("X-Forwarded-Host") != "h" || s.Header.Get("X-Forwarded-For") != "192.0.2.7" ||
			s.Header["Porthole-Near"] != nil {
			t.Errorf("%s: %+v", c.path, s)
		}
	}
	stop()
	for _, path := range []string{"/api/health", "/api/playlists/7"} {
		res := ask(h, "GET", "http://h"+path)
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 502 || !strings.HasPrefix(string(body), "{") {
			t.Errorf("%d %s %v", res.StatusCode, body, err)
		}
	}
}

// TestPlainBody: without TLS nobody sends more than a picture, whether he says so before or not.
func TestPlainBody(t *testing.T) {
	w := newWorld(t)
	w.taker(t, "console")
	front := httptest.NewServer(route.Plain(w.cfg, 443))
	t.Cleanup(front.Close)
	send := func(size int64, said bool) (int, string) {
		t.Helper()
		body := io.LimitReader(zeros{}, size)
		if !said {
			body = struct{ io.Reader }{body}
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", front.URL+"/api/player-edit-media", body)
		if err != nil {
			t.Fatal(err)
		}
		if said {
			req.ContentLength = size
		}
		res, err := front.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	const most = 64 << 20
	for _, said := range []bool{true, false} {
		if code, body := send(most, said); code != http.StatusOK {
			t.Errorf("%d %s", code, body)
		}
	}
	if code, body := send(most+1, false); code != http.StatusRequestEntityTooLarge || !strings.Contains(body, "64 MB") {
		t.Errorf("%d %s", code, body)
	}
	// Who says so before is not read from.
	r := httptest.NewRequest("POST", "/api/x", strings.NewReader("x"))
	r.Host, r.ContentLength = "h", most+1
	rec := httptest.NewRecorder()
	route.Plain(w.cfg, 443).ServeHTTP(rec, r)
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestWrongPort: players in the field take no redirect, so the API says where it is.
func TestWrongPort(t *testing.T) {
	res := ask(route.WrongPort(), "POST", "http://192.0.2.1:8443/api/auth/player?x=1")
	var said struct {
		Error string
		URL   string `json:"https_url"`
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != http.StatusUpgradeRequired ||
		said.URL != "https://192.0.2.1:8443/api/auth/player?x=1" || !strings.Contains(said.Error, "https://") || res.Header.Get("Upgrade") != "TLS/1.2, HTTP/1.1" {
		t.Errorf("%d %v %+v %v", res.StatusCode, res.Header, said, err)
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

// carried is a process that notes the paths it is asked for.
type carried struct{ paths []string }

func (c *carried) RoundTrip(r *http.Request) (*http.Response, error) {
	c.paths = append(c.paths, r.URL.Path)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// FuzzPlainPath: whatever the path, without TLS console gets what is below /api/ or a challenge's token, and nothing else.
func FuzzPlainPath(f *testing.F) {
	for _, s := range []string{"/", "/api/health", "/api/../x", "/.well-known/acme-challenge/abc", "/.well-known/acme-challenge/a/b", "/.well-known/acme-challenge/%2e%2e",
		"/.well-known/acme-challenge/..%2fx", "/.well-known/acme-challenge/a%00", "//.well-known/acme-challenge/a", "/.well-known/acme-challenge/a?b=/c"} {
		f.Add("GET", s)
		f.Add("POST", s)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL, r.Host = method, u, "porthole.local"
		to := &carried{}
		route.Plain(route.Config{Log: slog.New(slog.DiscardHandler), Console: to}, 443).ServeHTTP(httptest.NewRecorder(), r)
		for _, p := range to.paths {
			clean := path.Clean(p)
			token, isToken := strings.CutPrefix(clean, "/.well-known/acme-challenge/")
			if !strings.HasPrefix(clean+"/", "/api/") && (!isToken || clean != p || strings.Contains(token, "/") || method != "GET" && method != "HEAD") {
				t.Errorf("%s %q reaches console as %q", method, target, p)
			}
		}
	})
}
