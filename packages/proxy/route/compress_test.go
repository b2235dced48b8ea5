package route_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"porthole/packages/proxy/route"
)

// TestCompression: pages are sent compressed to who takes that, and nothing else is touched.
func TestCompression(t *testing.T) {
	page := []byte(strings.Repeat("<p>The same again.</p>\n", 5000))
	w := newWorld(t)
	w.serve(t, "console", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		switch r.URL.Path {
		case "/page", "/api/page", "/head":
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("ETag", `"v1"`)
			if r.Header.Get("If-None-Match") == `"v1"` {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
		case "/film":
			h.Set("Content-Type", "video/mp4")
		case "/short":
			h.Set("Content-Type", "text/html")
			io.WriteString(rw, "short")
			return
		case "/breaks":
			h.Set("Content-Type", "text/html")
			rw.Write(page)
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/events":
			h.Set("Content-Type", "text/event-stream")
			io.WriteString(rw, "data: 1\n\n")
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		rw.Write(page)
	}))
	front := httptest.NewServer(route.Public(w.cfg))
	t.Cleanup(front.Close)
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	ask := func(method, path string, header ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	for _, c := range []struct {
		method, path, accept string
		small                bool
	}{
		{"GET", "/page", "gzip, deflate, br", true},
		{"POST", "/page", "br;q=1.0, gzip;q=0.8", true},
		{"GET", "/page", "*", true},
		{"GET", "/page", "", false},
		{"GET", "/page", "gzip;q=0, deflate", false},
		{"GET", "/page", "br", false},
		{"GET", "/api/page", "gzip", false},
		{"GET", "/film", "gzip", false},
		{"GET", "/guessed", "gzip", true},
	} {
		res := ask(c.method, c.path, "Accept-Encoding", c.accept)
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		small := res.Header.Get("Content-Encoding") == "gzip"
		if small {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > len(page)/5 || res.Header.Get("Vary") != "Accept-Encoding" || c.path == "/page" && res.Header.Get("ETag") != `W/"v1"` {
				t.Errorf("%d bytes, %v", len(b), res.Header)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if small != c.small || sha256.Sum256(b) != sha256.Sum256(page) {
			t.Errorf("%s %s for %q: %v, %d bytes", c.method, c.path, c.accept, res.Header, len(b))
		}
	}
	if res := ask("GET", "/page", "Accept-Encoding", "gzip", "If-None-Match", `W/"v1"`); res.StatusCode != http.StatusNotModified || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("again: %d %v", res.StatusCode, res.Header)
	}
	for _, site := range []string{"cross-site", "same-site", ""} {
		if res := ask("GET", "/page", "Accept-Encoding", "gzip", "Sec-Fetch-Site", site); res.Header.Get("Content-Encoding") != "" {
			t.Errorf("asked for by %q: %v", site, res.Header)
		}
	}
	if res := ask("HEAD", "/page", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Errorf("head: %v", res.Header)
	}
	if b, err := io.ReadAll(ask("GET", "/short", "Accept-Encoding", "gzip").Body); err != nil || string(b) != "short" {
		t.Errorf("%q %v", b, err)
	}
	// What breaks off does not look whole.
	req, err := http.NewRequestWithContext(t.Context(), "GET", front.URL+"/breaks", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "none")
	req.Header.Set("Accept-Encoding", "gzip")
	if res, err := tr.RoundTrip(req); err == nil {
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("a page that broke off looks whole")
		}
	}
	first := make([]byte, 9)
	if _, err := io.ReadFull(ask("GET", "/events", "Accept-Encoding", "gzip").Body, first); err != nil || string(first) != "data: 1\n\n" {
		t.Errorf("an event waits: %q %v", first, err)
	}
}
