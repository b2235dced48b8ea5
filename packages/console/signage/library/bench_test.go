package library_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkServe reads a stored file of 64 MB over a unix socket, as proxy does, and says how that compares with reading the
// file itself through a pipe of the same kind: ratio 1 means that HTTP costs nothing.
func BenchmarkServe(b *testing.B) {
	const size = 64 << 20
	s := newShelf(b)
	m := s.mustAdd("a.jpg", padded(b, size))
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeFile(w, r, m) })}
	go srv.Serve(l)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", l.Addr().String())
	}}}
	defer client.CloseIdleConnections()
	buf := make([]byte, 256<<10)
	drain := func(r io.Reader) {
		b.Helper()
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); n != size || err != nil {
			b.Fatalf("%d bytes, %v", n, err)
		}
	}
	plain := func() {
		b.Helper()
		p, err := net.Listen("unix", filepath.Join(b.TempDir(), "p"))
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		go func() {
			c, err := p.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			f, err := os.Open(filepath.Join(s.dir, "media", m.SHA256))
			if err != nil {
				return
			}
			defer f.Close()
			io.Copy(c, f)
		}()
		c, err := net.Dial("unix", p.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		drain(c)
	}
	began := time.Now()
	for range 4 {
		plain()
	}
	copied := time.Since(began) / 4
	b.SetBytes(size)
	b.ResetTimer()
	for b.Loop() {
		res, err := client.Get("http://x/")
		if err != nil {
			b.Fatal(err)
		}
		drain(res.Body)
		res.Body.Close()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(copied), "ratio")
}

// BenchmarkUpload is 32 MB in parts of 8 MB, each durable before it is acknowledged, and what looking at the picture costs.
func BenchmarkUpload(b *testing.B) {
	const size, part = 32 << 20, 8 << 20
	s := newShelf(b)
	content := padded(b, size)
	b.SetBytes(size)
	for b.Loop() {
		path := s.begin("a.jpg", size)
		for at := 0; at < size; at += part {
			if res := s.patch(path, at, content[at:at+part]); res.StatusCode != http.StatusNoContent {
				b.Fatal(res.Status)
			}
		}
		s.outcome(path)
	}
}

// BenchmarkSync is the disk's part of BenchmarkUpload: the same bytes written and made durable in the same parts.
func BenchmarkSync(b *testing.B) {
	const size, part = 32 << 20, 8 << 20
	content := bytes.Repeat([]byte("x"), part)
	dir := b.TempDir()
	b.SetBytes(size)
	for b.Loop() {
		f, err := os.Create(filepath.Join(dir, "f"))
		if err != nil {
			b.Fatal(err)
		}
		for range size / part {
			if _, err := f.Write(content); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
	}
}

// BenchmarkThumb is what a page with thumbnails costs for each of them.
func BenchmarkThumb(b *testing.B) {
	s := newShelf(b)
	m := s.mustAdd("a.jpg", jpegOf(b, picture(1920, 1080)))
	r := httptest.NewRequest("GET", "/media/1/thumb.jpg", nil)
	for b.Loop() {
		s.ServeThumb(httptest.NewRecorder(), r, m)
	}
}
