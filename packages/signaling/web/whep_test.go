package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"porthole/packages/signaling/live"
	"porthole/packages/signaling/sitetest"
)

const (
	sdpType  = "application/sdp"
	fragType = "application/trickle-ice-sdpfrag"
)

func TestWHEP(t *testing.T) {
	site := sitetest.New(t, nil)
	for name, srv := range map[string]*httptest.Server{"shared port": site.Front, "own port": site.Direct} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t, true)
			res, body := request(t, srv, "POST", "/cameras/demo/whep", sitetest.AdminToken, p.offer, "Content-Type", sdpType+"; charset=utf-8")
			location, etag := res.Header.Get("Location"), res.Header.Get("ETag")
			if res.StatusCode != http.StatusCreated || res.Header.Get("Content-Type") != sdpType || !strings.HasPrefix(etag, `"`) {
				t.Fatalf("%d %v\n%s", res.StatusCode, res.Header, body)
			}
			if !strings.HasPrefix(location, "/cameras/demo/whep/") || !strings.Contains(body, "a=candidate:") {
				t.Fatalf("session at %q, answer\n%s", location, body)
			}
			p.answer(t, body)
			ufrag := p.offer[strings.Index(p.offer, "a=ice-ufrag:"):]
			ufrag = ufrag[:strings.Index(ufrag, "\r\n")+2]
			fragment := ufrag + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=" + strings.Join(p.candidates(), "\r\na=") + "\r\na=end-of-candidates\r\n"
			for name, c := range map[string]struct {
				body, kind, match, token string
				want                     int
			}{
				"no ETag":         {fragment, fragType, "", sitetest.AdminToken, 428},
				"another ETag":    {fragment, fragType, `"x"`, sitetest.AdminToken, 412},
				"ICE restart":     {fragment, fragType, "*", sitetest.AdminToken, 422},
				"another ufrag":   {"a=ice-ufrag:zzzz\r\n", fragType, etag, sitetest.AdminToken, 422},
				"wrong type":      {fragment, sdpType, etag, sitetest.AdminToken, 415},
				"nonsense":        {"nonsense", fragType, etag, sitetest.AdminToken, 400},
				"nobody":          {fragment, fragType, etag, "", 401},
				"somebody else":   {fragment, fragType, etag, sitetest.GuestToken, 404},
				"no candidate":    {ufrag, fragType, etag, sitetest.AdminToken, 204},
				"a bad candidate": {"a=candidate:x\r\n", fragType, etag, sitetest.AdminToken, 204},
			} {
				if res, b := request(t, srv, "PATCH", location, c.token, c.body, "Content-Type", c.kind, "If-Match", c.match); res.StatusCode != c.want {
					t.Errorf("PATCH with %s: %d %s, want %d", name, res.StatusCode, b, c.want)
				}
			}
			if res, b := request(t, srv, "PATCH", location, sitetest.AdminToken, fragment, "Content-Type", fragType, "If-Match", etag); res.StatusCode != 204 || res.Header.Get("ETag") != "" || b != "" {
				t.Errorf("PATCH: %d %v %q", res.StatusCode, res.Header, b)
			}
			p.plays(t)
			if res, _ := request(t, srv, "GET", location, sitetest.AdminToken, ""); res.StatusCode != 204 {
				t.Errorf("GET: %d", res.StatusCode)
			}
			if res, _ := request(t, srv, "DELETE", location, sitetest.GuestToken, ""); res.StatusCode != 404 {
				t.Errorf("DELETE by somebody else: %d", res.StatusCode)
			}
			if res, _ := request(t, srv, "DELETE", location, sitetest.AdminToken, ""); res.StatusCode != 200 {
				t.Errorf("DELETE: %d", res.StatusCode)
			}
			if res, _ := request(t, srv, "DELETE", "/cameras/demo/whep/x", sitetest.AdminToken, ""); res.StatusCode != 404 {
				t.Errorf("DELETE of nothing: %d", res.StatusCode)
			}
		})
	}
}

func TestWHEPRefusals(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) { c.PerCamera, c.AnswerTimeout = 1, 2*time.Second })
	offer := newPlayer(t, false).offer
	if res, b := request(t, site.Front, "POST", "/cameras/demo/whep", sitetest.AdminToken, offer, "Content-Type", sdpType); res.StatusCode != 201 {
		t.Fatalf("%d %s", res.StatusCode, b)
	}
	for name, c := range map[string]struct {
		camera, token, kind, body string
		want                      int
		header, value             string
	}{
		"nobody":         {"demo", "", sdpType, offer, 401, "WWW-Authenticate", `Bearer realm="Porthole"`},
		"not his camera": {"demo", sitetest.GuestToken, sdpType, offer, 403, "", ""},
		"no such camera": {"attic", sitetest.AdminToken, sdpType, offer, 404, "", ""},
		"not SDP":        {"demo", sitetest.AdminToken, "application/json", offer, 415, "", ""},
		"no type":        {"demo", sitetest.AdminToken, "", offer, 415, "", ""},
		"unreadable":     {"demo", sitetest.AdminToken, sdpType, "hello", 400, "", ""},
		"too long":       {"demo", sitetest.AdminToken, sdpType, strings.Repeat("x", 70<<10), 413, "", ""},
		"over the limit": {"demo", sitetest.AdminToken, sdpType, offer, 503, "Retry-After", "10"},
		"camera is off":  {"garden", sitetest.AdminToken, sdpType, offer, 409, "Retry-After", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, b := request(t, site.Front, "POST", "/cameras/"+c.camera+"/whep", c.token, c.body, "Content-Type", c.kind)
			if res.StatusCode != c.want || !strings.Contains(b, `"error":"`) {
				t.Errorf("%d %s, want %d", res.StatusCode, b, c.want)
			}
			if c.header != "" && res.Header.Get(c.header) != c.value {
				t.Errorf("%s: %q", c.header, res.Header.Get(c.header))
			}
		})
	}
}

func TestWHEPNoCodec(t *testing.T) {
	site := sitetest.New(t, nil)
	offer := strings.NewReplacer("H264/", "VP9/", "VP8/", "VP9/").Replace(newPlayer(t, false).offer)
	res, b := request(t, site.Front, "POST", "/cameras/demo/whep", sitetest.AdminToken, offer, "Content-Type", sdpType)
	if res.StatusCode != 406 || !strings.Contains(b, "the camera sends H264") {
		t.Errorf("%d %s", res.StatusCode, b)
	}
}

// Pages of other sites may use WHEP with a token, but not with the browser's cookies.
func TestWHEPFromOtherSites(t *testing.T) {
	site := sitetest.New(t, nil)
	res, _ := request(t, site.Front, "OPTIONS", "/cameras/demo/whep", "", "", "Origin", "https://other.example", "Access-Control-Request-Method", "POST")
	for k, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Authorization",
		"Accept-Post": sdpType, "Access-Control-Allow-Credentials": "",
	} {
		if got := res.Header.Get(k); res.StatusCode != 200 || !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%d, %s: %q, want %q", res.StatusCode, k, got, want)
		}
	}
	res, _ = request(t, site.Front, "PUT", "/cameras/demo/whep", sitetest.AdminToken, "")
	if res.StatusCode != 405 {
		t.Errorf("PUT: %d", res.StatusCode)
	}
}
