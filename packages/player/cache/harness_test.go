package cache_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/program"
	"porthole/packages/internal/testkit"
	"porthole/packages/player/cache"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashDir) != "" {
		crashChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// server is a source of media in memory.
type server struct {
	mu    sync.Mutex
	files map[string][]byte // by address
	tags  map[string]string // by address; the content's hash where there is none
	errs  map[string]error  // by address, "*" for all
	// cut, if set, ends a body after so many bytes. whole never resumes. asked has each request.
	cut    int
	more   int // bytes that come after what was said
	whole  bool
	unsaid bool // sizes are not said
	asked  []request
	block  chan struct{} // if set, bodies wait for it
}

type request struct {
	url    string
	offset int64
	tag    string
}

func newServer() *server {
	return &server{files: map[string][]byte{}, tags: map[string]string{}, errs: map[string]error{}}
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// content is a file of so many bytes that looks like no other.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// put makes a file available and returns an item for it.
func (s *server) put(name string, b []byte) program.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	url := "https://server/media/" + name
	s.files[url] = b
	return program.Item{
		ID: int64(len(s.files)), Kind: "image", FileName: name, URL: url, SHA256: hashOf(b), SizeBytes: int64(len(b)), DurationMS: 1000, Fit: "fit",
	}
}

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Get is as of a server that knows ranges.
func (s *server) Get(ctx context.Context, url string, offset int64, tag string) (*cache.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, request{url, offset, tag})
	if err := errors.Join(s.errs[url], s.errs["*"]); err != nil {
		return nil, err
	}
	b, ok := s.files[url]
	if !ok {
		return nil, cache.ErrGone
	}
	own := s.tags[url]
	if own == "" {
		own = `"` + hashOf(b) + `"`
	}
	if own == "none" {
		own = ""
	}
	if s.whole || tag != "" && tag != own {
		offset = 0
	}
	if offset >= int64(len(b)) && offset > 0 {
		return nil, fmt.Errorf("%w: 416", cache.ErrServer)
	}
	rest := b[offset:]
	var body io.Reader = bytes.NewReader(rest)
	if s.cut > 0 && s.cut < len(rest) {
		body = io.MultiReader(bytes.NewReader(rest[:s.cut]), brokenReader{})
	}
	if s.more > 0 && len(b) > 500 {
		body = bytes.NewReader(append(bytes.Clone(rest), make([]byte, s.more)...))
	}
	size := int64(len(b))
	if s.unsaid {
		size = -1
	}
	return &cache.Part{Body: &bodyReader{ctx, body, s.block}, From: offset, Size: size, Tag: own}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

type bodyReader struct {
	ctx   context.Context
	r     io.Reader
	block chan struct{}
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.block != nil {
		select {
		case <-b.block:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p[:min(len(p), 1000)])
}

func (b *bodyReader) Close() error { return nil }

// player is a cache, and what it said is ready.
type player struct {
	*cache.Cache
	t    *testing.T
	dir  string
	log  *testkit.Log
	stop func()

	mu    sync.Mutex
	ready []program.Program
}

// newPlayer starts a cache in dir.
func newPlayer(t *testing.T, dir string, s cache.Source, options ...func(*cache.Config)) *player {
	t.Helper()
	p := &player{t: t, dir: dir, log: &testkit.Log{}}
	cfg := cache.Config{
		Log: slog.New(slog.NewTextHandler(p.log, nil)), Dir: dir, Limit: 1 << 30, Reserve: 1, Source: s, Now: time.Now,
		Ready: func(r program.Program) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ready = append(p.ready, r)
		},
	}
	for _, f := range options {
		f(&cfg)
	}
	p.Cache = cache.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(ctx) })
	p.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(p.stop)
	return p
}

// wait waits until a condition holds: 30 s, or a day in a bubble of synctest.
func (p *player) wait(what string, ok func() bool) {
	p.t.Helper()
	patience, look := 30*time.Second, time.Millisecond
	if time.Now().Year() < 2020 {
		patience, look = 24*time.Hour, 500*time.Millisecond
	}
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			p.t.Fatalf("not within %s: %s\n%+v\n%s", patience, what, p.State(), p.log)
		}
		<-time.After(look)
	}
}

// plays waits until a program is ready that has exactly these items, in order, each of which can be opened.
func (p *player) plays(revision int64, items ...program.Item) {
	p.t.Helper()
	want := make([]int64, 0, len(items))
	for _, i := range items {
		want = append(want, i.ID)
	}
	p.wait(fmt.Sprintf("revision %d with items %v", revision, want), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.ready) > 0 && p.ready[len(p.ready)-1].Revision == revision && slices.Equal(idsOf(p.ready[len(p.ready)-1]), want)
	})
	current, _ := p.Current()
	if !slices.Equal(idsOf(current), want) {
		p.t.Errorf("Current has %v, want %v", idsOf(current), want)
	}
	p.opens(current)
}

// wasReady reports whether a program with exactly these items was ready once.
func (p *player) wasReady(revision int64, items ...program.Item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.ready, func(r program.Program) bool {
		return r.Revision == revision && slices.EqualFunc(idsOf(r), items, func(id int64, i program.Item) bool { return id == i.ID })
	})
}

// never checks that a program was never ready.
func (p *player) never(revision int64) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.ready, func(r program.Program) bool { return r.Revision == revision }) {
		p.t.Errorf("revision %d was ready", revision)
	}
}

// opens reads each file of a program.
func (p *player) opens(current program.Program) {
	p.t.Helper()
	for _, l := range current.Playlists {
		for _, i := range l.Items {
			if i.Kind != "image" && i.Kind != "video" {
				continue
			}
			f, err := p.Open(i.SHA256)
			if err != nil {
				p.t.Errorf("%s: %v", i.FileName, err)
				continue
			}
			b, err := io.ReadAll(f)
			f.Close()
			if err != nil || hashOf(b) != i.SHA256 || int64(len(b)) != i.SizeBytes {
				p.t.Errorf("%s: %d bytes of %d, %v", i.FileName, len(b), i.SizeBytes, err)
			}
		}
	}
}

func idsOf(p program.Program) []int64 {
	ids := []int64{}
	for _, l := range p.Playlists {
		for _, i := range l.Items {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// show is a program with one playlist.
func show(revision int64, items ...program.Item) program.Program {
	return program.Program{
		Revision: revision, Timezone: "UTC", Base: 1,
		Playlists: []program.Playlist{{ID: 1, Name: "base", Version: revision, Transition: "cut", Items: items}},
	}
}

func text(id int64, s string) program.Item {
	return program.Item{ID: id, Kind: "text", Text: s, DurationMS: 1000, Fit: "fit"}
}

// files are the names in a folder of the cache.
func (p *player) files(folder string) []string {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, folder))
	if err != nil {
		p.t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
