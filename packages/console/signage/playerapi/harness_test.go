package playerapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"porthole/packages/console/credential"
	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/playerapi"
	"porthole/packages/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is a database as console has it: one connection writes, some read. It counts what is written.
type file struct {
	w, r   *sql.DB
	mu     sync.Mutex
	writes int // guarded by mu
}

func (f *file) Reader() *sql.DB { return f.r }

func (f *file) Write(ctx context.Context, do func(*sql.Tx) error) error {
	f.mu.Lock()
	f.writes++
	f.mu.Unlock()
	tx, err := f.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (f *file) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// folder is a library of files by content.
type folder struct {
	dir   string
	store *db.Store
}

func (f folder) Open(sha256 string) (*os.File, error) { return os.Open(filepath.Join(f.dir, sha256)) }

var errRefused = errors.New("this is no picture that can be shown")

func (f folder) AddVersion(ctx context.Context, r io.Reader, like signage.Media) (signage.Media, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return like, err
	}
	if !bytes.HasPrefix(b, []byte("\xff\xd8")) {
		return like, errRefused
	}
	return f.add(ctx, like, b)
}

func (f folder) add(ctx context.Context, m signage.Media, b []byte) (signage.Media, error) {
	sum := sha256.Sum256(b)
	m.SHA256, m.SizeBytes = hex.EncodeToString(sum[:]), int64(len(b))
	if m.Kind == "" {
		m.Kind, m.MIME, m.Width, m.Height = signage.Image, "image/jpeg", 64, 48
	}
	if err := os.WriteFile(filepath.Join(f.dir, m.SHA256), b, 0o600); err != nil {
		return m, err
	}
	return f.store.AddMedia(ctx, m)
}

// server is an API over a database and files of its own.
type server struct {
	t       testing.TB
	api     *playerapi.API
	store   *db.Store
	file    *file
	files   folder
	hasher  *credential.Hasher
	log     *testkit.Log
	origins []string
	stop    func()
	config  playerapi.Config
}

func newServer(t testing.TB) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, hasher: credential.NewHasher(), log: &testkit.Log{}}
	s.file = openFile(t, filepath.Join(dir, "porthole.db"))
	s.store = db.New(s.file)
	s.files = folder{filepath.Join(dir, "media"), s.store}
	if err := os.Mkdir(s.files.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.config = playerapi.Config{
		Log: slog.New(slog.NewTextHandler(s.log, nil)), Store: s.store, Files: s.files, Adder: s.files, Hasher: s.hasher,
		Refused: func(err error) (string, bool) { return errRefused.Error(), errors.Is(err, errRefused) },
		Key:     bytes.Repeat([]byte{7}, 32), LongPoll: 20 * time.Second,
		Remote:  func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") },
		Origins: func() []string { return s.origins },
		Open: map[string]http.HandlerFunc{"GET /api/health": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"status":"ok"}`)
		}},
	}
	s.start()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
		for _, secret := range []string{code, "other-code", "hunter2", "auth_code"} {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, s.log)
			}
		}
	})
	return s
}

// start runs a new API on the database; stop ends it.
func (s *server) start() {
	s.api = playerapi.New(s.config)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.api.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *server) restart() {
	s.stop()
	s.start()
}

func openFile(t testing.TB, path string) *file {
	t.Helper()
	dsn := "file:" + path + "?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&"
	w, err := sql.Open("sqlite", dsn+"_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", dsn+"_pragma=query_only(1)")
	if err != nil {
		t.Fatal(err)
	}
	r.SetMaxOpenConns(4)
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	scripts, err := filepath.Glob("../../migrations/*.sql")
	if err != nil || len(scripts) < 3 {
		t.Fatalf("migrations %q, %v", scripts, err)
	}
	for _, script := range scripts {
		b, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Exec(string(b)); err != nil {
			t.Fatalf("%s: %v", script, err)
		}
	}
	return &file{w: w, r: r}
}

const code = "ABC123XYZ"

// codeHash is code's; it is computed once.
var codeHash = sync.OnceValues(func() (string, error) { return credential.NewHasher().Hash(context.Background(), code) })

func (s *server) player(hostname string, change ...func(*signage.Player)) signage.Player {
	s.t.Helper()
	p := signage.Player{Name: "Screen " + hostname, Hostname: hostname, Enabled: true, MayEdit: true}
	for _, c := range change {
		c(&p)
	}
	p, err := s.store.CreatePlayer(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	phc, err := codeHash()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.SetCode(s.t.Context(), p.ID, phc); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// jpegBytes is no picture that anybody could see, but begins like one.
func jpegBytes(what string) []byte { return []byte("\xff\xd8\xff\xe0" + what) }

// playlist makes and publishes a playlist of pictures with those names, and of more items.
func (s *server) playlist(name string, pictures []string, more ...signage.Item) signage.Playlist {
	s.t.Helper()
	ctx := s.t.Context()
	p, err := s.store.CreatePlaylist(ctx, name)
	if err != nil {
		s.t.Fatal(err)
	}
	var items []signage.Item
	for _, picture := range pictures {
		m, err := s.files.add(ctx, signage.Media{Name: picture}, jpegBytes(picture))
		if err != nil {
			s.t.Fatal(err)
		}
		items = append(items, signage.Item{Kind: signage.ItemMedia, MediaID: m.ID})
	}
	if _, err := s.store.AddItems(ctx, p.ID, 0, append(items, more...)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.publish(p.ID); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *server) publish(id int64) error {
	_, err := s.store.Publish(s.t.Context(), id)
	return err
}

// answer is what a call answered.
type answer struct {
	status int
	header http.Header
	body   []byte
	t      testing.TB
}

// into reads the JSON.
func (a answer) into(v any) answer {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return a
}

// want fails unless the answer has the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if status >= 400 {
		var e struct{ Error string }
		if err := json.Unmarshal(a.body, &e); err != nil || e.Error == "" {
			a.t.Errorf("no error in %s", a.body)
		}
	}
	return a
}

// do sends a request; headers are names and values.
func (s *server) do(method, target, body string, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(body))
	r.Host = "192.168.0.121"
	r.Header.Set("X-Forwarded-For", "192.168.0.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if h := r.Header.Get("X-Forwarded-Host"); h != "" {
		r.Host = h
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	res := w.Result()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b, s.t}
}

// login authenticates and returns the auth code.
func (s *server) login(hostname string) string {
	s.t.Helper()
	var a struct {
		AuthCode string `json:"auth_code"`
	}
	s.do("POST", "/api/auth/player", `{"hostname":"`+hostname+`","quickconnect_code":"`+code+`"}`).want(200).into(&a)
	if len(a.AuthCode) < 43 {
		s.t.Fatalf("auth code %q", a.AuthCode)
	}
	return a.AuthCode
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not after 30 s: %s", what)
		}
		<-tick.C
	}
}

// countingHasher counts what is computed.
type countingHasher struct {
	next playerapi.Hasher
	mu   sync.Mutex
	n    int // guarded by mu
}

func (h *countingHasher) Matches(ctx context.Context, from credential.Line, secret, phc string) (bool, error) {
	h.mu.Lock()
	h.n++
	h.mu.Unlock()
	return h.next.Matches(ctx, from, secret, phc)
}

func (h *countingHasher) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}
