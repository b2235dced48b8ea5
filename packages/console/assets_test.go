package main_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestSmallAssets: styles and scripts come small to whoever takes them so, whole to others, and once.
func TestSmallAssets(t *testing.T) {
	d := newDevice(t).start()
	b := d.browser()
	// Without this header of ours the transport would ask for gzip and undo it by itself.
	b.header.Set("Accept-Encoding", "identity")
	whole := b.get("/assets/porthole.css")
	if whole.status != http.StatusOK || whole.header.Get("Content-Encoding") != "" || !strings.Contains(whole.body, ":root") {
		t.Fatalf("whole: %d %q", whole.status, whole.header)
	}
	for accept, small := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "deflate, GZIP": true, "gzip;q=0": false, "gzip; q=0.0": false, "br": false, "": false} {
		b.header.Set("Accept-Encoding", accept)
		b.header.Del("If-None-Match")
		a := b.get("/assets/porthole.css")
		if (a.header.Get("Content-Encoding") == "gzip") != small {
			t.Errorf("%q: %q", accept, a.header.Get("Content-Encoding"))
			continue
		}
		body := a.body
		if small {
			r, err := gzip.NewReader(strings.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			body = string(plain)
			if len(a.body) > len(body)/2 {
				t.Errorf("%d bytes of %d", len(a.body), len(body))
			}
			if a.header.Get("ETag") == whole.header.Get("ETag") {
				t.Error("both forms have one tag")
			}
		}
		if body != whole.body || a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: another body, or Vary is %q", accept, a.header.Get("Vary"))
		}
		b.header.Set("If-None-Match", a.header.Get("ETag"))
		if a := b.get("/assets/porthole.css"); a.status != http.StatusNotModified || a.body != "" {
			t.Errorf("%q: asked again: %d", accept, a.status)
		}
	}
}
