package web_test

import (
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"porthole/packages/signaling/sitetest"
)

func TestSnapshot(t *testing.T) {
	site := sitetest.New(t, nil)
	for name, c := range map[string]struct {
		srv         *httptest.Server
		path, token string
		status      int
		width       int
		contains    string
	}{
		"whole":             {site.Front, "/cameras/demo/snapshot.jpg", sitetest.AdminToken, 200, 1280, ""},
		"on its own port":   {site.Direct, "/cameras/demo/snapshot.jpg", sitetest.AdminToken, 200, 1280, ""},
		"small":             {site.Front, "/cameras/demo/snapshot.jpg?w=320", sitetest.AdminToken, 200, 320, ""},
		"larger":            {site.Front, "/cameras/demo/snapshot.jpg?w=4000", sitetest.AdminToken, 200, 1280, ""},
		"first stream":      {site.Front, "/cameras/demo/1/snapshot.jpg?w=160", sitetest.AdminToken, 200, 160, ""},
		"second stream":     {site.Front, "/cameras/demo/2/snapshot.jpg?w=160", sitetest.AdminToken, 200, 160, ""},
		"no such stream":    {site.Front, "/cameras/demo/3/snapshot.jpg", sitetest.AdminToken, 404, 0, `"error":"the camera has no stream`},
		"bad width":         {site.Front, "/cameras/demo/snapshot.jpg?w=x", sitetest.AdminToken, 400, 0, "pixels"},
		"negative width":    {site.Front, "/cameras/demo/snapshot.jpg?w=-5", sitetest.AdminToken, 400, 0, "pixels"},
		"unknown":           {site.Front, "/cameras/attic/snapshot.jpg", sitetest.AdminToken, 404, 0, `"error":"there is no such camera"`},
		"not his":           {site.Front, "/cameras/demo/snapshot.jpg", sitetest.GuestToken, 403, 0, "may not watch"},
		"nobody":            {site.Front, "/cameras/demo/snapshot.jpg", "", 401, 0, "not logged in"},
		"nobody, own port":  {site.Direct, "/cameras/demo/snapshot.jpg", "", 401, 0, "not logged in"},
		"console is away":   {site.Direct, "/cameras/demo/snapshot.jpg", sitetest.AwayToken, 503, 0, "console does not answer"},
		"offline":           {site.Front, "/cameras/garden/snapshot.jpg", sitetest.AdminToken, 503, 0, `"code":"camera-offline"`},
		"tried out":         {site.Front, "/cameras/probe-abc/snapshot.jpg", sitetest.AdminToken, 200, 1280, ""},
		"tried out, guest":  {site.Front, "/cameras/probe-abc/snapshot.jpg", sitetest.GuestToken, 403, 0, "administrator"},
		"tried out, over":   {site.Front, "/cameras/probe-gone/snapshot.jpg", sitetest.AdminToken, 404, 0, "camera-unknown"},
		"tried out, a path": {site.Front, "/cameras/probe-..%2Fdemo/snapshot.jpg", sitetest.AdminToken, 404, 0, "no such camera"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := request(t, c.srv, "GET", c.path, c.token, "")
			if res.StatusCode != c.status || !strings.Contains(body, c.contains) {
				t.Fatalf("%d, want %d with %q: %.200s", res.StatusCode, c.status, c.contains, body)
			}
			if c.status != 200 {
				if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" || res.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("headers %v", res.Header)
				}
				return
			}
			m, err := jpeg.DecodeConfig(strings.NewReader(body))
			if err != nil || m.Width != c.width || m.Height != c.width*9/16 {
				t.Errorf("%d×%d, %v", m.Width, m.Height, err)
			}
			if h := res.Header; h.Get("Content-Type") != "image/jpeg" || !strings.HasPrefix(h.Get("Cache-Control"), "private, max-age=1") || h.Get("Vary") == "" || h.Get("Last-Modified") == "" {
				t.Errorf("headers %v", h)
			}
			head, none := request(t, c.srv, "HEAD", c.path, c.token, "")
			if head.StatusCode != http.StatusOK || none != "" {
				t.Errorf("HEAD: %d with %d bytes", head.StatusCode, len(none))
			}
		})
	}
	// What did not change is not sent again.
	res, _ := request(t, site.Front, "GET", "/cameras/demo/snapshot.jpg?w=160", sitetest.AdminToken, "")
	again, body := request(t, site.Front, "GET", "/cameras/demo/snapshot.jpg?w=160", sitetest.AdminToken, "", "If-None-Match", res.Header.Get("ETag"))
	if again.StatusCode == http.StatusNotModified && body != "" || again.StatusCode != http.StatusNotModified && again.Header.Get("ETag") == res.Header.Get("ETag") {
		t.Errorf("the same picture again: %d, %q after %q", again.StatusCode, again.Header.Get("ETag"), res.Header.Get("ETag"))
	}
}

// TestStreams: a client chooses a stream by number, and gets the first by any name of its own.
func TestStreams(t *testing.T) {
	site := sitetest.New(t, nil)
	k := connect(t, site.Direct, "/")
	for _, c := range []struct {
		stream string
		plays  bool
	}{{"2", true}, {"main", true}, {"", true}, {"3", false}, {"0", false}} {
		p := newPlayer(t, false)
		m := viewer("demo", p.offer)
		m["streamId"] = c.stream
		k.send(m)
		answer := k.next("viewerResponse", "error")
		if !c.plays {
			if answer.Code != "camera-unknown" {
				t.Errorf("stream %q: %+v", c.stream, answer)
			}
			continue
		}
		if answer.Type != "viewerResponse" {
			t.Fatalf("stream %q: %+v", c.stream, answer)
		}
		p.answer(t, answer.SDPAnswer)
		p.plays(t)
	}
	if res, body := request(t, site.Front, "POST", "/cameras/demo/whep?stream=2", sitetest.AdminToken, newPlayer(t, true).offer, "Content-Type", sdpType); res.StatusCode != 201 {
		t.Errorf("WHEP of stream 2: %d %s", res.StatusCode, body)
	}
	if res, body := request(t, site.Front, "POST", "/cameras/demo/whep?stream=3", sitetest.AdminToken, "v=0", "Content-Type", sdpType); res.StatusCode != 404 {
		t.Errorf("WHEP of stream 3: %d %s", res.StatusCode, body)
	}
}
