package playback_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"log/slog"
	"os"
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
	"porthole/packages/internal/program"
	"porthole/packages/player/picture"
	"porthole/packages/player/playback"
	"porthole/packages/player/stage"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

// painter draws like player's own.
type painter struct{}

func (painter) Status(dst *display.Image, _ stage.Status) {
	(*render.Image)(dst).Fill(dst.Rect, color.RGBA{0x10, 0x10, 0x10, 0xff})
}

func (painter) Picture(dst *display.Image, r image.Rectangle, m image.Image, fit render.Mode, turn render.Turn) {
	render.Draw((*render.Image)(dst).SubImage(r), m, fit, turn, color.RGBA{A: 0xff})
}

func (painter) Text(dst *display.Image, text string) {
	// The first letter is the colour.
	(*render.Image)(dst).Fill(dst.Rect, paint(strings.ToLower(text)[0]))
}
func (painter) Log(*display.Image, []render.Line) {}

func (painter) Video(dst *display.Image, r image.Rectangle, v *display.YUV) {
	m := &image.YCbCr{
		Y: v.Y, Cb: v.U, Cr: v.V, YStride: v.YStride, CStride: v.UVStride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, v.Width, v.Height),
	}
	render.NewConverter(render.BT601, v.FullRange).Draw((*render.Image)(dst), r, m, m.Rect)
}
func (painter) Strip(*display.Image, image.Rectangle, string) {}
func (painter) Note(*display.Image, image.Rectangle, string)  {}
func (painter) Banner(*display.Image, string)                 {}

// paint is a colour by its first letter.
func paint(c byte) color.RGBA {
	on := func(in string) uint8 {
		if strings.IndexByte(in, c) >= 0 {
			return 0xff
		}
		return 0
	}
	return color.RGBA{on("rymw"), on("gycw"), on("bmcw"), 0xff}
}

// hue names what is in the middle of a picture: a letter of paint, k for black, + for a mixture.
func hue(m *display.Image) byte {
	p := m.Pix[m.PixOffset(m.Rect.Dx()/2, m.Rect.Dy()/2):]
	for _, c := range []byte("rgbymcwk") {
		w := paint(c)
		if near(p[2], w.R) && near(p[1], w.G) && near(p[0], w.B) {
			return c
		}
	}
	return '+'
}

func near(a, b uint8) bool { return max(a, b)-min(a, b) < 40 }

// shot is a frame as it came on the screen.
type shot struct {
	seq  uint64
	hue  byte
	grey uint8
}

// rig is an engine with a stage on a simulated screen.
type rig struct {
	t      *testing.T
	engine *playback.Engine
	stage  *stage.Stage
	screen *display.Offscreen
	clock  *display.Clock
	dir    string
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error // Run's, once done

	mu     sync.Mutex // guards what follows
	shots  []shot
	events []playback.Event
	now    time.Time
}

type setup struct {
	planes bool
	// rests lets the stage ask seldom while a still is on the screen.
	rests          bool
	camera, stream func(context.Context, string, rtsp.Sink) error
	video          func(context.Context, *os.File) (*decode.Decoder, error)
	dir            string
}

func start(t *testing.T, p program.Program, s setup) *rig {
	t.Helper()
	binary := decodetest.Binary(t)
	r := &rig{t: t, clock: display.NewClock(60_000), dir: media(t), now: time.Date(2027, 6, 7, 12, 0, 0, 0, time.UTC)}
	r.screen = display.OpenSimulated(64, 36, s.planes, r.clock)
	r.screen.Watch(func(v display.Vblank, m *display.Image) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.shots = append(r.shots, shot{v.Sequence, hue(m), m.Pix[m.PixOffset(32, 18)]})
	})
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var clock stage.Clock = awake{r.clock}
	if s.rests {
		clock = r.clock
	}
	r.stage = stage.New(stage.Config{Log: log, Fallback: r.screen, Painter: painter{}, Clock: clock})
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	if s.video == nil {
		s.video = func(ctx context.Context, f *os.File) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: binary, File: f, Frames: 6, FrameTimeout: 5 * time.Second, MaxMemory: 400 << 20})
		}
	}
	r.engine = playback.New(playback.Config{
		Log: log, Stage: r.stage, Files: files(r.dir), Now: r.wall, Camera: s.camera, Stream: s.stream,
		Live: func(ctx context.Context, l decode.Live) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: binary, Live: &l, Frames: decode.DefaultFrames + 1})
		},
		Video: s.video,
		Picture: func(ctx context.Context, f *os.File) (image.Image, error) {
			return picture.LoadFile(ctx, f, image.Pt(3840, 2160), picture.Decoder(binary))
		},
		Dir: s.dir,
		Report: func(ev playback.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, ev)
		},
	})
	r.engine.SetProgram(p)
	ctx, cancel := context.WithCancel(t.Context())
	r.ctx, r.cancel = ctx, cancel
	r.done.Go(func() {
		if err := r.stage.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r.done.Go(func() { r.err = r.engine.Run(ctx) })
	t.Cleanup(r.stop)
	return r
}

// awake is a clock that lets nobody rest: what wakes a stage up would race with refreshes that a test makes.
type awake struct{ *display.Clock }

func (c awake) After(until time.Duration) (done <-chan struct{}, stop func()) {
	return c.Clock.After(min(until, c.Now()+1))
}

// stop ends the engine and returns what Run has returned.
func (r *rig) stop() {
	r.cancel()
	r.done.Wait()
}

// wall is the time that rules go by: that of the screen's clock.
func (r *rig) wall() time.Time { return r.now.Add(r.clock.Now() - 1000*time.Second) }

// files finds media by name instead of hash.
type files string

func (d files) Open(name string) (*os.File, error) {
	if name == "" {
		return nil, fs.ErrNotExist
	}
	return os.Open(filepath.Join(string(d), name))
}

// until waits for a condition.
func (r *rig) until(what string, f func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain until %s; state %+v", what, r.engine.State())
		}
		<-tick.C
	}
}

// step lets n refreshes come, each when everything is ready for it.
func (r *rig) step(n int) {
	r.t.Helper()
	for range n {
		r.engine.Plan(r.ctx)
		r.until("all is ready for a refresh", r.engine.Settled)
		r.refresh()
	}
}

// refresh lets one refresh come, ready or not.
func (r *rig) refresh() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 60*time.Second)
	defer cancel()
	if _, err := r.clock.Step(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// run lets refreshes come, ready or not, until a condition holds.
func (r *rig) run(what string, f func() bool) {
	r.t.Helper()
	r.until(what, func() bool {
		if f() {
			return true
		}
		r.refresh()
		return false
	})
}

// spans says what was on the screen in turn, and for how many refreshes: "r60 g60".
func (r *rig) spans() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for i := 0; i < len(r.shots); {
		j := i
		for j < len(r.shots) && r.shots[j].hue == r.shots[i].hue {
			j++
		}
		end := r.clock.Vblank().Sequence + 1
		if j < len(r.shots) {
			end = r.shots[j].seq
		}
		out = append(out, fmt.Sprintf("%c%d", r.shots[i].hue, end-r.shots[i].seq))
		i = j
	}
	return strings.Join(out, " ")
}

// hues are what was on the screen in turn.
func (r *rig) hues() string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c == ' ' {
			return -1
		}
		return c
	}, r.spans())
}

// media makes a folder of clips once: colours by name, of one second unless the name says otherwise.
func media(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range []byte("rgbymcw") {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%c.png", c)))
		if err != nil {
			t.Fatal(err)
		}
		m := image.NewRGBA(image.Rect(0, 0, 64, 36))
		for y := range 36 {
			for x := range 64 {
				m.SetRGBA(x, y, paint(c))
			}
		}
		if err := png.Encode(f, m); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clip puts a video of one colour into the rig's folder.
func (r *rig) clip(name string, args ...string) {
	r.t.Helper()
	made := decodetest.Clip(r.t, name, args...)
	if err := os.Rename(made, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

var (
	clips   sync.Mutex
	clipDir = map[string][]byte{}
)

// colour is a video of one colour at 30 frames per second.
func (r *rig) colour(c byte, name string, seconds float64) {
	r.t.Helper()
	w := paint(c)
	key := fmt.Sprintf("%c %g", c, seconds)
	clips.Lock()
	b, ok := clipDir[key]
	clips.Unlock()
	if !ok {
		made := decodetest.Clip(r.t, "clip.mp4", "-f", "lavfi", "-i",
			fmt.Sprintf("color=c=0x%02x%02x%02x:s=64x36:r=30:d=%g", w.R, w.G, w.B, seconds), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast")
		var err error
		if b, err = os.ReadFile(made); err != nil {
			r.t.Fatal(err)
		}
		clips.Lock()
		clipDir[key] = b
		clips.Unlock()
	}
	if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// list is a program with one playlist.
func list(transition string, items ...program.Item) program.Program {
	for i := range items {
		items[i].ID = int64(i + 1)
		if items[i].Fit == "" {
			items[i].Fit = "fit"
		}
	}
	return program.Program{
		Revision: 1, Timezone: "UTC", Base: 1,
		Playlists: []program.Playlist{{ID: 1, Name: "base", Version: 1, Transition: transition, Items: items}},
	}
}

func still(c byte, d time.Duration) program.Item {
	name := fmt.Sprintf("%c.png", c)
	return program.Item{Kind: "image", FileName: name, SHA256: name, DurationMS: d.Milliseconds()}
}

func video(name string, d time.Duration) program.Item {
	return program.Item{Kind: "video", FileName: name, SHA256: name, DurationMS: d.Milliseconds()}
}

func g(r *rig) playback.Gaps { return r.engine.State().Gaps }
