package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/media/render"
	"porthole/media/rtsp"
	"porthole/media/samples"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	player "porthole/packages/player"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

// device is a player with its folders and an off-screen display.
type device struct {
	t       *testing.T
	options player.Options
	screen  *display.Offscreen
	log     *testkit.Log
	stop    func()
}

// newDevice returns a device that was never started.
func newDevice(t *testing.T, screen *display.Offscreen) *device {
	t.Helper()
	// Not t.TempDir: a socket's path may have 107 bytes, and a test's name may be long.
	dir, err := os.MkdirTemp("", "player")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := &testkit.Log{}
	d := &device{t: t, log: log, screen: screen, options: player.Options{
		Env: daemon.Env{
			Log: slog.New(slog.NewTextHandler(log, nil)), SingleUser: true,
			RunDir: filepath.Join(dir, "run"), PermDir: filepath.Join(dir, "perm"),
		},
		Decoder: decodetest.Binary(t), ConsolePort: "443", Screen: screen,
		Hostname:  func() (string, error) { return "kernel-name", nil },
		Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.168.178.20")}, nil },
	}}
	if err := os.MkdirAll(filepath.Join(dir, "perm", "player"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.stop != nil {
			d.stop()
		}
		if t.Failed() {
			t.Logf("player logged:\n%s", log)
		}
	})
	return d
}

// start runs player until stop.
func (d *device) start() *device {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- player.Run(ctx, d.options) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Errorf("player ended with: %v", err)
		}
	})
	return d
}

// eventually polls far beyond what is usual.
func (d *device) eventually(what string, ok func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			d.keep("failed")
			d.t.Fatalf("not after 60 s: %s", what)
		}
		<-tick.C
	}
}

// keep writes what is on the screen to the folder in PLAYER_SHOTS, for a person to look at.
func (d *device) keep(name string) {
	dir := os.Getenv("PLAYER_SHOTS")
	if dir == "" {
		return
	}
	m, _ := d.screen.Last()
	file := filepath.Join(dir, fmt.Sprintf("%s-%s-%dx%d.png", strings.ReplaceAll(d.t.Name(), "/", "-"), name, m.Rect.Dx(), m.Rect.Dy()))
	if err := os.WriteFile(file, encodePNG(d.t, m), 0o600); err != nil {
		d.t.Error(err)
	}
}

func encodePNG(t *testing.T, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// qr is what a QR code reader reads off a picture; empty when there is no code.
func qr(t *testing.T, m image.Image) string {
	t.Helper()
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Fatal("this test reads QR codes with zbarimg: apt-get install zbar-tools")
	}
	file := filepath.Join(t.TempDir(), "screen.png")
	if err := os.WriteFile(file, encodePNG(t, m), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), zbar, "-q", "--raw", file).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// shows waits until the screen is exactly what render makes of a status.
func (d *device) shows(what string, want render.Status) {
	d.t.Helper()
	d.showsUnder(what, want, func(*render.Image) {})
}

// showsUnder is shows with something that over draws on top.
func (d *device) showsUnder(what string, want render.Status, over func(*render.Image)) {
	d.t.Helper()
	want.Version = "Porthole " + daemon.Version()
	seen := uint64(0)
	d.eventually("the status screen shows "+what, func() bool {
		m, n := d.screen.Last()
		if n == seen {
			return false
		}
		seen = n
		for _, minute := range []time.Duration{0, -time.Minute} {
			want.Time = time.Now().Add(minute).Truncate(time.Minute)
			expected := render.NewImage(m.Rect.Dx(), m.Rect.Dy())
			render.StatusScreen(expected, want)
			over(expected)
			if samePixels(m, (*display.Image)(expected)) {
				return true
			}
		}
		return false
	})
}

// samePixels compares without the fourth byte, which nobody shows.
func samePixels(a, b *display.Image) bool {
	if a.Rect != b.Rect {
		return false
	}
	for y := range a.Rect.Dy() {
		p, q := a.Pix[y*a.Stride:], b.Pix[y*b.Stride:]
		for x := 0; x < 4*a.Rect.Dx(); x += 4 {
			if p[x] != q[x] || p[x+1] != q[x+1] || p[x+2] != q[x+2] {
				return false
			}
		}
	}
	return true
}

// peer serves h where another process would, until the test or the returned function ends it.
func (d *device) peer(name string, h http.Handler) (stop func()) {
	d.t.Helper()
	l, err := unixsock.Listen(d.options.Env.Socket(name), unixsock.Allow(true, "player"))
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := unixsock.Serve(ctx, l, h); err != nil {
			d.t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	d.t.Cleanup(stop)
	return stop
}

// console stands where console does.
type console struct {
	mu      sync.Mutex // guards what follows
	view    settings.Player
	claimed bool
	changed chan struct{}
}

const claimCode = "BCDF-2345"

func (d *device) console(view settings.Player) *console {
	c := &console{view: view, changed: make(chan struct{})}
	c.view.Revision = 1
	d.peer("console-internal", c)
	return c
}

func (c *console) change(f func(*settings.Player)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.view)
	c.view.Revision++
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *console) claim() {
	c.mu.Lock()
	c.claimed = true
	c.mu.Unlock()
	c.change(func(*settings.Player) {})
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/claim":
		answer := map[string]any{"claimed": c.claimed}
		if !c.claimed {
			answer["code"] = claimCode
		}
		json.NewEncoder(w).Encode(answer)
	case "/settings/player":
		for r.URL.Query().Get("after") == fmt.Sprint(c.view.Revision) {
			changed := c.changed
			c.mu.Unlock()
			select {
			case <-changed:
			case <-r.Context().Done():
			}
			c.mu.Lock()
			if r.Context().Err() != nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		json.NewEncoder(w).Encode(c.view)
	default:
		http.NotFound(w, r)
	}
}

const authority = "ab12cd34ef560789" + "000000000000000000000000000000000000000000000000"

// system stands where system does.
func (d *device) system() {
	d.peer("system", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/certificate" {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"ca_sha256": authority, "leaf_sha256": "01"})
	}))
}

// demo is a camera that is on, and proxy's hub with it.
type demo struct {
	stopCamera func()
	url        string
}

// cameras serves rtsp.sock with the real hub, in front of the demo camera under each of the ids.
func (d *device) cameras(ids ...string) *demo {
	d.t.Helper()
	c := &demo{}
	addr := c.start(d, "127.0.0.1:0")
	c.url = "rtsp://" + addr + "/demo"
	hub := rtsp.NewHub(rtsp.Config{Log: d.options.Env.Log, AnswerTimeout: 2 * time.Second, StallTimeout: 2 * time.Second})
	var sources []rtsp.Source
	for _, id := range ids {
		sources = append(sources, rtsp.Source{ID: id, URL: c.url, Transport: "tcp"})
	}
	hub.SetSources(sources)
	l, err := unixsock.Listen(d.options.Env.Socket("rtsp"), unixsock.Allow(true, "player"))
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { hub.Run(ctx) })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hub.Handle(conn, rtsp.ViaSocket)
		}
	})
	d.t.Cleanup(func() {
		cancel()
		l.Close()
		wg.Wait()
	})
	return c
}

// start lets the camera serve its clip at addr.
func (c *demo) start(d *device, addr string) string {
	d.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- rtsp.ServeClip(ctx, slog.New(slog.DiscardHandler), l, samples.Demo(), "/demo", "", "")
	}()
	c.stopCamera = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(c.stopCamera)
	return l.Addr().String()
}

// status asks player.sock.
func (d *device) status() (s struct {
	Display   map[string]any
	Showing   string
	Presented uint64
	Dropped   uint64
	Camera    *struct {
		Camera, Problem, Codec  string
		Width, Height, Pictures int
		DecoderFailures         int `json:"decoder_failures"`
		Reconnects              int
	}
	Problems []string
}) {
	d.t.Helper()
	c := unixsock.NewClient(d.options.Env.Socket("player"))
	defer c.Close()
	d.eventually("player.sock answers", func() bool {
		_, err := c.Call(d.t.Context(), http.MethodGet, "/status", nil, &s)
		return err == nil
	})
	return s
}
