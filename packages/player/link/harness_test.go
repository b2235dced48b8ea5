package link_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/player/link"
	"porthole/packages/player/playback"
	"porthole/packages/player/spool"
	"porthole/packages/player/trust"
	device "porthole/packages/system/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// eventually waits until ok says nothing.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// clock is the real one, and notes what servers say.
type clock struct {
	mu   sync.Mutex
	said []time.Time // guarded by mu
}

func (*clock) Now() time.Time { return time.Now() }

func (c *clock) FromServer(t time.Time, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, t)
}

func (c *clock) heard() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.said)
}

// player is a link with all that belongs to it.
type player struct {
	t     *testing.T
	dir   string
	log   *testkit.Log
	clock *clock
	roots *x509.CertPool
	*link.Link
	trust    *trust.Trust
	spool    *spool.Spool
	programs chan program.Program
	identify chan time.Time
	stop     func()
}

func newPlayer(t *testing.T) *player {
	t.Helper()
	p := &player{t: t, dir: t.TempDir(), log: &testkit.Log{}, clock: &clock{}, roots: x509.NewCertPool()}
	p.start()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("state %+v\nlog:\n%s", p.State(), p.log)
		}
		for _, secret := range secrets {
			if strings.Contains(p.log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, p.log)
			}
		}
	})
	return p
}

// secrets are what no log may have.
var secrets = []string{"ABC123XYZ", "the-auth-code", "a-newer-code", "Bearer ", "device-code"}

func (p *player) start() {
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.trust = trust.Open(trust.Config{Log: log, Dir: p.dir, Roots: p.roots})
	p.spool = spool.New(spool.Config{Log: log, Dir: filepath.Join(p.dir, "spool")})
	p.programs, p.identify = make(chan program.Program, 100), make(chan time.Time, 1000)
	console := unixsock.Transport(filepath.Join(p.dir, "console.sock"))
	p.Link = link.New(link.Config{
		Log: log, Dir: p.dir, Agent: "Porthole/test", Console: console, Trust: p.trust, Clock: p.clock, Spool: p.spool,
		Program:  func(prog program.Program) { p.programs <- prog },
		Identify: func(_ string, until time.Time) { p.identify <- until },
		Shot:     func() ([]byte, error) { return []byte("\xff\xd8 a picture"), nil },
	})
	p.Hasten(50*time.Millisecond, 200*time.Millisecond, time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { p.Run(ctx) })
	work.Go(func() {
		if err := p.spool.Run(ctx); err != nil {
			p.t.Error(err)
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
		console.CloseIdleConnections()
	})
}

func (p *player) restart() {
	p.stop()
	p.start()
}

// to connects to a server, quickly.
func (p *player) to(s settings.PlayerSettings) {
	if s.RetryDelay == 0 {
		s.RetryDelay, s.RetryAttempts = 1, 100
	}
	p.Set(s, "shop-tv")
}

// next is the next program.
func (p *player) next() program.Program {
	p.t.Helper()
	select {
	case prog := <-p.programs:
		return prog
	case <-time.After(patience):
		p.t.Fatalf("no program; state %+v", p.State())
		return program.Program{}
	}
}

// trouble waits for a problem of a cause, with all of these words in what is said.
func (p *player) trouble(cause link.Cause, words ...string) link.State {
	p.t.Helper()
	var s link.State
	eventually(p.t, fmt.Sprintf("a problem %q that says %q", cause, words), func() bool {
		s = p.State()
		return s.Cause == cause && s.Problem != "" && s.Step != "" && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s.Problem+" "+s.Step, w) })
	})
	return s
}

func (p *player) well() {
	p.t.Helper()
	eventually(p.t, "a connection", func() bool { s := p.State(); return s.Connected && s.Cause == "" })
}

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
	device.Open(device.Config{
		Log: slog.New(slog.DiscardHandler), CADir: filepath.Join(dir, "ca"), TLSDir: dir, GID: -1,
		Hostname:  func() string { return "porthole" },
		Addresses: func() ([]net.Addr, error) { return nil, nil },
	})
	c, err := tls.LoadX509KeyPair(filepath.Join(dir, "device", "fullchain.pem"), filepath.Join(dir, "device", "privkey.pem"))
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
	json.Unmarshal(b, &c.Body) //nolint:errcheck // not all are JSON
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

func readFile(t *testing.T, path string) (string, os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), st.Mode().Perm()
}

func event(status, message string) playback.Event {
	return playback.Event{Status: status, Message: message, Time: time.Now()}
}

func fingerprint(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return err.Error()
	}
	return trust.Fingerprint(c)
}
