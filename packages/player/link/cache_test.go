package link_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/cache"
)

// TestThroughTheCache: what original servers and ours have comes whole into the cache, also where the server does not say
// what it is, and where the connection breaks in the middle again and again.
func TestThroughTheCache(t *testing.T) {
	content := bytes.Repeat([]byte("a picture, or most of one. "), 40_000) // 1 MB
	sum := sha256.Sum256(content)
	sha := hex.EncodeToString(sum[:])

	o := newOriginal(t, true)
	if err := os.WriteFile(filepath.Join(o.dir, "media", "menu.jpg"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	o.configure(nil, originalItem{"id": 1, "file_name": "menu.jpg", "type": "image", "url": "/static/uploads/menu.jpg"})
	p := newPlayer(t)
	p.to(o.settings())
	p.cached(t, sha, content)

	srv, p := newPorthole(t), newPlayer(t)
	srv.program.Playlists[0].Items[0].SHA256, srv.program.Playlists[0].Items[0].SizeBytes = sha, int64(len(content))
	srv.program.Playlists[0].Items[0].URL = srv.url + "/api/media/token/menu.jpg"
	var mu sync.Mutex
	asked := 0
	srv.answerWith("/api/media/", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked++
		broken := asked < 4
		mu.Unlock()
		w.Header().Set("ETag", `"`+sha+`"`)
		if broken {
			w = &breaking{w, 300_000}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	p.to(srv.settings())
	p.cached(t, sha, content)
	mu.Lock()
	defer mu.Unlock()
	if asked < 4 {
		t.Errorf("asked %d times", asked)
	}
}

// breaking ends the connection after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}

// cached waits until the next program's one medium is in a cache, and reads it there.
func (p *player) cached(t *testing.T, sha string, content []byte) {
	t.Helper()
	ready := make(chan program.Program, 10)
	c := cache.New(cache.Config{
		Log: slog.New(slog.NewTextHandler(p.log, nil)), Dir: filepath.Join(p.dir, "cache"), Source: p.Link, Now: time.Now,
		Ready: func(p program.Program) { ready <- p },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c.Want(p.next())
	// What is not here yet is left out at first.
	var items []program.Item
	for end := time.After(2 * patience); len(items) == 0; {
		select {
		case prog := <-ready:
			items = prog.Playlists[0].Items
		case <-end:
			t.Fatalf("nothing is ready: %+v", c.State())
		}
	}
	if items[0].SHA256 != sha {
		t.Errorf("SHA-256 %s", items[0].SHA256)
	}
	f, err := c.Open(sha)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
