package rtsp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// TestCameraComesBack takes the camera away from under a reader and brings it back: the reader stays and gets pictures
// again, with timestamps that went on with the clock.
func TestCameraComesBack(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	address := cam.Addr().String()
	cfg := quick
	cfg.StallTimeout = 0
	h := startHub(t, cfg, cam.source("cam"))
	v, ended := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 30 })

	cam.stop()
	eventually(t, "the camera is lost", func() bool { return h.status("cam").State == "lost" })
	if s := h.status("cam"); s.Error == "" || s.Readers != 1 {
		t.Errorf("status: %+v", s)
	}
	// A second attempt fails, too.
	eventually(t, "the port is closed", func() bool { return strings.Contains(h.status("cam").Error, "connection refused") })
	before := len(v.of(rtsp.Video))
	startClip(t, address, samples.Demo(), "", "")
	eventually(t, "pictures again", func() bool { return len(v.of(rtsp.Video)) > before+60 })
	eventually(t, "sound again", func() bool { return h.status("cam").State == "live" })
	select {
	case err := <-ended:
		t.Fatalf("the reader ended: %v", err)
	default:
	}
	if s := h.status("cam"); s.Readers != 1 || s.Reconnects != 1 || s.Error != "" {
		t.Errorf("status: %+v", s)
	}

	units := v.of(rtsp.Video)
	if !isKey(units[before]) {
		t.Error("it goes on with something else than a key picture")
	}
	checkOrder(t, units[:before], 200*time.Millisecond)
	checkOrder(t, units[before:], 200*time.Millisecond)
	v.mu.Lock()
	defer v.mu.Unlock()
	var came []time.Time
	for i, u := range v.units {
		if u.Track == 0 {
			came = append(came, v.at[i])
		}
	}
	passed := came[before].Sub(came[before-1])
	went := time.Duration(int64(int32(units[before].RTPTime-units[before-1].RTPTime))) * time.Second / 90000
	if off := went - passed; off.Abs() > 2*time.Second || went <= 0 {
		t.Errorf("timestamps went on by %v over an outage of %v", went, passed)
	}
	last := map[int]uint32{}
	for i, u := range v.units {
		if ts, ok := last[u.Track]; ok && int32(u.RTPTime-ts) <= 0 {
			t.Fatalf("unit %d of track %d: timestamp %d after %d", i, u.Track, u.RTPTime, ts)
		}
		last[u.Track] = u.RTPTime
	}
}

// TestFFmpegSurvives has ffmpeg, which knows nothing of outages, decode over one.
func TestFFmpegSurvives(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	address := cam.Addr().String()
	h := startHub(t, quick, cam.source("cam"))
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		// 120 pictures are more than there were before the outage.
		out, err := tool(t, "ffmpeg", "-v", "error", "-xerror", "-rtsp_transport", "tcp", "-i", h.url("cam"), "-map", "0:v",
			"-fps_mode", "passthrough", "-frames:v", "120", "-f", "framemd5", "-")
		done <- result{out, err}
	}()
	eventually(t, "ffmpeg reads", func() bool { return h.status("cam").Readers == 1 && h.status("cam").BytesOut > 100_000 })
	cam.stop()
	eventually(t, "the camera is lost", func() bool { return h.status("cam").State == "lost" })
	startClip(t, address, samples.Demo(), "", "")
	r := <-done
	if n := strings.Count(r.out, "\n0,"); r.err != nil || n != 120 {
		t.Errorf("%v, %d pictures: %s", r.err, n, r.out[max(0, len(r.out)-1500):])
	}
	if n := h.status("cam").Reconnects; n != 1 {
		t.Errorf("%d reconnects", n)
	}
}

// TestOtherFormats brings the camera back with another picture size: readers are ended, so that they ask anew.
func TestOtherFormats(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	address := cam.Addr().String()
	h := startHub(t, quick, cam.source("cam"))
	v, ended := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 10 })
	cam.stop()
	startClip(t, address, clipOf(t, "320x180"), "", "")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Play ended without a reason")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the reader goes on with other formats")
	}
	again, _ := h.play(t, "cam")
	eventually(t, "pictures in the new size", func() bool {
		s := h.status("cam")
		return len(again.of(rtsp.Video)) > 5 && len(s.Tracks) == 1 && strings.HasPrefix(s.Tracks[0].Detail, "320×180")
	})
}

// TestStall has a camera that goes silent without closing its connection.
func TestStall(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, quick, cam.source("cam"))
	v, _ := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 10 })
	cam.frozen.Store(true)
	eventually(t, "the camera is lost", func() bool { return h.status("cam").State == "lost" })
	if e := h.status("cam").Error; !strings.Contains(e, "no packets") && !strings.Contains(e, "not answer") {
		t.Errorf("error: %q", e)
	}
	cam.frozen.Store(false)
	before := len(v.of(rtsp.Video))
	eventually(t, "pictures again", func() bool { return len(v.of(rtsp.Video)) > before+10 })
}

// TestSourceChanges removes and changes cameras while they are watched.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	cam, other := startClip(t, "127.0.0.1:0", samples.Demo(), "", ""), startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, quick, cam.source("cam"))
	v, ended := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 10 })

	h.SetSources([]rtsp.Source{cam.source("cam")})
	h.SetSources([]rtsp.Source{other.source("cam")})
	eventually(t, "it is pulled from its new address", func() bool { return other.accepted.Load() == 1 && cam.open.Load() == 0 })
	before := len(v.of(rtsp.Video))
	eventually(t, "pictures for the same reader", func() bool { return len(v.of(rtsp.Video)) > before+10 })
	if n := cam.accepted.Load(); n != 1 {
		t.Errorf("%d connections to the first address", n)
	}

	h.SetSources(nil)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Play ended without a reason")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the reader of a removed camera goes on")
	}
	eventually(t, "the camera is left alone", func() bool { return other.open.Load() == 0 })
	_, again := h.play(t, "cam")
	if err := <-again; !errors.Is(err, rtsp.ErrNoCamera) {
		t.Errorf("Play of a removed camera: %v", err)
	}
}

// TestFaults has cameras that cannot be watched: readers get a clear answer, the owner the reason.
func TestFaults(t *testing.T) {
	t.Parallel()
	protected := startClip(t, "127.0.0.1:0", samples.Demo(), "admin", "right:one")
	silent := listen(t, "127.0.0.1:0")
	background(t, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { silent.Close() })
		defer stop()
		var conns []net.Conn
		for {
			c, err := silent.Accept()
			if err != nil {
				for _, c := range conns {
					c.Close()
				}
				return nil
			}
			conns = append(conns, c)
		}
	})
	closed := listen(t, "127.0.0.1:0")
	closed.Close()

	elsewhere := listen(t, "127.0.0.2:0")
	redirecting := redirect(t, "rtsp://"+elsewhere.Addr().String()+"/")

	wrong := protected.source("wrong")
	wrong.User, wrong.Password = "admin", "not-this-one"
	missing := source("missing", protected.Addr().String()+"/other")
	missing.User, missing.Password = "admin", "right:one"
	bad := rtsp.Source{ID: "bad", URL: "http://admin:hidden@127.0.0.1/"}
	cfg := quick
	cfg.AnswerTimeout = 700 * time.Millisecond
	h := startHub(t, cfg, wrong, protected.source("none"), missing, bad,
		source("silent", silent.Addr().String()+"/"), source("closed", closed.Addr().String()+"/"),
		rtsp.Source{ID: "elsewhere", URL: "rtsp://" + redirecting + "/", User: "admin", Password: "right:one"})
	tests := []struct{ id, reason string }{
		{"wrong", "refuses the user name or the password"},
		{"none", "none is set"},
		{"missing", "404"},
		{"bad", "not an rtsp://"},
		{"silent", "does not answer"},
		{"closed", "connection refused"},
		{"elsewhere", "another host"},
	}
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			_, ended := h.play(t, tt.id)
			if err := <-ended; !errors.Is(err, rtsp.ErrUnavailable) {
				t.Errorf("Play: %v", err)
			}
			if a := dial(t, h).ask("DESCRIBE", "rtsp://h/"+tt.id, basic(password)); a.status != 503 {
				t.Errorf("DESCRIBE: %s", a.line)
			}
			eventually(t, "the reason: "+tt.reason, func() bool { return strings.Contains(h.status(tt.id).Error, tt.reason) })
			s := h.status(tt.id)
			if s.State == "live" {
				t.Errorf("status: %+v", s)
			}
			for _, secret := range []string{"not-this-one", "right:one", "hidden", "admin"} {
				if strings.Contains(s.Error, secret) {
					t.Errorf("%q in %q", secret, s.Error)
				}
			}
		})
	}
	if n := elsewhere.accepted.Load(); n != 0 {
		t.Errorf("%d connections to the host a camera pointed to", n)
	}
	// A camera locks out who tries a wrong password too often: two readers have asked, it was tried once.
	n := protected.accepted.Load()
	for range 5 {
		dial(t, h).ask("DESCRIBE", "rtsp://h/wrong", basic(password))
	}
	if again := protected.accepted.Load(); again != n {
		t.Errorf("%d more attempts with a wrong password", again-n)
	}
	right := protected.source("wrong")
	right.User, right.Password = "admin", "right:one"
	h.SetSources([]rtsp.Source{right})
	v, _ := h.play(t, "wrong")
	eventually(t, "a picture once the password is right", func() bool { return len(v.of(rtsp.Video)) > 0 })
}

// redirect is a camera that sends everybody to another URL.
func redirect(t *testing.T, url string) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	background(t, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		defer stop()
		for {
			c, err := l.Accept()
			if err != nil {
				return nil
			}
			r := textproto.NewReader(bufio.NewReader(c))
			for {
				line, err := r.ReadLine()
				if err != nil {
					break
				}
				header, err := r.ReadMIMEHeader()
				if err != nil {
					break
				}
				status := "200 OK"
				if strings.HasPrefix(line, "DESCRIBE") {
					status = "302 Moved Temporarily"
				}
				fmt.Fprintf(c, "RTSP/1.0 %s\r\nCSeq: %s\r\nLocation: %s\r\n\r\n", status, header.Get("CSeq"), url)
			}
			c.Close()
		}
	})
	return l.Addr().String()
}

// TestHubEnds ends a Hub that has readers, cameras and people waiting.
func TestHubEnds(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	silent := listen(t, "127.0.0.1:0")
	h := startHub(t, patient, cam.source("cam"), source("silent", silent.Addr().String()+"/"))
	v, ended := h.play(t, "cam")
	_, waiting := h.play(t, "silent")
	eventually(t, "a picture", func() bool { return len(v.of(rtsp.Video)) > 0 })
	eventually(t, "somebody waits", func() bool { return h.status("silent").State == "connecting" })
	h.stop()
	for _, e := range []<-chan error{ended, waiting} {
		if err := <-e; err == nil {
			t.Error("Play ended without a reason")
		}
	}
	eventually(t, "the camera is left alone", func() bool { return cam.open.Load() == 0 })
	near, far := net.Pipe()
	defer far.Close()
	h.Handle(near, rtsp.ViaSocket)
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is kept after the end")
	}
}
