package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/media/rtsp"
	"porthole/packages/internal/settings"
)

// TestAllErrorsAtOnce: nobody sends a form five times to learn of five mistakes.
func TestAllErrorsAtOnce(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	a := b.post("/settings/cameras/new", "id", "A b", "url", "http://10.0.0.9/", "url2", "rtsp://", "url3", "http://10.0.0.9/",
		"password", "p", "auth", "maybe", "transport", "quic", "bandwidth_kbps", "lots", "drop_audio", "1")
	if a.status != http.StatusUnprocessableEntity {
		t.Fatalf("%d", a.status)
	}
	checkPage(t, "form with errors", a)
	expect(t, "the form", a.body, `id="id-error"`, `id="url-error"`, `id="url2-error"`, `id="url3-error"`, `id="user-error"`, `id="auth-error"`,
		`id="transport-error"`, `id="kbps-error"`, "8 things need your attention", "address of stream 1 already", `value="lots"`, `name="drop_audio" value="1" checked`)
	if cameras := d.proxySettings().Cameras; len(cameras) != 0 {
		t.Errorf("taken all the same: %+v", cameras)
	}
}

// TestCameraChoices: what the form offers reaches proxy, comes back in the form, and signaling knows how many streams.
func TestCameraChoices(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	a := b.post("/settings/cameras/new", "name", "Yard", "url", "rtsp://192.168.1.30/1", "url3", "rtsp://192.168.1.30/3", "auth", "none", "always_on", "1",
		"drop_audio", "1", "drop_framerate", "1", "npt_now", "1", "extra_crlf", "1", "bandwidth_kbps", "50", "transport", "udp")
	if a.status != http.StatusSeeOther || a.location != "/camera/yard" {
		t.Fatalf("add: %d to %q\n%s", a.status, a.location, a.body)
	}
	expect(t, "the camera's page", b.get("/camera/yard").body, "was added.", "No network is open yet", "Stream 2", "!Stream 3")
	want := settings.Camera{
		ID: "yard", Name: "Yard", URL: "rtsp://192.168.1.30/1", MoreURLs: []string{"rtsp://192.168.1.30/3"}, Transport: settings.UDP,
		Auth: settings.NoAuth, AlwaysOn: true,
		Options: settings.StreamOptions{DropAudio: true, DropFramerate: true, NptNow: true, ExtraCRLF: true, BandwidthKbps: 50},
	}
	p := d.proxySettings()
	if d := cmp.Diff([]settings.Camera{want}, p.Cameras, noTokens); d != "" || len(p.Cameras[0].TokenHashes) != 2 {
		t.Errorf("%d tokens\n%s", len(p.Cameras[0].TokenHashes), d)
	}
	var s settings.Signaling
	if _, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/signaling?after=0", nil, &s); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]settings.CameraRef{{ID: "yard", Name: "Yard", Streams: 2}}, s.Cameras); d != "" || !s.SignalingPort {
		t.Errorf("signaling is told %+v\n%s", s, d)
	}
	expect(t, "the form", b.get("/settings/cameras/yard").body, `value="rtsp://192.168.1.30/3"`, `name="always_on" value="1" checked`, `name="npt_now" value="1" checked`,
		`!name="drop_framesize" value="1" checked`, `name="bandwidth_kbps" value="50"`, `<option value="none" selected>`, "<details open>")
	// An unticked box is off.
	b.post("/settings/cameras/yard", "name", "Yard", "url", "rtsp://192.168.1.30/1", "auth", "digest", "transport", "auto")
	want = settings.Camera{ID: "yard", Name: "Yard", URL: "rtsp://192.168.1.30/1", Transport: settings.Auto, Auth: settings.DigestAuth}
	if d := cmp.Diff([]settings.Camera{want}, d.proxySettings().Cameras, noTokens); d != "" {
		t.Error(d)
	}
}

func TestCameraWarnings(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	d.addCamera(b, "name", "Proxy room", "url", "rtsp://192.168.1.30/1")
	expect(t, "the page after", b.get("/camera/proxy-room").body, "contains “proxy”", "VLC")
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/1")
	expect(t, "the page of a plain camera", b.get("/camera/yard").body, "!contains “proxy”", "!No network is open")
}

// TestTryCamera: the form is tried as it stands, with the stored password where none is typed, and nothing is kept.
func TestTryCamera(t *testing.T) {
	d := newDevice(t)
	p := &proxyFake{probe: func(url string) (rtsp.ProbeResult, int) {
		switch {
		case strings.HasSuffix(url, "/busy"):
			return rtsp.ProbeResult{}, http.StatusTooManyRequests
		case strings.HasSuffix(url, "/sub"):
			return rtsp.ProbeResult{Code: "not-found", Problem: "The camera has nothing at this address (404)."}, http.StatusOK
		}
		return rtsp.ProbeResult{OK: true, Tracks: goodStream("x").Tracks, Repairs: []string{"It was mended."}, Transport: "tcp"}, http.StatusOK
	}}
	d.peer("proxy", p)
	d.start()
	b := d.claimed()
	a := b.post("/settings/cameras/new", "try", "1", "url", "rtsp://joe:hunter2@192.168.1.30/s", "url2", "rtsp://192.168.1.30/sub", "transport", "tcp")
	if a.status != http.StatusOK {
		t.Fatalf("try: %d\n%s", a.status, a.body)
	}
	checkPage(t, "tried", a)
	expect(t, "the form", a.body, "Stream 1: pictures come", `src="/cameras/probe-7f3a/snapshot.jpg?w=640"`, "H264 Main, 1280×720", "AAC, 48000 Hz", "over TCP", "It was mended.",
		"Stream 2: no picture", "nothing at this address (404)", "Nothing was saved.", `value="rtsp://192.168.1.30/sub"`)
	p.mu.Lock()
	probed := map[string]map[string]string{}
	for _, m := range p.probed {
		probed[m["url"]] = m
	}
	p.probed = nil
	p.mu.Unlock()
	want := map[string]map[string]string{
		"rtsp://192.168.1.30/s":   {"url": "rtsp://192.168.1.30/s", "user": "joe", "password": "hunter2", "transport": "tcp"},
		"rtsp://192.168.1.30/sub": {"url": "rtsp://192.168.1.30/sub", "user": "joe", "password": "hunter2", "transport": "tcp"},
	}
	if d := cmp.Diff(want, probed); d != "" {
		t.Error(d)
	}
	if cameras := d.proxySettings().Cameras; len(cameras) != 0 {
		t.Errorf("trying saved %+v", cameras)
	}
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "user", "joe", "password", "hunter2")
	a = b.post("/settings/cameras/yard", "try", "1", "url", "rtsp://192.168.1.31/busy", "user", "joe", "transport", "auto")
	expect(t, "the edit form", a.body, "Too many cameras are being tried", "!hunter2")
	p.mu.Lock()
	if len(p.probed) != 1 || p.probed[0]["password"] != "hunter2" {
		t.Errorf("the stored password did not go along: %v", p.probed)
	}
	p.mu.Unlock()
	if cam := d.proxySettings().Cameras[0]; cam.URL != "rtsp://192.168.1.30/s" {
		t.Errorf("trying changed the camera: %+v", cam)
	}
	a = b.post("/settings/cameras/new", "try", "1", "url", "http://192.168.1.30/")
	if a.status != http.StatusUnprocessableEntity || len(p.probed) != 1 {
		t.Errorf("a wrong address was tried: %d, %v", a.status, p.probed)
	}
	expect(t, "the form", a.body, `id="url-error"`, "!name-error")

	alone := newDevice(t).start()
	expect(t, "without proxy", alone.claimed().post("/settings/cameras/new", "try", "1", "url", "rtsp://h/s").body, "does not answer. It may be restarting")
}
