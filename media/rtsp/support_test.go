package rtsp_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/media/rtsp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logger writes to the test's log, and no more when the test is over.
func logger(t *testing.T) *slog.Logger {
	var over atomic.Bool
	t.Cleanup(func() { over.Store(true) })
	return slog.New(slog.NewTextHandler(writer(func(p []byte) {
		if !over.Load() {
			t.Log(string(bytes.TrimSpace(p)))
		}
	}), nil))
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// background runs f until the test ends, or until the returned function is called, and waits for it.
func background(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// eventually waits until ok, for as long as a slow machine may take.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never happened: %s", what)
		}
	}
}

// link is a listener that counts connections and can stop what comes back from passing.
type link struct {
	net.Listener
	accepted, open atomic.Int32
	frozen         atomic.Bool
}

func (l *link) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted.Add(1)
	l.open.Add(1)
	return &linkConn{Conn: c, link: l}, nil
}

type linkConn struct {
	net.Conn
	link *link
	once sync.Once
}

// Write swallows what is written while the link is frozen: the peer sees silence.
func (c *linkConn) Write(b []byte) (int, error) {
	if c.link.frozen.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *linkConn) Close() error {
	c.once.Do(func() { c.link.open.Add(-1) })
	return c.Conn.Close()
}

func listen(t *testing.T, address string) *link {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &link{Listener: l}
}

// clip is a camera that plays the demo clip.
type clip struct {
	*link
	stop func()
}

func startClip(t *testing.T, address string, data []byte, user, password string) *clip {
	t.Helper()
	l := listen(t, address)
	stop := background(t, func(ctx context.Context) error {
		return rtsp.ServeClip(ctx, logger(t), l, data, "/live/main", user, password)
	})
	return &clip{link: l, stop: stop}
}

func (c *clip) source(id string) rtsp.Source { return source(id, c.Addr().String()+"/live/main") }

func source(id, rest string) rtsp.Source { return rtsp.Source{ID: id, URL: "rtsp://" + rest} }

// hub is a Hub with a plain door, where a password is asked for, and a unix socket, where none is.
type hub struct {
	*rtsp.Hub
	stop func()
	door *link
	unix string
}

const user, password = "porthole", "open: sesame"

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func startHub(t *testing.T, cfg rtsp.Config, sources ...rtsp.Source) *hub {
	t.Helper()
	cfg.Log = logger(t)
	h := &hub{Hub: rtsp.NewHub(cfg), door: listen(t, "127.0.0.1:0"), unix: filepath.Join(t.TempDir(), "s")}
	h.SetSources(sources)
	h.SetAccounts([]rtsp.Account{{
		User: user, HA1: md5Hex(user + ":" + rtsp.Realm + ":" + password), HA1SHA256: sha256Hex(user + ":" + rtsp.Realm + ":" + password),
	}})
	inner, err := net.Listen("unix", h.unix)
	if err != nil {
		t.Fatal(err)
	}
	var handling sync.WaitGroup
	accept := func(l net.Listener, via rtsp.Via) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handling.Go(func() { h.Handle(c, via) })
		}
	}
	handling.Go(func() { accept(h.door, rtsp.ViaTLS) })
	handling.Go(func() { accept(inner, rtsp.ViaSocket) })
	stop := background(t, h.Run)
	h.stop = func() {
		stop()
		h.door.Close()
		inner.Close()
		handling.Wait()
	}
	t.Cleanup(h.stop)
	return h
}

// url is a camera's address at the plain door.
func (h *hub) url(id string) string {
	return "rtsp://" + user + ":open%3A%20sesame@" + h.door.Addr().String() + "/" + id
}

func (h *hub) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", h.unix)
}

func (h *hub) status(id string) rtsp.CameraStatus {
	for _, s := range h.Status() {
		if s.ID == id {
			return s
		}
	}
	return rtsp.CameraStatus{}
}

// viewer is a Sink that keeps what it is given.
type viewer struct {
	mu     sync.Mutex
	tracks []rtsp.Track
	units  []rtsp.Unit
	at     []time.Time
}

func (v *viewer) Tracks(tracks []rtsp.Track) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tracks = tracks
}

func (v *viewer) Unit(u rtsp.Unit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.units = append(v.units, u)
	v.at = append(v.at, time.Now())
}

// of returns the units of one kind so far.
func (v *viewer) of(k rtsp.Kind) []rtsp.Unit {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []rtsp.Unit
	for _, u := range v.units {
		if v.tracks[u.Track].Kind == k {
			out = append(out, u)
		}
	}
	return out
}

// play views a camera through the unix socket until the test ends. What ended it comes out of the channel.
func (h *hub) play(t *testing.T, id string) (*viewer, <-chan error) {
	t.Helper()
	v := &viewer{}
	ended := make(chan error, 1)
	background(t, func(ctx context.Context) error {
		ended <- rtsp.Play(ctx, rtsp.PlayConfig{Dial: h.dial, Camera: id}, v)
		return nil
	})
	return v, ended
}

// tool runs a program with what it writes, and fails if it takes far too long.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is needed: apt-get install ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// clipOf makes a clip with ffmpeg: a picture of the given size, without sound.
func clipOf(t *testing.T, size string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.ts")
	out, err := tool(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=r=10:d=2:s="+size, "-c:v", "libx264", "-threads", "1",
		"-preset", "ultrafast", "-bf", "0", "-g", "10", file)
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
