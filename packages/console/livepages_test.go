package main_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// signalingFake stands where signaling does and speaks the JSON of docs/architecture.md.
type signalingFake struct {
	mu      sync.Mutex
	viewers []map[string]any
	refused map[string]int
	ended   []string
}

func (s *signalingFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /viewers", jsonHandler(map[string]any{
		"viewers": s.viewers, "limits": map[string]int{"per_camera": 10, "total": 50}, "refused": s.refused, "ended": map[string]int{"no-path": 1},
	}))
	mux.HandleFunc("DELETE /viewers/{id}", func(w http.ResponseWriter, r *http.Request) {
		for i, v := range s.viewers {
			if v["id"] == r.PathValue("id") {
				s.viewers = append(s.viewers[:i], s.viewers[i+1:]...)
				s.ended = append(s.ended, r.PathValue("id"))
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.ServeHTTP(w, r)
}

func (d *device) liveSettings() settings.Live {
	d.t.Helper()
	var s settings.Signaling
	if _, err := d.internal().Call(d.t.Context(), http.MethodGet, "/settings/signaling?after=0", nil, &s); err != nil {
		d.t.Fatal(err)
	}
	return s.Live
}

// TestViewers: who watches in a browser stands beside the readers, with what their network does, and can be sent away.
func TestViewers(t *testing.T) {
	d := newDevice(t)
	s := &signalingFake{viewers: []map[string]any{
		{"id": "ABC", "stream": "yard/2", "user": "anna", "remote": "203.0.113.9", "agent": "Mozilla/5.0 <b> (X11) Gecko/20100101 Firefox/128.0", "by": "websocket",
			"since": time.Now().Add(-95 * time.Second), "first_frame_s": 0.112, "rtt_s": 0.0314, "loss": 0.025, "dropped_frames": 3, "kbit_per_s": 1534.4, "transcoded": true,
			"candidates": map[string]string{"local": "host", "remote": "prflx", "protocol": "tcp", "address": "203.0.113.9"}},
		{"id": "DEF", "stream": "gone", "user": "anna", "since": time.Now()},
	}}
	d.peer("signaling-status", s)
	d.peer("proxy", &proxyFake{})
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "url2", "rtsp://192.168.1.30/t")
	a := b.get("/sessions")
	checkPage(t, "sessions", a)
	expect(t, "sessions", a.body, "Yard, stream 2", "203.0.113.9", "Firefox 128<", "!<b>", ">anna<", "TCP through the router, converted", ">1 min<", ">112 ms<", ">31 ms<", ">1534 kbit/s<",
		"2.5 % lost, 3 pictures left out", `action="/viewers/ABC/end"`, "this device", ">connecting<", "!Nobody watches in a browser", "Nobody reads a camera over RTSP")
	expect(t, "the fragment", b.get("/fragments/sessions").body, "Firefox 128", "!<html")
	if a := b.post("/viewers/ABC/end"); a.status != http.StatusSeeOther || a.location != "/sessions" {
		t.Fatalf("end: %d to %q", a.status, a.location)
	}
	s.mu.Lock()
	if d := cmp.Diff([]string{"ABC"}, s.ended); d != "" {
		t.Error(d)
	}
	s.mu.Unlock()
	expect(t, "sessions after", b.get("/sessions").body, "The live view was ended.", "!Firefox 128")
	b.post("/viewers/ABC/end")
	expect(t, "ended twice", b.get("/sessions").body, "had ended already")

	alone := newDevice(t).start().claimed()
	expect(t, "without signaling", alone.get("/sessions").body, "signaling does not answer", "!Nobody watches in a browser")
	alone.post("/viewers/ABC/end")
	expect(t, "end without signaling", alone.get("/sessions").body, "could not be ended")
	if a := newDevice(t).start().browser().post("/viewers/ABC/end"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/claim") {
		t.Errorf("a stranger ends a viewer: %d to %q", a.status, a.location)
	}
}

// TestLiveSettings: what is saved reaches signaling; the relay's secret is never shown; what is wrong is said at once and
// nothing is saved.
func TestLiveSettings(t *testing.T) {
	const secret = "between-us-alone"
	d := newDevice(t)
	d.peer("signaling-status", &signalingFake{refused: map[string]int{"busy": 8214, "no-path": 3}})
	d.start()
	b := d.claimed()
	page := b.get("/settings/live")
	checkPage(t, "at first", page)
	expect(t, "at first", page.body, "not told where the device is", "8214", "Too many viewers", "No way through the network was found</dt><dd>4<", "Nobody watches in a browser now; there are 50 places, and 10 at a camera",
		`placeholder="10"`, `placeholder="never"`, "!kept as it is")
	if d := cmp.Diff(settings.Live{}, d.liveSettings()); d != "" {
		t.Error(d)
	}
	save := func(pairs ...string) answer { return b.post("/settings/live", pairs...) }
	full := []string{"public_address", " https://Cam.Example.org/ ", "stun", "stun.example.org", "turn_urls", "turn:relay.example.org\nturns:relay.example.org:443?transport=tcp",
		"per_camera", "20", "total", "100", "max_minutes", "60"}
	if a := save(append(full, "turn_secret", secret)...); a.status != http.StatusSeeOther || a.location != "/settings/live" {
		t.Fatalf("save: %d\n%s", a.status, a.body)
	}
	want := settings.Live{
		PublicAddress: "cam.example.org", STUN: "stun.example.org:3478", PerCamera: 20, Total: 100, MaxMinutes: 60,
		TURN: settings.TURN{URLs: []string{"turn:relay.example.org:3478", "turns:relay.example.org:443?transport=tcp"}, Secret: secret},
	}
	if d := cmp.Diff(want, d.liveSettings()); d != "" {
		t.Error(d)
	}
	page = b.get("/settings/live")
	checkPage(t, "saved", page)
	expect(t, "saved", page.body, "Saved.", "kept as it is", "sent to cam.example.org.", `value="20"`, `value="60"`, "turns:relay.example.org:443?transport=tcp", "!"+secret)
	if a := save(full...); a.status != http.StatusSeeOther {
		t.Errorf("save without the secret: %d", a.status)
	}
	if d := cmp.Diff(want, d.liveSettings()); d != "" {
		t.Errorf("the secret is kept: %s", d)
	}

	a := save("public_address", "10.0.0.1:443", "stun", "?", "turn_urls", "http://relay", "turn_secret", "two words", "per_camera", "many", "total", "501", "max_minutes", "-1")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.status)
	}
	checkPage(t, "with errors", a)
	for _, f := range []string{"public_address", "stun", "turn_urls", "turn_secret", "per_camera", "total", "max_minutes"} {
		expect(t, "the form", a.body, `id="`+f+`-error"`, f+`-hint `+f+`-error"`)
	}
	expect(t, "the form", a.body, "Nothing was saved", `value="many"`, "whole number", "!two words", "!"+secret)
	if d := cmp.Diff(want, d.liveSettings()); d != "" {
		t.Errorf("nonsense was saved: %s", d)
	}

	// The public name stands in, and with the relay its secret is forgotten.
	b.post("/settings/proxy", "public_name", "home.example.org", "default_auth", "any")
	save()
	if d := cmp.Diff(settings.Live{PublicAddress: "home.example.org"}, d.liveSettings()); d != "" {
		t.Error(d)
	}
	expect(t, "emptied", b.get("/settings/live").body, "sent to home.example.org, the public name.", `placeholder="home.example.org"`, "!kept as it is")
	if strings.Contains(d.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

// TestProvisionLive: what a file says of the live view counts, the rest stays; a relay keeps a secret that was taken over.
func TestProvisionLive(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	turn := []string{"turn:relay.example.org:3478"}
	s.offer("1", provision.File{Live: provision.Live{TURN: turn, TURNSecret: "between-us", Total: 7, MaxMinutes: new(30)}}, nil)
	d.peer("system", s)
	d.start()
	want := settings.Live{TURN: settings.TURN{URLs: turn, Secret: "between-us"}, Total: 7, MaxMinutes: 30}
	eventually(t, "the file is taken", func() bool { return cmp.Equal(want, d.liveSettings()) })
	d.stop()
	s.offer("2", provision.File{Live: provision.Live{TURN: turn, PerCamera: 3, MaxMinutes: new(0)}}, nil)
	d.start()
	want.PerCamera, want.MaxMinutes = 3, 0
	eventually(t, "the file without its secret is taken", func() bool { return cmp.Equal(want, d.liveSettings()) })

	d = newDevice(t)
	s.offer("3", provision.File{Hostname: "shop", Live: provision.Live{TURN: turn, Total: 7}}, nil)
	d.peer("system", s)
	d.start()
	eventually(t, "the rest is taken", func() bool { return strings.Contains(d.log.String(), "provisioning applied") })
	if !strings.Contains(d.log.String(), "live.turn_secret") || !cmp.Equal(settings.Live{}, d.liveSettings()) {
		t.Errorf("a relay without a secret: %+v", d.liveSettings())
	}
}
