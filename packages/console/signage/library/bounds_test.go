package library_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/console/signage/library"
)

// TestBounds: nobody fills the device with uploads that were only begun; resting ones make room after a while.
func TestBounds(t *testing.T) {
	s := newShelf(t)
	for range 128 {
		s.begin("a.jpg", 10)
	}
	res := s.request("POST", "/uploads/", nil, "Upload-Length", "10")
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(words(t, res), "not finished") {
		t.Errorf("one too many: %s", res.Status)
	}
	s.begin("b.jpg", 10, "Test-Account", "bert")
	s.stop()
	old := time.Now().Add(-2 * time.Hour)
	for _, f := range s.files("uploads") {
		if err := os.Chtimes(filepath.Join(s.dir, "uploads", f), old, old); err != nil {
			t.Fatal(err)
		}
	}
	s.open()
	s.begin("c.jpg", 10)
	if n := len(s.files("uploads")); n != 2*129 {
		t.Errorf("%d files", n)
	}
	// Six connections at once; the seventh waits its turn.
	var paths []string
	for range 7 {
		paths = append(paths, s.begin("d.jpg", 1000))
	}
	for i, p := range paths[:6] {
		c := s.send(p, 0, 1000, make([]byte, 100))
		defer c.Close()
		eventually(t, fmt.Sprintf("connection %d writes", i), func() bool {
			// The bytes lie in the buffer until the part is full; only the turn shows.
			return s.Writing("anna") == i+1
		})
	}
	if res := s.patch(paths[6], 0, make([]byte, 10)); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a seventh connection: %s", res.Status)
	}
}

// TestQueueIsBounded: complete uploads that wait to be looked at count too.
func TestQueueIsBounded(t *testing.T) {
	s := newShelf(t)
	s.index.hold = make(chan struct{})
	release := sync.OnceFunc(func() { close(s.index.hold) })
	defer release()
	b := padded(t, 2000)
	var paths []string
	for len(paths) < 200 {
		res := s.request("POST", "/uploads/", nil, "Upload-Length", "2000")
		if res.StatusCode == http.StatusTooManyRequests {
			break
		}
		paths = append(paths, res.Header.Get("Location"))
		s.patch(paths[len(paths)-1], 0, b)
	}
	if len(paths) != 128 {
		t.Errorf("%d uploads wait", len(paths))
	}
	release()
	for _, p := range paths {
		if v := s.outcome(p); v.State != library.Ready {
			t.Fatalf("%+v", v)
		}
	}
	if n := len(s.files("media")); n != 1 {
		t.Errorf("%d files of one content", n)
	}
}
