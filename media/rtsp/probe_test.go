package rtsp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/media/rtsp"
	"porthole/media/rtsp/rtsptest"
	"porthole/media/samples"
)

// scripted is a camera that gives each request the same answer; with none it is silent.
func scripted(t *testing.T, status, rest string) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	background(t, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		defer stop()
		var talks sync.WaitGroup
		defer talks.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return nil
			}
			end := context.AfterFunc(ctx, func() { c.Close() })
			defer end()
			talks.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				cseq := ""
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if n, ok := strings.CutPrefix(line, "CSeq:"); ok {
						cseq = n
					}
					if line != "\r\n" || status == "" {
						continue
					}
					if _, err := io.WriteString(c, status+"\r\nCSeq:"+cseq+rest); err != nil {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// TestProbe tries cameras that each have something wrong.
func TestProbe(t *testing.T) {
	t.Parallel()
	good := startClip(t, "127.0.0.1:0", samples.Demo(), "admin", "right")
	closed := listen(t, "127.0.0.1:0")
	closed.Close()
	web := scripted(t, "HTTP/1.1 400 Bad Request", "\r\n")
	silent := scripted(t, "", "")
	metadata := scripted(t, "RTSP/1.0 200 OK", "Content-Type: application/sdp\r\nContent-Length: 125\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.9.9.9\r\ns=x\r\nt=0 0\r\n"+
		"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:x\r\n")
	broken := scripted(t, "RTSP/1.0 500 Internal Server Error", "\r\n")
	jpeg := rtsptest.Start(t, rtsptest.Options{})
	jpeg.PublishAs(t, strings.Fields(picture+" -pix_fmt yuvj420p -c:v mjpeg -huffman default -q:v 5")...)
	hevc := rtsptest.Start(t, rtsptest.Options{})
	hevc.PublishAs(t, strings.Fields(picture+" -pix_fmt yuv420p -c:v libx265 -preset ultrafast -g 10 -x265-params log-level=error:bframes=0:pools=1")...)
	sound := rtsptest.Start(t, rtsptest.Options{})
	sound.PublishAs(t, strings.Fields("-f lavfi -i sine=r=8000 -c:a pcm_mulaw")...)
	udp := rtsptest.Start(t, rtsptest.Options{UDPOnly: true})
	udp.PublishAs(t, strings.Fields(picture+h264)...)

	address := func(s string) rtsp.Source { return rtsp.Source{URL: "rtsp://" + s + "/live/main"} }
	with := func(s rtsp.Source, user, password string) rtsp.Source {
		s.User, s.Password = user, password
		return s
	}
	tests := []struct {
		name      string
		src       rtsp.Source
		ok        bool
		code, say string
	}{
		{"good", with(good.source(""), "admin", "right"), true, "", ""},
		{"wrong password", with(good.source(""), "admin", "not-it"), false, "unauthorized", "refuses the user name or the password"},
		{"no password", good.source(""), false, "unauthorized", "wants a user name"},
		{"no such path", with(address(good.Addr().String()+"/x"), "admin", "right"), false, "not-found", "404"},
		{"nothing at the port", address(closed.Addr().String()), false, "refused", "nothing answers at port"},
		{"not an address", rtsp.Source{URL: "http://admin:not-it@127.0.0.1/"}, false, "address", "rtsp://192.168"},
		{"a name nobody knows", address("camera.invalid"), false, "address", "camera.invalid"},
		{"a web page", address(web), false, "failed", "does not speak RTSP"},
		{"silence", address(silent), false, "timeout", "Nothing answers"},
		{"TLS where there is none", rtsp.Source{URL: "rtsps://" + good.Addr().String() + "/live/main"}, false, "tls", "rtsp:// instead of rtsps://"},
		{"no video", address(metadata), false, "no-video", "neither video nor sound"},
		{"an error", address(broken), false, "failed", "500"},
		{"motion JPEG", rtsp.Source{URL: jpeg.URL()}, false, "codec", "JPEG"},
		{"H.265", rtsp.Source{URL: hevc.URL()}, true, "codec", "H.265"},
		{"only sound", rtsp.Source{URL: sound.URL()}, false, "no-video", "only sound"},
		{"only UDP", rtsp.Source{URL: udp.URL()}, true, "", "UDP only"},
		{"only UDP, asked over TCP", rtsp.Source{URL: udp.URL(), Transport: "tcp"}, false, "failed", "461"},
	}
	cfg := patient
	h := startHub(t, cfg)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.src.ID = "probe-" + strings.ReplaceAll(tt.name, " ", "-")
			res, err := h.Probe(t.Context(), tt.src)
			if err != nil {
				t.Fatal(err)
			}
			if res.OK != tt.ok || res.Code != tt.code || !strings.Contains(res.Problem, tt.say) || (tt.say == "") != (res.Problem == "") {
				t.Errorf("%+v", res)
			}
			if strings.Contains(res.Problem, "not-it") || strings.Contains(res.Problem, "right") {
				t.Errorf("a password in %q", res.Problem)
			}
			if tt.ok && len(res.Tracks) == 0 {
				t.Error("no tracks")
			}
			v, ended := h.play(t, tt.src.ID)
			if !tt.ok {
				if err := <-ended; !errors.Is(err, rtsp.ErrNoCamera) {
					t.Errorf("it can be read: %v", err)
				}
				return
			}
			eventually(t, "pictures through the socket", func() bool { return len(v.of(rtsp.Video)) > 5 })
			if a := dial(t, h).ask("DESCRIBE", "rtsp://h/"+tt.src.ID, basic(password)); a.status != 404 {
				t.Errorf("at the door: %s", a.line)
			}
		})
	}
	if s := h.Status(); len(s) != 0 {
		t.Errorf("the status lists what is only tried: %+v", s)
	}
	if _, err := h.Probe(t.Context(), good.source("cam")); err == nil {
		t.Error("a camera's own id is taken")
	}
}

// TestProbesBounded tries five silent cameras at once.
func TestProbesBounded(t *testing.T) {
	t.Parallel()
	silent := listen(t, "127.0.0.1:0")
	h := startHub(t, patient)
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan rtsp.ProbeResult, 4)
	var tries sync.WaitGroup
	for _, id := range []string{"1", "2", "3", "4"} {
		tries.Go(func() {
			res, err := h.Probe(ctx, rtsp.Source{ID: "probe-" + id, URL: "rtsp://" + silent.Addr().String() + "/"})
			if err != nil {
				t.Error(err)
			}
			results <- res
		})
	}
	// Accepting shows that each is under way.
	var conns []net.Conn
	for range 4 {
		c, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if _, err := h.Probe(ctx, rtsp.Source{ID: "probe-5", URL: "rtsp://127.0.0.1/"}); !errors.Is(err, rtsp.ErrProbing) {
		t.Errorf("a fifth: %v", err)
	}
	cancel()
	tries.Wait()
	for range 4 {
		if res := <-results; res.OK || res.Code != "timeout" {
			t.Errorf("%+v", res)
		}
	}
	for _, c := range conns {
		c.Close()
	}
	again, stop := context.WithCancel(t.Context())
	stop()
	if _, err := h.Probe(again, rtsp.Source{ID: "probe-5", URL: "rtsp://127.0.0.1/"}); err != nil {
		t.Errorf("after the others ended: %v", err)
	}
}

// TestProbeExpires sees a tried camera go, and its reader with it.
func TestProbeExpires(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, patient)
	h.SetProbeStays(3 * time.Second)
	src := cam.source("probe-1")
	if res, err := h.Probe(t.Context(), src); err != nil || !res.OK {
		t.Fatalf("%+v, %v", res, err)
	}
	_, ended := h.play(t, "probe-1")
	if err := <-ended; err == nil {
		t.Error("Play ended without a reason")
	}
	eventually(t, "the camera is left alone", func() bool { return cam.open.Load() == 0 })
	_, ended = h.play(t, "probe-1")
	if err := <-ended; !errors.Is(err, rtsp.ErrNoCamera) {
		t.Errorf("afterwards: %v", err)
	}
}
