package stage_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/player/camera"
	"porthole/packages/player/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// painter writes down what it is asked for; a call fills its place with the first byte of its name.
type painter struct {
	mu  sync.Mutex
	did []string // guarded by mu
}

func (p *painter) paint(dst *display.Image, r image.Rectangle, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = append(p.did, fmt.Sprintf("%s %v", what, r))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			dst.Pix[dst.PixOffset(x, y)] = what[0]
		}
	}
}

func (p *painter) Status(dst *display.Image, s stage.Status) {
	p.paint(dst, dst.Rect, "status "+s.Name)
}
func (p *painter) Picture(dst *display.Image, r image.Rectangle, _ image.Image, _ render.Mode, _ render.Turn) {
	p.paint(dst, r, "picture")
}
func (p *painter) Text(dst *display.Image, text string) { p.paint(dst, dst.Rect, "text "+text) }
func (p *painter) Log(dst *display.Image, lines []render.Line) {
	p.paint(dst, dst.Rect, fmt.Sprint("log of ", len(lines)))
}
func (p *painter) Video(dst *display.Image, r image.Rectangle, v *display.YUV) {
	p.paint(dst, r, fmt.Sprintf("video %d", v.Y[0]))
}
func (p *painter) Strip(dst *display.Image, r image.Rectangle, text string) {
	p.paint(dst, r, "Strip "+text)
}
func (p *painter) Note(dst *display.Image, r image.Rectangle, text string) {
	p.paint(dst, image.Rectangle{r.Min, r.Min.Add(image.Pt(1, 1))}, "Note "+text)
}

func (p *painter) Banner(dst *display.Image, text string) {
	p.paint(dst, image.Rect(0, 0, 2, 2), "Banner "+text)
}

func (p *painter) took() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.did, "; ")
	p.did = nil
	return s
}

// screen is a display that does what a test wants. It refreshes every 10 ms.
type screen struct {
	changes chan struct{}

	mu     sync.Mutex // guards what follows
	info   display.Info
	frames []string
	modes  []string // that were asked for
	fail   error
	closed bool
}

func newScreen(w, h int, planes bool) *screen {
	return &screen{info: display.Info{
		Kind: display.KindPlanes, Driver: "fake", Connector: "HDMI-A-1", Connected: true, VideoPlanes: planes,
		Mode: display.Mode{Width: w, Height: h, RefreshMilliHz: 100_000},
	}}
}

func (s *screen) Info() display.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

func (s *screen) Present(ctx context.Context, f display.Frame) (display.Vblank, error) {
	<-time.After(10 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return display.Vblank{}, s.fail
	}
	if f.Base != nil && (f.Base.Rect.Dx() != s.info.Mode.Width || f.Base.Rect.Dy() != s.info.Mode.Height) {
		return display.Vblank{}, display.ErrSize
	}
	var parts []string
	if f.Base != nil {
		parts = append(parts, fmt.Sprintf("base %c", f.Base.Pix[f.Base.PixOffset(f.Base.Rect.Dx()/2, f.Base.Rect.Dy()/2)]))
	}
	if f.Video != nil {
		if !s.info.VideoPlanes {
			return display.Vblank{}, display.ErrVideo
		}
		parts = append(parts, fmt.Sprintf("video %d in %v", f.Video.Y[0], f.VideoRect))
	}
	s.frames = append(s.frames, strings.Join(parts, ", "))
	return display.Vblank{}, ctx.Err()
}

func (s *screen) Blank(context.Context, bool) error { return nil }

func (s *screen) SetMode(_ context.Context, m display.Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modes = append(s.modes, m.String())
	return s.fail
}

func (s *screen) Changes() <-chan struct{} { return s.changes }

func (s *screen) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// change lets the display be another one.
func (s *screen) change(f func(*display.Info)) {
	s.mu.Lock()
	f(&s.info)
	s.mu.Unlock()
	s.changes <- struct{}{}
}

func (s *screen) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *screen) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := strings.Join(s.frames, "; ")
	s.frames = nil
	return f
}

// frames counts the camera pictures that are not released.
type frames struct {
	mu  sync.Mutex
	out []byte // guarded by mu
}

// picture is 40 × 20 pixels of value v.
func (f *frames) picture(v byte) camera.Picture {
	m := image.NewYCbCr(image.Rect(0, 0, 40, 20), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = v
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out = append(f.out, v)
	return camera.Picture{Image: m, Info: decode.StreamInfo{SampleAspect: [2]int{1, 1}}, Release: func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		i := bytes.IndexByte(f.out, v)
		if i < 0 {
			panic(fmt.Sprintf("picture %d was released twice", v))
		}
		f.out = slices.Delete(f.out, i, i+1)
	}}
}

// held are the values of the pictures that are not released.
func (f *frames) held() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.out)
}

type opener = func(context.Context) (display.Screen, error)

// play runs f with a stage in a bubble of its own time.
func play(t *testing.T, s *screen, open opener, f func(t *testing.T, st *stage.Stage, p *painter, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, log := &painter{}, &bytes.Buffer{}
		s.changes = make(chan struct{}, 1) // of this bubble
		st := stage.New(stage.Config{Log: slog.New(slog.NewTextHandler(log, nil)), Open: open, Fallback: s, Painter: p})
		done := make(chan error, 1)
		go func() { done <- st.Run(ctx) }()
		f(t, st, p, log)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !s.closed {
			t.Error("the screen was not given back")
		}
	})
}

func settle(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestScenes(t *testing.T) {
	s := newScreen(100, 60, true)
	play(t, s, nil, func(t *testing.T, st *stage.Stage, p *painter, _ *bytes.Buffer) {
		f := &frames{}
		settle(time.Second)
		same(t, "nothing to show", s.took(), "")
		if m, _ := st.Shot(); m != nil {
			t.Error("a shot of nothing")
		}
		st.Status(stage.Status{Name: "box"})
		settle(time.Second)
		same(t, "status", s.took(), "base s")
		same(t, "status drawn", p.took(), "status box (0,0)-(100,60)")

		st.Video(f.picture(1))
		settle(time.Second)
		st.Video(f.picture(2))
		settle(time.Second)
		same(t, "the base is drawn once, around the video", s.took(), "base \x00, video 1 in (0,5)-(100,55); video 2 in (0,5)-(100,55)")
		same(t, "nothing is drawn for planes", p.took(), "")
		if m, n := st.Shot(); n != 3 || m.Pix[m.PixOffset(50, 30)] != 'v' || m.Pix[m.PixOffset(50, 2)] != 0 {
			t.Errorf("shot %d", n)
		}
		same(t, "the shot shows the video", p.took(), "video 2 (0,5)-(100,55)")

		st.Words("gone", "")
		settle(time.Second)
		same(t, "a note needs drawing", s.took(), "base v")
		same(t, "drawn", p.took(), "video 2 (0,5)-(100,55); Note gone (0,5)-(1,6)")
		st.Words("gone", "")
		settle(time.Second)
		same(t, "the same words are no news", s.took(), "")
		st.Words("", "claim")
		settle(time.Second)
		same(t, "a strip is beside the video", s.took(), "base \x00, video 2 in (10,0)-(90,40)")
		same(t, "the strip is drawn", p.took(), "Strip claim (0,40)-(100,60)")
		st.Words("", "")
		settle(time.Second)
		same(t, "without words", s.took(), "base \x00, video 2 in (0,5)-(100,55)")
		st.Banner("me")
		settle(time.Second)
		same(t, "a banner needs drawing", s.took(), "base v")
		same(t, "it is over the video", p.took(), "video 2 (0,5)-(100,55); Banner me (0,0)-(2,2)")
		if m, _ := st.Shot(); m.Pix[0] != 'B' {
			t.Error("the shot does not show the banner")
		}
		st.Banner("me")
		settle(time.Second)
		same(t, "the same banner is no news", s.took(), "")
		st.Banner("")
		settle(time.Second)
		same(t, "without a banner, nothing of it is left", s.took(), "base \x00, video 2 in (0,5)-(100,55)")
		st.Picture(image.NewGray(image.Rect(0, 0, 60, 60)))
		settle(time.Second)
		same(t, "a picture", s.took(), "base p")
		same(t, "a picture drawn", p.took(), "picture (20,0)-(80,60)")
		st.Banner("me")
		settle(time.Second)
		same(t, "a banner over a picture", s.took(), "base p")
		st.Banner("")
		settle(time.Second)
		if m, _ := st.Shot(); m.Pix[0] != 0 {
			t.Error("a piece of the banner stays beside the picture")
		}
		same(t, "and gone", s.took(), "base p")
		p.took()
		if len(f.held()) != 0 {
			t.Errorf("pictures still held: %v", f.held())
		}
		if r := st.Report(); r.Showing != stage.ShowPicture || r.Presented != 11 || r.Dropped != 0 || r.Screen.Connector != "HDMI-A-1" {
			t.Errorf("report %+v", r)
		}
	})
}

// TestNewestWins: of pictures that come while one is on its way to the screen, the last is shown and the others are
// dropped; what is on the screen is kept and nothing leaks.
func TestNewestWins(t *testing.T) {
	s := newScreen(100, 60, true)
	f := &frames{}
	play(t, s, nil, func(t *testing.T, st *stage.Stage, _ *painter, _ *bytes.Buffer) {
		st.Video(f.picture(1))
		settle(5 * time.Millisecond)
		for v := range byte(5) {
			st.Video(f.picture(v + 2))
		}
		settle(time.Second)
		same(t, "frames", s.took(), "base \x00, video 1 in (0,5)-(100,55); video 6 in (0,5)-(100,55)")
		if held := f.held(); !bytes.Equal(held, []byte{6}) {
			t.Errorf("pictures held: %v", held)
		}
		if r := st.Report(); r.Presented != 2 || r.Dropped != 4 {
			t.Errorf("report %+v", r)
		}
		s.change(func(i *display.Info) { i.Mode.Width = 200 })
		settle(time.Second)
		same(t, "another mode", s.took(), "base \x00, video 6 in (40,0)-(160,60)")
		st.Video(f.picture(7))
	})
	if held := f.held(); len(held) != 0 {
		t.Errorf("pictures held after the end: %v", held)
	}
}

// TestWithoutPlanes: video is drawn where the hardware cannot show it, also where it only turns out then.
func TestWithoutPlanes(t *testing.T) {
	for name, claims := range map[string]bool{"says so": false, "turns out": true} {
		t.Run(name, func(t *testing.T) {
			s := newScreen(100, 60, claims)
			play(t, s, nil, func(t *testing.T, st *stage.Stage, p *painter, _ *bytes.Buffer) {
				f := &frames{}
				s.failWith(nil)
				if claims {
					s.failWith(fmt.Errorf("size: %w", display.ErrVideo))
				}
				st.Video(f.picture(1))
				settle(5 * time.Millisecond)
				s.mu.Lock()
				s.info.VideoPlanes = false
				s.fail = nil
				s.mu.Unlock()
				settle(time.Second)
				st.Video(f.picture(2))
				settle(time.Second)
				same(t, "frames", s.took(), "base v; base v")
				same(t, "drawn", p.took(), "video 1 (0,5)-(100,55); video 2 (0,5)-(100,55)")
			})
		})
	}
}

// TestSizeRace: a mode that changes while a frame is drawn costs that frame.
func TestSizeRace(t *testing.T) {
	s := newScreen(100, 60, false)
	play(t, s, nil, func(t *testing.T, st *stage.Stage, p *painter, _ *bytes.Buffer) {
		st.Status(stage.Status{Name: "box"})
		settle(5 * time.Millisecond)
		s.mu.Lock()
		s.info.Mode.Width = 80
		s.mu.Unlock()
		settle(time.Second)
		same(t, "frames", s.took(), "base s")
		same(t, "drawn twice", p.took(), "status box (0,0)-(100,60); status box (0,0)-(80,60)")
	})
}

// TestLateScreen: until there is a screen it is drawn elsewhere, and said why; then the scene is on the screen. One that
// fails for good is opened anew.
func TestLateScreen(t *testing.T) {
	fallback, real := newScreen(50, 50, false), newScreen(100, 60, false)
	answers := []error{fs.ErrPermission, display.ErrBusy, fmt.Errorf("look for a display: %w", display.ErrNoDevice)}
	opened := 0
	open := func(context.Context) (display.Screen, error) {
		if real.changes == nil {
			real.changes = make(chan struct{}, 1)
		}
		opened++
		if opened <= len(answers) {
			return nil, answers[opened-1]
		}
		return real, nil
	}
	play(t, fallback, open, func(t *testing.T, st *stage.Stage, _ *painter, log *bytes.Buffer) {
		st.Status(stage.Status{Name: "box"})
		settle(200 * time.Millisecond)
		if r := st.Report(); r.Screen.Problem != "this device has no display output" || r.Screen.Width != 50 {
			t.Errorf("report while there is none: %+v", r)
		}
		settle(time.Second)
		same(t, "on the screen at last", real.took(), "base s")
		if r := st.Report(); r.Screen.Problem != "" || r.Screen.Width != 100 || opened != 4 {
			t.Errorf("report after %d tries: %+v", opened, r)
		}
		// By themselves, and once.
		for _, want := range []string{"player may not use the screen yet", "another program owns the screen", "this device has no display output"} {
			if strings.Count(log.String(), `problem="`+want+`"`) != 1 {
				t.Errorf("%q is not said once:\n%s", want, log)
			}
		}
		real.failWith(display.ErrNoFlip)
		st.Status(stage.Status{Name: "other"})
		settle(time.Second)
		real.failWith(nil)
		settle(time.Second)
		same(t, "after a second without flips", real.took(), "base s")
		real.failWith(display.ErrNoFlip)
		st.Status(stage.Status{Name: "third"})
		settle(10 * time.Second)
		if opened < 5 {
			t.Error("the screen was not opened anew")
		}
		real.failWith(nil)
		settle(10 * time.Second)
		same(t, "after it was opened anew", real.took(), "base s")
	})
}
