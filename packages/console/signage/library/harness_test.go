package library_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
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

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/packages/console/signage"
	"porthole/packages/console/signage/library"
	"porthole/packages/internal/testkit"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

// index is an index in memory. It outlives the library, as a database does.
type index struct {
	mu    sync.Mutex
	media []signage.Media
	fail  error         // of AddMedia
	hold  chan struct{} // AddMedia waits for it, if it is not nil
}

func (x *index) AddMedia(_ context.Context, m signage.Media) (signage.Media, error) {
	if x.hold != nil {
		<-x.hold
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.fail != nil {
		return m, x.fail
	}
	m.ID = int64(len(x.media) + 1)
	x.media = append(x.media, m)
	return m, nil
}

func (x *index) AllMedia(context.Context) ([]signage.Media, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]signage.Media(nil), x.media...), nil
}

func (x *index) HashesInUse(context.Context) (map[string]bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := map[string]bool{}
	for _, o := range x.media {
		m[o.SHA256] = true
	}
	return m, nil
}

func (x *index) all() []signage.Media { m, _ := x.AllMedia(context.Background()); return m }

func (x *index) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.media = nil
}

// shelf is a library in a folder of the test, with the HTTP of people who upload.
type shelf struct {
	*library.Library
	t     testing.TB
	dir   string
	index *index
	log   *testkit.Log
	url   string
	stop  func()
}

func newLog() *testkit.Log { return &testkit.Log{} }

// newShelf opens a library in an empty folder and runs it.
func newShelf(t testing.TB, change ...func(*library.Options)) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: filepath.Join(t.TempDir(), "console"), index: &index{}, log: newLog()}
	s.open(change...)
	return s
}

// open opens the library again after stop, as after a restart.
func (s *shelf) open(change ...func(*library.Options)) {
	s.t.Helper()
	o := library.Options{Log: slog.New(slog.NewTextHandler(s.log, nil)), Dir: s.dir, Index: s.index, Decoder: decodetest.Binary(s.t), Reserve: 1 << 20}
	for _, f := range change {
		f(&o)
	}
	l, err := library.New(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Library = l
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by := r.Header.Get("Test-Account")
		if by == "" {
			by = "anna"
		}
		if r.URL.Path == "/media/status" {
			l.StatusOf(w, r, by)
			return
		}
		l.ServeUploads(w, r, by)
	}))
	s.url = srv.URL
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("library ended with %v", err)
		}
		srv.CloseClientConnections()
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	s.t.Cleanup(s.stop)
}

// add takes a file as it came from a person.
func (s *shelf) add(name string, b []byte) (signage.Media, error) {
	s.t.Helper()
	return s.Add(s.t.Context(), bytes.NewReader(b), name, "anna")
}

// mustAdd is add of a good file.
func (s *shelf) mustAdd(name string, b []byte) signage.Media {
	s.t.Helper()
	m, err := s.add(name, b)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return m
}

// files lists what lies in one of the library's folders.
func (s *shelf) files(folder string) []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, folder))
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *shelf) content(sha string) []byte {
	s.t.Helper()
	f, err := s.Open(sha)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not after 60 s: %s", what)
		}
		<-tick.C
	}
}

// picture has another colour in each corner: red, green, blue, white in the order of reading.
func picture(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{255, 0, 0, 255}
			switch {
			case x >= w/2 && y >= h/2:
				c = color.RGBA{255, 255, 255, 255}
			case x >= w/2:
				c = color.RGBA{0, 255, 0, 255}
			case y >= h/2:
				c = color.RGBA{0, 0, 255, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// corners names a picture's corners in the order of reading.
func corners(m image.Image) string {
	b := m.Bounds()
	var s strings.Builder
	for _, p := range []image.Point{{2, 2}, {b.Dx() - 3, 2}, {2, b.Dy() - 3}, {b.Dx() - 3, b.Dy() - 3}} {
		r, g, bl, _ := m.At(b.Min.X+p.X, b.Min.Y+p.Y).RGBA()
		name, ok := map[[3]bool]string{{true, false, false}: "r", {false, true, false}: "g", {false, false, true}: "b", {true, true, true}: "w"}[[3]bool{r > 0xb000, g > 0xb000, bl > 0xb000}]
		if !ok {
			name = fmt.Sprintf("(%x %x %x)", r>>8, g>>8, bl>>8)
		}
		s.WriteString(name)
	}
	return s.String()
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// clip makes a video with ffmpeg.
func clip(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(decodetest.Clip(t, name, args...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testCard is a moving picture of w×h for a second.
func testCard(w, h int) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%dx%d:r=25:d=1", w, h)}
}
