package link_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"porthole/packages/player/cache"
)

// TestMedia: what servers answer who are asked for a file.
func TestMedia(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "elsewhere") }))
	t.Cleanup(elsewhere.Close)
	const content = "0123456789"
	hang := make(chan struct{})
	answers := map[string]http.HandlerFunc{
		"/whole":   fail(200, content, "Content-Type", "video/mp4", "ETag", `W/"weak"`, "Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
		"/nothing": fail(200, content, "Content-Type", "video/mp4"),
		"/range": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "bytes=4-" || r.Header.Get("If-Range") != `"tag"` || r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("asked with %v", r.Header)
			}
			fail(206, content[4:], "Content-Range", "bytes 4-9/10", "ETag", `"tag"`)(w, r)
		},
		"/unknown-size": fail(206, content[4:], "Content-Range", "bytes 4-9/*", "ETag", `"tag"`),
		"/wrong-range":  fail(206, content, "Content-Range", "bytes 0-9/10"),
		"/odd-range":    fail(206, content, "Content-Range", "bytes 4-99/10"),
		"/shorter": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				fail(416, "")(w, r)
				return
			}
			fail(200, "new", "ETag", `"new"`)(w, r)
		},
		"/gone":      fail(410, ""),
		"/page":      fail(200, "<html>", "Content-Type", "text/html; charset=utf-8"),
		"/forbidden": fail(403, `{"error":"not yours"}`),
		"/moved":     fail(302, "", "Location", "/nothing"),
		"/around":    fail(302, "", "Location", "/around"),
		"/down":      fail(302, "", "Location", elsewhere.URL+"/x"),
		"/file":      fail(302, "", "Location", "file:///etc/passwd"),
		"/part":      fail(200, "012", "Content-Length", "10"),
		"/hangs": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "012")
			w.(http.Flusher).Flush()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
	}
	t.Cleanup(func() { close(hang) })
	p.to(srv.settings())
	p.next()
	p.well()
	srv.answerWith("/", func(w http.ResponseWriter, r *http.Request) {
		if f := answers[r.URL.Path]; f != nil {
			f(w, r)
			return
		}
		http.NotFound(w, r)
	})
	for name, c := range map[string]struct {
		offset     int64
		tag        string
		want       string
		from, size int64
		newTag     string
		err        error
	}{
		"/whole":         {want: content, size: 10, newTag: "Wed, 21 Oct 2015 07:28:00 GMT"},
		"/nothing":       {offset: 4, want: content, size: 10},
		"/range":         {offset: 4, tag: `"tag"`, want: content[4:], from: 4, size: 10, newTag: `"tag"`},
		"/unknown-size":  {offset: 4, tag: `"tag"`, want: content[4:], from: 4, size: -1, newTag: `"tag"`},
		"/wrong-range":   {offset: 4, tag: `"tag"`, err: cache.ErrServer},
		"/odd-range":     {offset: 4, tag: `"tag"`, err: cache.ErrServer},
		"/shorter":       {offset: 4, tag: `"tag"`, want: "new", size: 3, newTag: `"new"`},
		"/gone":          {err: cache.ErrGone},
		"/not-there":     {err: cache.ErrGone},
		"/page":          {err: cache.ErrGone},
		"/forbidden":     {err: cache.ErrServer},
		"/moved":         {want: content, size: 10},
		"/around":        {err: cache.ErrServer},
		"/down":          {err: cache.ErrServer},
		"/file":          {err: cache.ErrServer},
		"file:///etc/x":  {err: cache.ErrServer},
		"http://a:b@c/x": {err: cache.ErrServer},
		// Without TLS only where the server itself is.
		elsewhere.URL + "/x": {err: cache.ErrServer},
	} {
		part, err := p.Get(t.Context(), name, c.offset, c.tag)
		if c.err != nil || err != nil {
			if !errors.Is(err, c.err) || strings.Contains(err.Error(), "http") {
				t.Errorf("%s: %v, want %v", name, err, c.err)
			}
			continue
		}
		b, err := io.ReadAll(part.Body)
		part.Body.Close()
		if err != nil || string(b) != c.want || part.From != c.from || part.Size != c.size || part.Tag != c.newTag {
			t.Errorf("%s: %q, %v, %+v", name, b, err, part)
		}
	}
	for _, name := range []string{"/part", "/hangs"} {
		part, err := p.Get(t.Context(), name, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(part.Body); err == nil || string(b) != "012" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		part.Body.Close()
	}
	for _, c := range srv.seen("/whole") {
		if c.Bearer != "" {
			t.Errorf("the auth code went with %+v", c)
		}
	}
}
