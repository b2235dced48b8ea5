package rtsp_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// udpSockets finds an even port and the odd one above it.
func udpSockets(t *testing.T) *rtsp.UDP {
	t.Helper()
	for range 200 {
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		b, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		if port%2 == 0 && err == nil {
			return &rtsp.UDP{RTP: a, RTCP: b}
		}
		a.Close()
		if err == nil {
			b.Close()
		}
	}
	t.Fatal("there are no two UDP ports beside each other")
	return nil
}

// TestUDP plays over UDP on the test socket, and only there.
func TestUDP(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	cfg := patient
	cfg.UDP = udpSockets(t)
	h := startHub(t, cfg, cam.source("cam"))
	l := listen(t, "127.0.0.1:0")
	var handling sync.WaitGroup
	handling.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.Handle(c, rtsp.ViaTest)
		}
	})
	t.Cleanup(handling.Wait)
	t.Cleanup(func() { l.Close() })
	v, _ := h.play(t, "cam")
	eventually(t, "a second of pictures", func() bool { return len(v.of(rtsp.Video)) > 25 })
	at := strings.Replace(h.url("cam"), h.door.Addr().String(), l.Addr().String(), 1)

	t.Run("ffmpeg", func(t *testing.T) {
		out, err := tool(t, "ffmpeg", "-v", "error", "-rtsp_transport", "udp", "-i", at, "-t", "3", "-f", "framemd5", "-")
		video, audio := strings.Count(out, "\n0,"), strings.Count(out, "\n1,")
		if err != nil || video < 50 || audio < 80 {
			t.Errorf("%v, %d pictures, %d frames of sound: %.2000s", err, video, audio, out)
		}
	})
	t.Run("GStreamer", func(t *testing.T) {
		out, err := tool(t, "gst-launch-1.0", "-q", "rtspsrc", "protocols=udp", "location="+at, "!",
			"rtph264depay", "!", "h264parse", "!", "fakesink", "num-buffers=60")
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("the session says so", func(t *testing.T) {
		n := 0
		for _, s := range h.Sessions() {
			if s.Transport == "udp" && s.BytesOut > 0 && s.Via == rtsp.ViaTest {
				n++
			}
		}
		if n < 2 {
			t.Errorf("%d sessions over UDP: %+v", n, h.Sessions())
		}
	})
	t.Run("not on the other door", func(t *testing.T) {
		const url = "rtsp://x/cam"
		if a := dial(t, h).ask("SETUP", url+"/trackID=0", "Transport: RTP/AVP;unicast;client_port=4000-4001", basic(password)); a.status != 461 {
			t.Errorf("SETUP: %s", a.line)
		}
		a := dial(t, h).ask("SETUP", url+"/trackID=0", "Transport: RTP/AVP;unicast;client_port=4000-4001,RTP/AVP/TCP;interleaved=0-1", basic(password))
		if a.status != 200 || !strings.Contains(a.header.Get("Transport"), "RTP/AVP/TCP") {
			t.Errorf("SETUP with a choice: %s %v", a.line, a.header)
		}
	})
}
