package cache_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/testkit"
	"porthole/packages/player/cache"
)

// crashDir is set, to the cache's folder, for the process that is killed again and again.
const crashDir = "CACHE_TEST_CRASH"

// crashRounds is how often the power is cut.
const crashRounds = 40

// crashProgram is the program of a revision: some of its media are those of the ones before, one has no hash, and one
// address has another content in each revision.
func crashProgram(revision int64) (program.Program, *server) {
	s := newServer()
	var items []program.Item
	for n := revision; n < revision+5; n++ {
		b := content(uint64(n%7), 40_000+int(n%7)*10_000)
		items = append(items, s.put(fmt.Sprint(n%7), b))
		items[len(items)-1].ID = n
	}
	items[1] = unhashed(items[1])
	moving := s.put("moving", content(100+uint64(revision%5), 50_000))
	moving.ID = 1000
	return show(revision, append(items, unhashed(moving))...), s
}

// slowBody takes its time, so that the power is cut while it comes.
type slowBody struct {
	io.Reader
	ctx context.Context
}

func (b slowBody) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(50 * time.Microsecond):
	}
	return b.Reader.Read(p[:min(len(p), 2000)])
}

func (slowBody) Close() error { return nil }

// crashChild is that process: it wants one program after the other, from the one that plays on, and says so.
func crashChild() {
	fmt.Println("begins") //nolint:forbidigo // it is how the test hears of it
	var mu sync.Mutex
	var current *server
	ready := make(chan int64, 100)
	c := cache.New(cache.Config{
		Log: slog.New(slog.DiscardHandler), Dir: os.Getenv(crashDir), Limit: 700_000, Now: time.Now,
		Source: ctxSource(func(ctx context.Context, url string, offset int64, tag string) (*cache.Part, error) {
			mu.Lock()
			s := current
			mu.Unlock()
			p, err := s.Get(ctx, url, offset, tag)
			if err == nil {
				p.Body = slowBody{p.Body, ctx}
			}
			return p, err
		}),
		Ready: func(p program.Program) { ready <- p.Revision },
	})
	c.SyncEvery(10_000)
	now, _ := c.Current()
	next := now.Revision + 1
	want := func() {
		p, s := crashProgram(next)
		mu.Lock()
		current = s
		mu.Unlock()
		c.Want(p)
		next++
	}
	want()
	go func() {
		for r := range ready {
			if now, _ := c.Current(); len(idsOf(now)) == 6 {
				fmt.Println(r) //nolint:forbidigo // it is how the test hears of it
				want()
			}
		}
	}()
	_ = c.Run(context.Background())
}

type ctxSource func(ctx context.Context, url string, offset int64, tag string) (*cache.Part, error)

func (f ctxSource) Get(ctx context.Context, url string, offset int64, tag string) (*cache.Part, error) {
	return f(ctx, url, offset, tag)
}

// TestPowerCuts kills the process at any moment, and takes from the disk what was not synced: what was said to be ready
// plays afterwards, each file of it whole.
func TestPowerCuts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	told, programs := int64(0), 0
	for round := 0; round < crashRounds || programs < crashRounds/4; round++ {
		last := int64(0)
		for _, word := range testkit.CutPower(t, crashDir, dir, 250*time.Millisecond) {
			_, _ = fmt.Sscan(word, &last)
			programs++
		}
		told = max(told, last)
		loseUnsynced(t, filepath.Join(dir, "parts"))
		checkAfterCrash(t, dir, told)
	}
	// And goes on.
	p := newPlayer(t, dir, nil)
	now, _ := p.Current()
	p.stop()
	next, s := crashProgram(now.Revision + 1)
	p = newPlayer(t, dir, s)
	p.Want(next)
	p.wait("the next program", func() bool { now, _ := p.Current(); return now.Revision == next.Revision && len(idsOf(now)) == 6 })
}

func checkAfterCrash(t *testing.T, dir string, told int64) {
	t.Helper()
	p := &player{t: t}
	p.Cache = cache.New(cache.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Dir: dir, Now: time.Now})
	now, ok := p.Current()
	if told > 0 && (!ok || now.Revision < told) {
		t.Fatalf("revision %d plays, though %d was ready", now.Revision, told)
	}
	if told > 0 && p.State().Problem != "" {
		t.Error(p.State().Problem)
	}
	p.opens(now)
	if n := len(idsOf(now)); told > 1 && now.Revision == told && n != 6 {
		t.Errorf("%d items of revision %d", n, now.Revision)
	}
	if told == 0 {
		return // the first program plays as far as it is here, and what has no hash is then whatever came last
	}
	// What has no hash is what the server had when the program came.
	_, s := crashProgram(now.Revision)
	for _, l := range now.Playlists {
		for _, i := range l.Items {
			if want := hashOf(s.files[i.URL]); i.SHA256 != want {
				t.Errorf("item %d has another content", i.ID)
			}
		}
	}
}

// loseUnsynced does what a power cut may do to what was written and not synced: some of it becomes zeros.
func loseUnsynced(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".new") {
			continue
		}
		var side struct{ Done int64 }
		if b, err := os.ReadFile(name + ".json"); err == nil {
			if err := json.Unmarshal(b, &side); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) < side.Done {
			t.Fatalf("%s: %d bytes, %d said to be synced", name, len(b), side.Done)
		}
		clear(b[side.Done:])
		if err := os.WriteFile(name, b[:side.Done+rand.N(int64(len(b))-side.Done+1)], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
