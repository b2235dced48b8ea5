package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"porthole/packages/internal/identity"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/sitetest"
)

// The camera platform's clients: any path on the signaling port, candidates in messages both ways.
func TestPlatformProtocol(t *testing.T) {
	site := sitetest.New(t, nil)
	for name, c := range map[string]struct {
		srv  *httptest.Server
		path string
	}{"own port": {site.Direct, "/"}, "own port, any path": {site.Direct, "/some/thing?x=1"}, "shared port": {site.Front, "/ws"}} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t, true)
			k := connect(t, c.srv, c.path)
			// Candidates may come before the offer.
			for i, candidate := range p.candidates() {
				if i == 1 {
					k.send(viewer("demo", p.offer))
				}
				k.send(map[string]any{"type": "onIceCandidate", "candidate": map[string]any{"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}})
			}
			if len(p.candidates()) < 2 {
				k.send(viewer("demo", p.offer))
			}
			k.send(`{"type":"onIceCandidate","candidate":null}`)
			m := k.next("viewerResponse", "error")
			if m.Type != "viewerResponse" || m.ViewerID == "" {
				t.Fatalf("%+v", m)
			}
			p.answer(t, m.SDPAnswer)
			if m := k.next("iceCandidate"); m.Candidate == nil || !strings.Contains(m.Candidate.Candidate, "127.0.0.1") {
				t.Errorf("our candidate is %+v", m.Candidate)
			}
			if m := k.next("info"); m.Code != "sound-transcoded" || !strings.Contains(m.Message, "the camera's sound (AAC)") {
				t.Errorf("told %+v", m)
			}
			p.plays(t)
			k.send(`{"type":"stop"}`)
			// The socket stays: another viewer message starts again, and one more replaces that.
			for range 2 {
				again := newPlayer(t, false)
				k.send(viewer("demo", again.offer))
				again.answer(t, k.next("viewerResponse").SDPAnswer)
				again.plays(t)
			}
		})
	}
}

func TestSocketRefusals(t *testing.T) {
	site := sitetest.New(t, nil)
	offer := newPlayer(t, false).offer
	admin := map[string]string{"Cookie": "session=" + sitetest.AdminToken}
	for name, c := range map[string]struct {
		header map[string]string
		send   any
		code   string
	}{
		"unknown camera": {admin, viewer("attic", offer), "camera-unknown"},
		"no SDP":         {admin, viewer("demo", "hello"), "bad-offer"},
		"no codec":       {admin, viewer("demo", strings.NewReplacer("H264/", "VP9/", "VP8/", "VP9/").Replace(offer)), "no-codec"},
		"not his camera": {map[string]string{"Authorization": "Bearer " + sitetest.GuestToken}, viewer("demo", offer), "forbidden"},
		"not JSON":       {admin, "hello", "bad-message"},
		"unknown type":   {admin, `{"type":"master"}`, "bad-message"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, srv := range []*httptest.Server{site.Front, site.Direct} {
				h := http.Header{}
				for k, v := range c.header {
					h.Set(k, v)
				}
				k, _, err := dial(t, srv, "/ws", h)
				if err != nil {
					t.Fatal(err)
				}
				k.send(c.send)
				if m := k.next("error", "viewerResponse"); m.Code != c.code || m.Message == "" {
					t.Errorf("%+v, want code %s", m, c.code)
				}
				// The connection stays.
				k.send(`{"type":"?"}`)
				if m := k.next("error"); m.Code != "bad-message" {
					t.Errorf("then %+v", m)
				}
			}
		})
	}
}

func TestSocketToken(t *testing.T) {
	site := sitetest.New(t, nil)
	for _, srv := range []*httptest.Server{site.Front, site.Direct} {
		p := newPlayer(t, false)
		k, _, err := dial(t, srv, "/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		m := viewer("demo", p.offer)
		m["token"] = sitetest.AdminToken
		k.send(m)
		p.answer(t, k.next("viewerResponse", "error").SDPAnswer)
		p.plays(t)

		for name, token := range map[string]string{"no token": "", "a wrong one": "guess"} {
			k, _, err := dial(t, srv, "/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			m["token"] = token
			k.send(m)
			if m := k.next("error", "viewerResponse"); m.Code != "unauthorized" {
				t.Errorf("%s: %+v", name, m)
			}
			if code := k.closed(); code != 4401 {
				t.Errorf("%s: closed with %d", name, code)
			}
		}
	}
	// A header that only proxy may set says nothing on signaling's own port.
	h := http.Header{}
	if err := identity.Set(h, identity.Identity{User: "admin", Role: identity.Admin}); err != nil {
		t.Fatal(err)
	}
	k, _, err := dial(t, site.Direct, "/ws", h)
	if err != nil {
		t.Fatal(err)
	}
	k.send(viewer("demo", newPlayer(t, false).offer))
	if m := k.next("error", "viewerResponse"); m.Code != "unauthorized" {
		t.Errorf("a forged identity: %+v", m)
	}
}

// TestSocketRevoked: who is logged out sees nothing more over a socket that was opened before.
func TestSocketRevoked(t *testing.T) {
	site := sitetest.New(t, nil)
	var open []*talker
	for _, srv := range []*httptest.Server{site.Front, site.Direct} {
		byCookie, _, err := dial(t, srv, "/ws", http.Header{"Cookie": {"session=" + sitetest.AdminToken}})
		if err != nil {
			t.Fatal(err)
		}
		byToken, _, err := dial(t, srv, "/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []*talker{byCookie, byToken} {
			p := newPlayer(t, false)
			m := viewer("demo", p.offer)
			m["token"] = sitetest.AdminToken
			k.send(m)
			p.answer(t, k.next("viewerResponse", "error").SDPAnswer)
			// As long as nothing has changed, it may watch again.
			k.send(viewer("demo", newPlayer(t, false).offer))
			if m := k.next("viewerResponse", "error"); m.SDPAnswer == "" {
				t.Fatalf("a second time: %+v", m)
			}
			open = append(open, k)
		}
	}
	site.Revoke()
	for i, k := range open {
		k.send(viewer("demo", newPlayer(t, false).offer))
		if m := k.next("error", "viewerResponse"); m.Code != "unauthorized" {
			t.Errorf("socket %d: %+v", i, m)
		}
		if code := k.closed(); code != 4401 {
			t.Errorf("socket %d: closed with %d", i, code)
		}
	}
}

func TestSocketOrigin(t *testing.T) {
	site := sitetest.New(t, nil)
	for origin, want := range map[string]int{
		"https://evil.example":   http.StatusForbidden,
		"null":                   http.StatusForbidden,
		"https://127.0.0.1":      http.StatusSwitchingProtocols,
		"https://127.0.0.1:8443": http.StatusSwitchingProtocols,
	} {
		for _, srv := range []*httptest.Server{site.Front, site.Direct} {
			_, res, _ := dial(t, srv, "/ws", http.Header{"Cookie": {"session=" + sitetest.AdminToken}, "Origin": {origin}})
			if res == nil || res.StatusCode != want {
				t.Errorf("a page of %s: %v, want %d", origin, res, want)
			}
		}
	}
}

func TestSocketAbuse(t *testing.T) {
	site := sitetest.New(t, nil)
	k := connect(t, site.Direct, "/")
	for range 30 {
		if err := k.conn.Write(t.Context(), websocket.MessageText, []byte("nonsense")); err != nil {
			break
		}
	}
	if code := k.closed(); code != websocket.StatusPolicyViolation {
		t.Errorf("after 30 messages in error: closed with %d", code)
	}
	k = connect(t, site.Direct, "/")
	// The rest may not be taken any more.
	_ = k.conn.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 100<<10)))
	if code := k.closed(); code != websocket.StatusMessageTooBig {
		t.Errorf("after a message of 100 KiB: closed with %d", code)
	}
	k = connect(t, site.Direct, "/")
	offer := newPlayer(t, false).offer
	for range 8 {
		k.send(viewer("attic", offer))
	}
	for range 5 {
		if m := k.next("error"); m.Code != "camera-unknown" {
			t.Fatalf("%+v", m)
		}
	}
	if m := k.next("error"); m.Code != "busy" {
		t.Errorf("the sixth attempt in a row: %+v", m)
	}
}

// Refusing says why, and a socket that is cut leaves its place to the next.
func TestSocketLimit(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) { c.PerCamera = 1 })
	p := newPlayer(t, false)
	k := connect(t, site.Front, "/ws")
	k.send(viewer("demo", p.offer))
	p.answer(t, k.next("viewerResponse").SDPAnswer)
	p.plays(t)
	second := connect(t, site.Front, "/ws")
	second.send(viewer("demo", p.offer))
	if m := second.next("error", "viewerResponse"); m.Code != "busy" || !strings.Contains(m.Message, "close one") {
		t.Errorf("%+v", m)
	}
	site.Cut()
	third := connect(t, site.Front, "/ws")
	for {
		third.send(viewer("demo", newPlayer(t, false).offer))
		if m := third.next("error", "viewerResponse"); m.Type == "viewerResponse" {
			break
		} else if m.Code != "busy" {
			t.Fatalf("%+v", m)
		}
	}
}

// The camera is removed while somebody watches.
func TestSocketCameraRemoved(t *testing.T) {
	site := sitetest.New(t, nil)
	p := newPlayer(t, false)
	k := connect(t, site.Front, "/ws")
	k.send(viewer("demo", p.offer))
	p.answer(t, k.next("viewerResponse").SDPAnswer)
	p.plays(t)
	site.Live.SetCameras([]string{"garden"})
	if m := k.next("error"); m.Code != "camera-unknown" {
		t.Errorf("%+v", m)
	}
}
