package integration_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/integration/stack"
	"porthole/media/rtsp/rtsptest"
)

const frontDoor = "\n[[camera]]\nid = \"door\"\nname = \"Front door\"\nurl = \"%s\"\nuser = \"cam\"\npassword = \"camera secret\"\n"

// withCamera starts Porthole and a camera: a real RTSP server to which ffmpeg publishes a moving picture with sound.
func withCamera(t *testing.T) (*stack.Stack, *rtsptest.Camera, *url.URL) {
	t.Helper()
	cam := rtsptest.New(t, "cam", "camera secret")
	cam.Publish(t)
	s := start(t, fmt.Sprintf(frontDoor, cam.URL()))
	u := admin(t, s)
	var at *url.URL
	eventually(t, "read the camera's address", func() (err error) {
		at, err = u.StreamURL(t.Context(), "door")
		return err
	})
	return s, cam, at
}

// frames plays a stream with ffmpeg until it has decoded n video frames.
func frames(ctx context.Context, at *url.URL, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp",
		"-i", at.String(), "-map", "0:v", "-frames:v", strconv.Itoa(n), "-f", "framemd5", "-")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, stderr.String())
	}
	got := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			got++
		}
	}
	if got < n {
		return fmt.Errorf("ffmpeg decoded %d frames of %d", got, n)
	}
	return nil
}

func TestPlayersOnTheSharedPort(t *testing.T) {
	_, cam, at := withCamera(t)

	t.Run("ffprobe", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-rtsp_transport", "tcp",
			"-show_entries", "stream=codec_name,width,height", "-of", "compact", at.String()).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("codec_name=h264|width=640|height=360")) || !bytes.Contains(out, []byte("codec_name=aac")) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("ffmpeg decodes", func(t *testing.T) {
		if err := frames(t.Context(), at, 50); err != nil {
			t.Error(err)
		}
	})
	t.Run("GStreamer", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		// gst-launch cannot be handed an authority of one's own: 0 checks nothing. That the certificate is good is what
		// every other client of these tests checks.
		bare := *at
		bare.User = nil
		pass, _ := at.User.Password()
		cmd := exec.CommandContext(ctx, "gst-launch-1.0", "-m", "rtspsrc", "location="+bare.String(), "protocols=tcp", "tls-validation-flags=0",
			"user-id="+at.User.Username(), "user-pw="+pass, "!", "rtph264depay", "!", "avdec_h264", "!", "identity", "eos-after=50", "!", "fakesink", "sync=false")
		// The exit status says how the goodbye went, not the picture: gortsplib hangs up on RTCP that comes after PAUSE.
		out, err := cmd.CombinedOutput()
		if !bytes.Contains(out, []byte("Got EOS")) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		for _, creds := range []*url.Userinfo{nil, url.UserPassword("porthole", "wrong"), url.UserPassword("nobody", "wrong"), url.UserPassword("cam", "camera secret")} {
			wrong := *at
			wrong.User = creds
			out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-rtsp_transport", "tcp", wrong.String()).CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("401 Unauthorized")) {
				t.Errorf("%v: %v\n%s", creds, err, out)
			}
		}
	})
	t.Run("unknown camera", func(t *testing.T) {
		other := *at
		other.Path = "/garage"
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-rtsp_transport", "tcp", other.String()).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("404 Not Found")) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("the camera stays hidden", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "trace", "-rtsp_transport", "tcp", at.String()).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		camera, err := url.Parse(cam.URL())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte(camera.Port())) || bytes.Contains(out, []byte("camera secret")) {
			t.Errorf("the camera's address or password reached the reader:\n%s", out)
		}
	})
}

func TestTwentyReadersOneConnection(t *testing.T) {
	_, cam, at := withCamera(t)
	var all sync.WaitGroup
	errs := make(chan error, 20)
	for range 20 {
		all.Go(func() { errs <- frames(t.Context(), at, 25) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if got := cam.Connections(); got != 1 {
		t.Errorf("the camera was connected to %d times for twenty readers", got)
	}
}

func TestCameraGoneAndBack(t *testing.T) {
	_, cam, at := withCamera(t)
	// A reader that keeps counting the frames it gets while the camera goes and comes back.
	ctx, cancel := context.WithCancel(t.Context())
	reader := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", at.String(),
		"-map", "0:v", "-f", "framemd5", "-flush_packets", "1", "-")
	count := &lineCounter{}
	reader.Stdout = count
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); reader.Wait() }()
	eventually(t, "first frames", func() error { return count.beyond(20) })
	cam.Stop()
	eventually(t, "notice that the camera is away", func() error { return count.quiet() })
	cam.Restart(t)
	cam.Publish(t)
	before := count.lines()
	eventually(t, "the same reader goes on", func() error { return count.beyond(before + 25) })
	if err := frames(t.Context(), at, 25); err != nil {
		t.Errorf("a new reader after the camera is back: %v", err)
	}
}

// lineCounter counts the lines a program prints.
type lineCounter struct {
	mu   sync.Mutex
	n    int       // guarded by mu
	last time.Time // guarded by mu
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += bytes.Count(p, []byte("\n"))
	l.last = time.Now()
	return len(p), nil
}

func (l *lineCounter) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *lineCounter) beyond(n int) error {
	if got := l.lines(); got <= n {
		return fmt.Errorf("%d lines so far, want more than %d", got, n)
	}
	return nil
}

// quiet succeeds when nothing has come for two seconds.
func (l *lineCounter) quiet() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < 2*time.Second {
		return errors.New("frames still come")
	}
	return nil
}

// TestGarbageDisturbsNobody throws rubbish at the shared port while a reader plays and pages are fetched.
func TestGarbageDisturbsNobody(t *testing.T) {
	s, _, at := withCamera(t)
	ctx, cancel := context.WithCancel(t.Context())
	var noise sync.WaitGroup
	for i := range 8 {
		noise.Go(func() {
			for n := 0; ctx.Err() == nil && n < 200; n++ {
				rubbish(ctx, s.Addr(), i, n)
			}
		})
	}
	if err := frames(t.Context(), at, 50); err != nil {
		t.Errorf("reader: %v", err)
	}
	u := admin(t, s)
	if status, _, err := u.Get(t.Context(), "/api/health"); err != nil || status != http.StatusOK {
		t.Errorf("health: %d, %v", status, err)
	}
	cancel()
	noise.Wait()
	pids, err := s.PIDs(t.Context())
	if err != nil || pids["proxy"] == 0 {
		t.Errorf("proxy after the garbage: %v, %v", pids, err)
	}
	if strings.Count(s.Output(), "starting process=proxy") != 1 {
		t.Error("proxy had to be restarted")
	}
}

// rubbish sends one bad thing and goes away.
func rubbish(ctx context.Context, addr string, kind, n int) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	b := make([]byte, 2000)
	rand.Read(b)
	switch kind {
	case 0: // random bytes
	case 1: // a TLS record header with rubbish behind
		copy(b, []byte{0x16, 0x03, 0x01, 0x07, 0xcb, 0x01})
	case 2: // a STUN binding request cut short
		copy(b, []byte{0x00, 0x14, 0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42})
		b = b[:12]
	case 3: // plain HTTP
		b = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	case 4: // plain RTSP
		b = []byte("DESCRIBE rtsp://x/door RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	case 5: // nothing at all, then gone
		b = b[:n%3]
	case 6: // an endless first line
		b = bytes.Repeat([]byte("A"), 100000)
	default: // a handshake with an absurd length
		copy(b, []byte{0x16, 0x03, 0x03, 0xff, 0xff, 0x01, 0xff, 0xff, 0xff})
	}
	if _, err := c.Write(b); err != nil {
		return
	}
	c.Read(b)
}
