package display

import (
	"context"
	"fmt"
	"image"
	"sync"
	"sync/atomic"
	"time"

	"porthole/hw/internal/pixel"
)

// Offscreen is a Screen in memory, for a developer's machine and for tests: refreshed at 60 Hz by a timer, or whenever a
// test wants it.
type Offscreen struct {
	info    atomic.Pointer[Info]
	changes chan struct{}

	wait  func(context.Context) (Vblank, error)
	order chan struct{} // one token; who has it presents

	mu     sync.Mutex // guards what follows
	closed bool
	wanted Mode
	blank  blanking
	base   *Image
	video  *YUV // a copy, or nil
	buffer YUV  // what video is copied into
	rect   image.Rectangle
	veil   *Image // the caller's, which does not change
	share  int
	frames uint64
	watch  func(Vblank, *Image)
}

// OpenOffscreen returns a screen of w by h pixels that behaves as one with a single plane.
func OpenOffscreen(w, h int) *Offscreen {
	c := &clock{interval: time.Second / 60}
	return newOffscreen(Mode{Width: w, Height: h, RefreshMilliHz: 60_000}, c.idle)
}

// OpenOffscreenPlanes returns a screen of w by h pixels that also takes video and veils, as one with planes.
func OpenOffscreenPlanes(w, h int) *Offscreen {
	s := OpenOffscreen(w, h)
	s.equip()
	return s
}

// OpenSimulated returns a screen of w by h pixels that refreshes whenever a clock does; with planes it takes video and
// veils. The display can be plugged out and in.
func OpenSimulated(w, h int, planes bool, c *Clock) *Offscreen {
	rate := int(time.Duration(1e12) / c.interval)
	s := newOffscreen(Mode{Width: w, Height: h, RefreshMilliHz: rate}, c.idle)
	if planes {
		s.equip()
	}
	return s
}

func newOffscreen(mode Mode, wait func(context.Context) (Vblank, error)) *Offscreen {
	mode.Name, mode.Preferred = fmt.Sprintf("%dx%d", mode.Width, mode.Height), true
	s := &Offscreen{
		changes: make(chan struct{}, 1), order: make(chan struct{}, 1), wait: wait,
		base: NewImage(image.Rect(0, 0, mode.Width, mode.Height)),
	}
	s.info.Store(&Info{
		Kind: KindOffscreen, Driver: "memory", Connector: "offscreen", Connected: true, Mode: mode, Modes: []Mode{mode},
	})
	return s
}

func (s *Offscreen) equip() {
	info := s.Info()
	info.VideoPlanes, info.Veils = true, true
	s.info.Store(&info)
}

// Info implements Screen.
func (s *Offscreen) Info() Info { return *s.info.Load() }

// Changes implements Screen.
func (s *Offscreen) Changes() <-chan struct{} { return s.changes }

// Plug plugs a display with certain sizes in, the first of which is its own choice, instead of the one that is there.
func (s *Offscreen) Plug(size image.Point, more ...image.Point) {
	s.change(func(i *Info) {
		rate := i.Mode.RefreshMilliHz
		i.Connected, i.Modes = true, nil
		for _, p := range append([]image.Point{size}, more...) {
			i.Modes = append(i.Modes, Mode{Width: p.X, Height: p.Y, RefreshMilliHz: rate, Name: fmt.Sprintf("%dx%d", p.X, p.Y)})
		}
		i.Modes[0].Preferred = true
		s.choose(i)
	})
}

// SetMode implements Screen.
func (s *Offscreen) SetMode(_ context.Context, wanted Mode) error {
	s.mu.Lock()
	closed := s.closed
	s.wanted = wanted
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	s.change(s.choose)
	return nil
}

// choose takes the wanted mode if there is one; s.mu is held.
func (s *Offscreen) choose(i *Info) {
	i.Mode = i.Modes[0]
	for _, m := range i.Modes {
		if matches(m, s.wanted) {
			i.Mode = m
		}
	}
	i.Note = modeNote(i.Mode, s.wanted, false)
}

// Unplug takes the display away: frames are kept for the next one.
func (s *Offscreen) Unplug() { s.change(func(i *Info) { i.Connected = false }) }

func (s *Offscreen) change(f func(*Info)) {
	s.mu.Lock()
	info := s.Info()
	f(&info)
	s.info.Store(&info)
	if size := image.Rect(0, 0, info.Mode.Width, info.Mode.Height); size != s.base.Rect {
		s.base, s.video, s.veil = NewImage(size), nil, nil
	}
	s.mu.Unlock()
	tell(s.changes)
}

// Watch calls f with every frame as it comes on the screen, before Present returns, and what a viewer sees then. F must
// not call the screen.
func (s *Offscreen) Watch(f func(Vblank, *Image)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = f
}

// Present implements Screen.
func (s *Offscreen) Present(ctx context.Context, f Frame) (Vblank, error) {
	select {
	case s.order <- struct{}{}:
	case <-ctx.Done():
		return Vblank{}, fmt.Errorf("wait for the screen: %w", ctx.Err())
	}
	defer func() { <-s.order }()
	if err := s.ready(f); err != nil {
		return Vblank{}, err
	}
	v, err := s.wait(ctx)
	if err != nil {
		return Vblank{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := f.check(s.Info()); err != nil { // another display by now
		return Vblank{}, err
	}
	s.show(f)
	if s.watch != nil {
		s.watch(v, s.seen())
	}
	return v, nil
}

// ready says whether a frame could be shown now.
func (s *Offscreen) ready(f Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return f.check(s.Info())
}

// show takes a frame's pictures; s.mu is held.
func (s *Offscreen) show(f Frame) {
	if f.Base != nil {
		w, h := f.Base.Rect.Dx(), f.Base.Rect.Dy()
		copyLines(s.base.Pix, s.base.Stride, f.Base.Pix, f.Base.Stride, 4*w, h)
	}
	s.video, s.rect = nil, f.VideoRect
	if s.rect.Empty() {
		s.rect = s.base.Rect
	}
	if f.Video != nil {
		y, u, v := append(s.buffer.Y[:0], f.Video.Y...), append(s.buffer.U[:0], f.Video.U...), append(s.buffer.V[:0], f.Video.V...)
		s.buffer = *f.Video
		s.buffer.Y, s.buffer.U, s.buffer.V = y, u, v
		s.video = &s.buffer
	}
	s.veil, s.share = f.Veil, f.VeilShare
	s.blank = picture
	s.frames++
}

// check says why a frame cannot be shown on a screen.
func (f Frame) check(info Info) error {
	if f.Base != nil {
		if err := f.Base.check(info.Mode); err != nil {
			return err
		}
	}
	if f.Video != nil {
		if !info.VideoPlanes {
			return fmt.Errorf("no plane for video: %w", ErrVideo)
		}
		if err := f.Video.check(); err != nil {
			return err
		}
	}
	if f.Veil == nil {
		return nil
	}
	if !info.Veils || f.VeilShare < 1 || f.VeilShare > 256 {
		return fmt.Errorf("veil with a share of %d of 256: %w", f.VeilShare, ErrVeil)
	}
	return f.Veil.check(info.Mode)
}

// Blank implements Screen.
func (s *Offscreen) Blank(_ context.Context, off bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.blank = black
	if off {
		s.blank = signalOff
	}
	return nil
}

// Off tells whether the signal is off.
func (s *Offscreen) Off() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blank == signalOff
}

// Last returns what a viewer would see, as a copy, and how many frames were presented. While blanked it is black; after
// Close it is the last frame.
func (s *Offscreen) Last() (*Image, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen(), s.frames
}

// seen draws what a viewer would see; s.mu is held.
func (s *Offscreen) seen() *Image {
	m := NewImage(s.base.Rect)
	if s.blank != picture {
		return m
	}
	copy(m.Pix, s.base.Pix)
	if s.video != nil {
		s.video.drawInto(m, s.rect)
	}
	if s.veil != nil {
		for y := range m.Rect.Dy() {
			line, over := m.Pix[y*m.Stride:][:4*m.Rect.Dx()], s.veil.Pix[y*s.veil.Stride:]
			for i := range line {
				line[i] = byte((int(line[i])*(256-s.share) + int(over[i])*s.share) >> 8)
			}
		}
	}
	return m
}

// drawInto lays a video over m, scaled to rect, nearest neighbour.
func (v *YUV) drawInto(m *Image, rect image.Rectangle) {
	visible := rect.Intersect(m.Rect)
	for y := visible.Min.Y; y < visible.Max.Y; y++ {
		sy := (y - rect.Min.Y) * v.Height / rect.Dy()
		for x := visible.Min.X; x < visible.Max.X; x++ {
			sx := (x - rect.Min.X) * v.Width / rect.Dx()
			c := sy/2*v.UVStride + sx/2
			r, g, b := pixel.RGB(v.Y[sy*v.YStride+sx], v.U[c], v.V[c], v.FullRange, v.BT709)
			copy(m.Pix[m.PixOffset(x, y):], []byte{b, g, r, 255})
		}
	}
}

// Close implements Screen.
func (s *Offscreen) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
