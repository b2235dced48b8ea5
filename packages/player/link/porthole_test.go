package link_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	device "porthole/packages/system/authority"
	"porthole/packages/system/pairs"
)

// call is what a server was asked.
type call struct {
	Method, Path, Query, Bearer, Agent string
	Body                               map[string]any
	raw                                []byte
}

// porthole is as much of another Porthole as a test needs to make it go wrong.
type porthole struct {
	t   *testing.T
	srv *httptest.Server
	url string

	mu sync.Mutex // guards what follows
	// before may answer instead, true if it did.
	before  func(w http.ResponseWriter, r *http.Request) bool
	calls   []call
	cert    *tls.Certificate
	program program.Program
	etag    int
	changed chan struct{}
	auth    string // the auth code that is good
	next    string // the one that verify hands out
	pair    string // what pair/token says; empty: the auth code
	pairs   int
}

// certificate makes a device's certificates as system does.
func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	device.Open(device.Config{
		Log: log, CADir: filepath.Join(dir, "ca"),
		Pairs:     pairs.New(pairs.Config{Log: log, Dir: filepath.Join(dir, "tls"), GID: pairs.KeepGroup, Journal: pairs.OpenJournal(log, filepath.Join(dir, "log"))}),
		Hostname:  func() string { return "porthole" },
		Addresses: func() ([]net.Addr, error) { return nil, nil },
	})
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls", "device", "fullchain.pem"), filepath.Join(dir, "tls", "device", "privkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func newPorthole(t *testing.T) *porthole {
	t.Helper()
	p := &porthole{t: t, cert: certificate(t), changed: make(chan struct{}), auth: "the-auth-code", program: oneList("menu.jpg")}
	p.srv = httptest.NewUnstartedServer(p)
	p.srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*p.cert}}, nil
	}}
	p.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.srv.StartTLS()
	p.url = p.srv.URL
	t.Cleanup(func() {
		p.set(func() { p.change() })
		p.srv.CloseClientConnections()
		p.srv.Close()
	})
	return p
}

// oneList is a program with one playlist of pictures.
func oneList(names ...string) program.Program {
	list := program.Playlist{ID: 1, Name: "Menu", Version: 1, Transition: "cut", Items: []program.Item{}}
	for n, name := range names {
		list.Items = append(list.Items, program.Item{ID: int64(n + 1), Kind: "image", FileName: name, URL: "/api/media/token/" + name, SHA256: strings.Repeat("a", 64), SizeBytes: 5, MediaID: 1, DurationMS: 1000, Fit: "fit"})
	}
	return program.Program{Revision: 1, Timezone: "UTC", PlayerID: 7, PlayerName: "Shop TV", Orientation: "landscape", Playlists: []program.Playlist{list}, Base: 1}
}

func (p *porthole) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// change wakes who waits; the caller holds mu.
func (p *porthole) change() {
	p.etag++
	close(p.changed)
	p.changed = make(chan struct{})
}

// answerWith lets f answer everything that has this prefix.
func (p *porthole) answerWith(prefix string, f http.HandlerFunc) {
	p.set(func() {
		p.before = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, prefix) || f == nil {
				return false
			}
			f(w, r)
			return true
		}
	})
}

func fail(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// seen are the calls so far on a path.
func (p *porthole) seen(path string) (list []call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if strings.HasPrefix(c.Path, path) {
			list = append(list, c)
		}
	}
	return list
}

func (p *porthole) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c := call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Bearer: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), Agent: r.UserAgent(), raw: b}
	json.Unmarshal(b, &c.Body)
	p.mu.Lock()
	p.calls = append(p.calls, c)
	before, auth, next, pair := p.before, p.auth, p.next, p.pair
	p.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	say := func(status int, format string, args ...any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, format, args...)
	}
	welcome := func(code string) {
		say(200, `{"success":true,"player_id":7,"player_name":"Shop TV","hostname":"till","auth_code":%q,"playlist_id":null,"group_id":null,"orientation":"landscape"}`, code)
	}
	needsAuth := strings.HasPrefix(r.URL.Path, "/api/players/") || r.URL.Path == "/api/auth/verify" || r.URL.Path == "/api/player-feedback"
	if needsAuth && (c.Bearer != auth && (next == "" || c.Bearer != next)) {
		say(401, `{"error":"this auth code is over"}`)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/health":
		say(200, `{"status":"ok","version":"2.0.0","product":"porthole"}`)
	case "POST /api/auth/player":
		if c.Body["hostname"] != "till" || c.Body["quickconnect_code"] != "ABC123XYZ" {
			say(401, `{"error":"hostname and code do not belong together"}`)
			return
		}
		welcome(auth)
	case "POST /api/auth/verify":
		say(200, `{"valid":true,"player_id":7,"player_name":"Shop TV","auth_code":%q}`, next)
	case "POST /api/pair":
		p.set(func() {
			p.pairs++
			say(200, `{"device_code":"device-code-%d","user_code":"BCDF-234%d","verification_uri":"%s/screens/pair","expires_in":900,"interval":1}`, p.pairs, p.pairs, p.url)
		})
	case "POST /api/pair/token":
		if pair != "" {
			say(400, `{"error":%q,"error_description":"x"}`, pair)
			return
		}
		welcome(auth)
	case "GET /api/players/7/program":
		p.serveProgram(w, r)
	case "POST /api/players/7/screenshot":
		w.WriteHeader(204)
	case "POST /api/player-feedback":
		say(200, `{"success":true,"kept":true}`)
	default:
		say(404, `{"error":"there is no such call"}`)
	}
}

func (p *porthole) serveProgram(w http.ResponseWriter, r *http.Request) {
	for {
		p.mu.Lock()
		etag, changed, prog := fmt.Sprintf(`W/"%d"`, p.etag), p.changed, p.program
		p.mu.Unlock()
		if r.Header.Get("If-None-Match") != etag {
			w.Header().Set("ETag", etag)
			prog.Time = time.Now()
			json.NewEncoder(w).Encode(prog) //nolint:errchkjson // the client tells
			return
		}
		if r.URL.Query().Get("wait") == "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// publish changes the program.
func (p *porthole) publish(f func(*program.Program)) {
	p.set(func() {
		f(&p.program)
		p.program.Revision++
		p.change()
	})
}

func (p *porthole) settings() settings.PlayerSettings {
	return settings.PlayerSettings{Server: p.url, Hostname: "till", QuickConnectCode: "ABC123XYZ"}
}
