package route_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/unixsock"
	"porthole/packages/proxy/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers says who is who by cookie.
type answers struct{}

func (answers) Ask(_ context.Context, c identity.Credentials) (identity.Identity, error) {
	switch c.Cookie {
	case "session=anna":
		return identity.Identity{User: "anna", Role: identity.Viewer, Cameras: []string{"door from " + c.Remote}}, nil
	case "session=bert":
		return identity.Identity{User: "bert", Role: identity.Viewer}, nil
	case "session=token":
		return identity.Identity{User: "bert", Role: identity.Viewer, Scopes: []identity.Scope{identity.ScopeView}}, nil
	case "session=meter":
		return identity.Identity{User: "bert", Role: identity.Viewer, Scopes: []identity.Scope{identity.ScopeMetrics}}, nil
	case "session=lost":
		return identity.Identity{}, errors.New("nobody at home")
	}
	return identity.Identity{}, identity.ErrDenied
}

// seen is what a process was asked.
type seen struct {
	Process string
	Header  http.Header
	Path    string
	Host    string
	Body    int
}

// world is the processes behind the routes; a test stops and starts them.
type world struct {
	cfg route.Config
	dir string
	log *strings.Builder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), log: &strings.Builder{}}
	console, signaling := unixsock.Transport(w.socket("console")), unixsock.Transport(w.socket("signaling"))
	t.Cleanup(console.CloseIdleConnections)
	t.Cleanup(signaling.CloseIdleConnections)
	w.cfg = route.Config{Log: slog.New(slog.NewTextHandler(w.log, nil)), Console: console, Signaling: signaling, Asker: answers{}}
	return w
}

func (w *world) socket(process string) string { return filepath.Join(w.dir, process+".sock") }

// start runs a process that answers with what it saw, and returns what stops it.
func (w *world) start(t *testing.T, process string) (stop func()) {
	t.Helper()
	return w.serve(t, process, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Errorf("%s reads a body: %v", process, err)
		}
		json.NewEncoder(rw).Encode(seen{process, r.Header, r.URL.Path, r.Host, int(n)})
	}))
}

// taker starts a process that takes bodies which may break off.
func (w *world) taker(t *testing.T, process string) (stop func()) {
	t.Helper()
	return w.serve(t, process, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
}

func (w *world) serve(t *testing.T, process string, h http.Handler) (stop func()) {
	t.Helper()
	l, err := unixsock.Listen(w.socket(process), unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := unixsock.Serve(ctx, l, h); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// ask sends a request, with headers in pairs, through h.
func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = "[::ffff:192.0.2.7]:4321"
	for p := range slices.Chunk(header, 2) {
		r.Header.Add(p[0], p[1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result()
}

func sawOf(t *testing.T, res *http.Response) seen {
	t.Helper()
	var s seen
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	return s
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	w.start(t, "console")
	w.start(t, "signaling")
	h := route.Public(w.cfg)
	for target, want := range map[string]string{
		"/": "console", "/login": "console", "/lives": "console", "/live/x": "console", "/api/health": "console", "/metrics": "console", "/wsx": "console",
		"/ws/x": "console", "/livestream": "console", "/cameras": "console", "//cameras/x": "console", "/a/../cameras/x": "console",
		"/live": "signaling", "/ws": "signaling", "/ws?x=1": "signaling", "/livestream/viewer?camera=a": "signaling", "/cameras/a/whep": "signaling",
	} {
		if s := sawOf(t, ask(h, "GET", "https://porthole.local"+target)); s.Process != want {
			t.Errorf("%s went to %s", target, s.Process)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	w.start(t, "console")
	w.start(t, "signaling")
	h := route.Public(w.cfg)
	lies := []string{
		identity.Header, "bGll", "porthole-identity", "bGll", "Porthole-Identity-2", "x", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "gopher",
		"X-Forwarded-Host", "evil.example", "Porthole-TLS", "SSL 3.0", "X-Forwarded-Port", "1", "Forwarded", "for=1.2.3.4", "X-Real-Ip", "1.2.3.4",
		"Connection", "Porthole-Identity, X-Forwarded-For", "User-Agent", "test", "Accept-Encoding", "br",
	}
	for _, c := range []struct{ path, cookie, user string }{
		{"/cameras/a/whep", "session=anna", "anna"},
		{"/cameras/a/whep", "session=old", ""},
		{"/cameras/a/whep", "", ""},
		{"/api/x", "session=anna", ""}, // console finds out by itself
	} {
		res := ask(h, "GET", "https://porthole.local:8443"+c.path, append(lies, "Cookie", c.cookie)...)
		s := sawOf(t, res)
		id, err := identity.Of(s.Header)
		if c.user == "" && !errors.Is(err, identity.ErrDenied) {
			t.Errorf("%s %q: identity %+v, %v", c.path, c.cookie, id, err)
		}
		if c.user != "" {
			if d := cmp.Diff(identity.Identity{User: "anna", Role: identity.Viewer, Cameras: []string{"door from 192.0.2.7"}}, id); d != "" || err != nil {
				t.Errorf("%v %s", err, d)
			}
		}
		delete(s.Header, identity.Header)
		want := http.Header{
			"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"porthole.local:8443"},
			"User-Agent": {"test"}, "Accept-Encoding": {"br"}, "Cookie": {c.cookie},
		}
		if d := cmp.Diff(want, s.Header); d != "" {
			t.Errorf("%s: %s", c.path, d)
		}
		if s.Host != "porthole.local:8443" {
			t.Errorf("host %s", s.Host)
		}
	}
}

// TestWhoUnknown: while console cannot say who somebody is nobody is turned away as a stranger.
func TestWhoUnknown(t *testing.T) {
	w := newWorld(t)
	w.start(t, "signaling")
	res := ask(route.Public(w.cfg), "GET", "https://h/cameras/a/whep", "Cookie", "session=lost")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "console is restarting") {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
}

// TestDown: a dead process is named, pages try again, programs get JSON, and the log says it once.
func TestDown(t *testing.T) {
	w := newWorld(t)
	stop := w.start(t, "console")
	h := route.Public(w.cfg)
	sawOf(t, ask(h, "GET", "https://h/"))
	stop()
	for _, c := range []struct{ path, accept, contentType, text string }{
		{"/", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8", `<meta http-equiv="refresh" content="2">`},
		{"/", "text/html", "text/html; charset=utf-8", "process “console” does not answer"},
		{"/livestream/viewer", "text/html", "text/html; charset=utf-8", "process “signaling” does not answer"},
		{"/", "*/*", "application/json", `"process":"console"`},
		{"/api/health", "", "application/json", `"process":"console"`},
		{"/api/health", "text/html", "application/json", `"error":"The process “console”`},
		{"/cameras/a/whep", "", "application/json", `"process":"signaling"`},
	} {
		res := ask(h, "GET", "https://h"+c.path, "Accept", c.accept)
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusBadGateway || !strings.Contains(string(body), c.text) {
			t.Errorf("%s: %d %s %v", c.path, res.StatusCode, body, err)
		}
		if got := res.Header.Get("Content-Type"); got != c.contentType {
			t.Errorf("%s: %s", c.path, got)
		}
		if res.Header.Get("Retry-After") != "2" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", c.path, res.Header)
		}
		if strings.HasPrefix(c.contentType, "text/html") && !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", c.path, res.Header)
		}
	}
	w.start(t, "console")
	sawOf(t, ask(h, "GET", "https://h/"))
	if n := strings.Count(w.log.String(), "backend=console"); n != 2 {
		t.Errorf("want one line for the end and one for the return:\n%s", w.log)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	h := route.Public(w.cfg)
	if res := ask(h, "CONNECT", "h:443"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %d", res.StatusCode)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = `evil"><script>`
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest || strings.Contains(rec.Body.String(), "<script>") {
		t.Errorf("bad host: %d %s", rec.Code, rec.Body)
	}
}

// TestMetricsRoute: metrics are for those who may see every camera and for tokens made for it, and console never sees the request.
func TestMetricsRoute(t *testing.T) {
	w := newWorld(t)
	w.cfg.Metrics = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "up 1\n") })
	h := route.Public(w.cfg)
	for cookie, want := range map[string]int{"session=bert": 200, "session=meter": 200, "session=anna": 403, "session=token": 403, "session=old": 401, "session=lost": 503} {
		res := ask(h, "GET", "https://h/metrics", "Cookie", cookie)
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != want || strings.Contains(string(body), "up 1") != (want == 200) {
			t.Errorf("%s: %d %s", cookie, res.StatusCode, body)
		}
		if (res.Header.Get("WWW-Authenticate") != "") != (want == 401) {
			t.Errorf("%s: %v", cookie, res.Header)
		}
	}
}

// rounds answers requests by looking at their headers.
type rounds func(map[string][]string)

func (f rounds) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r.Header)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
