package rtsp_test

import (
	"testing"
	"time"

	"porthole/media/rtsp"
	"porthole/media/rtsp/rtsptest"
	"porthole/media/samples"
)

// TestAlwaysOn connects a camera that nobody watches, and lets go of it when it need not be on any more.
func TestAlwaysOn(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	src := cam.source("cam")
	src.AlwaysOn = true
	cfg := patient
	cfg.Linger = quick.Linger
	h := startHub(t, cfg, src)
	live := func() bool { return h.status("cam").State == "live" }
	idle := func() bool { return h.status("cam").State == "idle" && cam.open.Load() == 0 }
	eventually(t, "it is live without readers", live)
	if n := h.status("cam").Readers; n != 0 {
		t.Errorf("%d readers", n)
	}
	// Longer than it would stay without.
	began := time.Now()
	eventually(t, "it goes on", func() bool { return time.Since(began) > 4*quick.Linger })
	if n := cam.accepted.Load(); n != 1 || !live() {
		t.Errorf("%d connections, %+v", n, h.status("cam"))
	}
	for range 2 {
		src.AlwaysOn = false
		h.SetSources([]rtsp.Source{src})
		eventually(t, "it is left alone", idle)
		src.AlwaysOn = true
		h.SetSources([]rtsp.Source{src})
		eventually(t, "it is live again", live)
	}
	if n := cam.accepted.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}

	// With a reader nothing but the connection's own settings make another one.
	v, ended := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 10 })
	src.AlwaysOn = false
	src.Auth, src.TokenHash = rtsp.DigestAuth, md5Hex("x")+md5Hex("y")
	src.Options.DropFramerate = true
	h.SetSources([]rtsp.Source{src})
	before := len(v.of(rtsp.Video))
	eventually(t, "pictures go on", func() bool { return len(v.of(rtsp.Video)) > before+40 })
	if n := cam.accepted.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
	src.Transport = "tcp"
	h.SetSources([]rtsp.Source{src})
	eventually(t, "another transport is another connection", func() bool { return cam.accepted.Load() == 4 })
	before = len(v.of(rtsp.Video))
	eventually(t, "pictures go on for the same reader", func() bool { return len(v.of(rtsp.Video)) > before+10 })
	select {
	case err := <-ended:
		t.Errorf("the reader ended: %v", err)
	default:
	}
}

// TestAlwaysOnComesBack has a camera fall silent that nobody watches.
func TestAlwaysOnComesBack(t *testing.T) {
	t.Parallel()
	cam := rtsptest.Start(t, rtsptest.Options{User: "me", Password: "pw"})
	cam.Publish(t)
	cfg := quick
	cfg.StallTimeout = 0 // as it is by default
	h := startHub(t, cfg, rtsp.Source{ID: "cam", URL: cam.URL(), User: "me", Password: "pw", AlwaysOn: true})
	eventually(t, "it is live", func() bool { return h.status("cam").State == "live" })
	cam.Freeze(true)
	eventually(t, "it is lost", func() bool { return h.status("cam").State == "lost" && h.status("cam").Error != "" })
	cam.Freeze(false)
	eventually(t, "it is back", func() bool { s := h.status("cam"); return s.State == "live" && s.Reconnects > 0 && s.Error == "" })
}
