package display

import (
	"context"
	"fmt"
	"image"
	"time"

	"porthole/hw/internal/pixel"
)

// Offscreen is a Screen in memory, refreshed at 60 Hz by a timer, for a developer's machine and for tests.
type Offscreen struct {
	info    Info
	changes chan struct{}

	lock   chan struct{} // one token; who has it owns the fields below
	closed bool
	blank  blanking
	base   *Image
	video  *YUV // a copy, or nil
	rect   image.Rectangle
	frames uint64
	clock  clock
}

// OpenOffscreen returns a screen of w by h pixels that behaves as one with a single plane.
func OpenOffscreen(w, h int) *Offscreen {
	mode := Mode{Width: w, Height: h, RefreshMilliHz: 60_000, Name: fmt.Sprintf("%dx%d", w, h), Preferred: true}
	return &Offscreen{
		info: Info{
			Kind: KindOffscreen, Driver: "memory", Connector: "offscreen", Connected: true, Mode: mode, Modes: []Mode{mode},
		},
		changes: make(chan struct{}),
		lock:    make(chan struct{}, 1),
		base:    NewImage(image.Rect(0, 0, w, h)),
		clock:   clock{interval: time.Second / 60},
	}
}

// OpenOffscreenPlanes returns a screen of w by h pixels that also takes video, as one with planes.
func OpenOffscreenPlanes(w, h int) *Offscreen {
	s := OpenOffscreen(w, h)
	s.info.VideoPlanes = true
	return s
}

// Info implements Screen.
func (s *Offscreen) Info() Info { return s.info }

// Changes implements Screen: nothing ever changes.
func (s *Offscreen) Changes() <-chan struct{} { return s.changes }

func (s *Offscreen) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the screen: %w", ctx.Err())
	}
	if s.closed {
		<-s.lock
		return ErrClosed
	}
	return nil
}

// Present implements Screen.
func (s *Offscreen) Present(ctx context.Context, f Frame) (Vblank, error) {
	if err := s.acquire(ctx); err != nil {
		return Vblank{}, err
	}
	defer func() { <-s.lock }()
	if f.Base != nil {
		if err := f.Base.check(s.info.Mode); err != nil {
			return Vblank{}, err
		}
	}
	if f.Video != nil {
		if !s.info.VideoPlanes {
			return Vblank{}, fmt.Errorf("no plane for video: %w", ErrVideo)
		}
		if err := f.Video.check(); err != nil {
			return Vblank{}, err
		}
	}
	if f.Base != nil {
		w, h := f.Base.Rect.Dx(), f.Base.Rect.Dy()
		copyLines(s.base.Pix, s.base.Stride, f.Base.Pix, f.Base.Stride, 4*w, h)
	}
	s.video, s.rect = nil, f.VideoRect
	if s.rect.Empty() {
		s.rect = s.base.Rect
	}
	if f.Video != nil {
		s.video = f.Video.clone()
	}
	s.blank = picture
	s.frames++
	return s.clock.idle(ctx)
}

func (v *YUV) clone() *YUV {
	c := *v
	c.Y, c.U, c.V = append([]byte(nil), v.Y...), append([]byte(nil), v.U...), append([]byte(nil), v.V...)
	return &c
}

// Blank implements Screen.
func (s *Offscreen) Blank(ctx context.Context, off bool) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-s.lock }()
	s.blank = black
	if off {
		s.blank = signalOff
	}
	return nil
}

// Last returns what a viewer would see, as a copy, and how many frames were presented. While blanked it is black; after
// Close it is the last frame.
func (s *Offscreen) Last() (*Image, uint64) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	m := NewImage(s.base.Rect)
	if s.blank != picture {
		return m, s.frames
	}
	copy(m.Pix, s.base.Pix)
	if s.video != nil {
		s.video.drawInto(m, s.rect)
	}
	return m, s.frames
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
	s.lock <- struct{}{}
	s.closed = true
	<-s.lock
	return nil
}
