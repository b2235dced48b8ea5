package display

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/fbdev"
	"porthole/hw/internal/sys"
)

// framebuffer is a Screen over /dev/fbN: one picture in memory, no events. It is paced by a timer.
type framebuffer struct {
	sys     *sys.Sys
	file    *os.File
	info    atomic.Pointer[Info]
	changes chan struct{}
	mem     []byte
	vari    fbdev.Var
	stride  int
	format  pixelFormat
	pages   int // 2 when the picture can be changed as a whole by panning
	closed  atomic.Bool

	lock  chan struct{} // one token; who has it owns the fields below
	page  int
	blank blanking
	saved []byte // the last picture while black is in its place, else empty
	clock clock
}

// openFramebuffer takes the first framebuffer device. It returns ErrNoDevice when there is none.
func openFramebuffer(opts Options) (*framebuffer, error) {
	var errs []error
	for _, path := range opts.glob("dev/fb[0-9]*") {
		f, err := opts.Sys.Open(path, os.O_RDWR)
		if err != nil {
			errs = append(errs, fmt.Errorf("open framebuffer: %w", err))
			continue
		}
		s := &framebuffer{sys: opts.Sys, file: f, changes: make(chan struct{}, 1), lock: make(chan struct{}, 1)}
		if err = s.start(opts); err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("use framebuffer %s: %w", path, err))
		_ = opts.Sys.Close(f) // the error above is the one to tell
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("look for a display card or framebuffer: %w", ErrNoDevice)
	}
	return nil, errors.Join(errs...)
}

func (s *framebuffer) ioctl(request uintptr, arg unsafe.Pointer) error {
	return s.sys.Ioctl(s.file, request, arg)
}

func (s *framebuffer) start(opts Options) error {
	var fix fbdev.Fix
	if err := s.ioctl(fbdev.GetVar, unsafe.Pointer(&s.vari)); err != nil {
		return fmt.Errorf("read its mode: %w", err)
	}
	if err := s.ioctl(fbdev.GetFix, unsafe.Pointer(&fix)); err != nil {
		return fmt.Errorf("read its layout: %w", err)
	}
	if fix.Type != fbdev.TypePacked || fix.Visual != fbdev.VisualTrueColor && fix.Visual != fbdev.VisualDirect {
		return fmt.Errorf("pixels of type %d, visual %d: %w", fix.Type, fix.Visual, errors.ErrUnsupported)
	}
	var err error
	if s.format, err = newPixelFormat(s.vari); err != nil {
		return err
	}
	w, h := int(s.vari.XRes), int(s.vari.YRes)
	s.stride = int(fix.LineLength)
	page := s.stride * h
	if w <= 0 || h <= 0 || s.stride < w*s.format.size || int(fix.SmemLen) < page {
		return fmt.Errorf("%d×%d in lines of %d bytes, %d in all: %w", w, h, s.stride, fix.SmemLen, errors.ErrUnsupported)
	}
	s.pages = 1
	if fix.YPanStep > 0 && h%int(fix.YPanStep) == 0 && int(s.vari.YResVirtual) >= 2*h && int(fix.SmemLen) >= 2*page {
		s.pages = 2
	}
	if s.mem, err = s.sys.Mmap(s.file, 0, s.pages*page); err != nil {
		return err
	}
	m := Mode{Width: w, Height: h, RefreshMilliHz: fbRefreshMilliHz(s.vari), Name: fmt.Sprintf("%dx%d", w, h), Preferred: true}
	s.clock.interval = m.interval()
	name := cString(fix.ID[:])
	s.info.Store(&Info{
		Kind: KindFramebuffer, Driver: name, Connector: name, Connected: true, Mode: m, Modes: []Mode{m},
		SizeMM: image.Pt(sizeMM(s.vari.WidthMM), sizeMM(s.vari.HeightMM)),
	})
	s.note(opts.Mode)
	return nil
}

// note says where the wanted mode is not to be had.
func (s *framebuffer) note(wanted Mode) {
	info := s.Info()
	info.Note = ""
	if wanted.Width > 0 && !matches(info.Mode, wanted) {
		info.Note = fmt.Sprintf("The framebuffer has one mode only: %s is used.", info.Mode)
	}
	s.info.Store(&info)
}

// SetMode implements Screen: there is only one.
func (s *framebuffer) SetMode(_ context.Context, wanted Mode) error {
	if s.closed.Load() {
		return ErrClosed
	}
	s.note(wanted)
	tell(s.changes)
	return nil
}

// tell puts a value in a channel of one place, unless there is one.
func tell(changes chan<- struct{}) {
	select {
	case changes <- struct{}{}:
	default:
	}
}

// sizeMM turns "unknown" (drivers write -1) into 0.
func sizeMM(v uint32) int {
	if v > 10_000 {
		return 0
	}
	return int(v)
}

// fbRefreshMilliHz computes the rate from the timing; drivers that do not tell theirs are taken for 60 Hz.
func fbRefreshMilliHz(v fbdev.Var) int {
	total := uint64(v.XRes+v.LeftMargin+v.RightMargin+v.HSyncLen) * uint64(v.YRes+v.UpperMargin+v.LowerMargin+v.VSyncLen)
	if v.PixClock == 0 || total == 0 {
		return 60_000
	}
	rate := 1e15 / (uint64(v.PixClock) * total) // PixClock is in picoseconds
	if rate < 20_000 || rate > 250_000 {
		return 60_000
	}
	return int(rate)
}

// Info implements Screen.
func (s *framebuffer) Info() Info { return *s.info.Load() }

// Changes implements Screen: nothing ever changes.
func (s *framebuffer) Changes() <-chan struct{} { return s.changes }

func (s *framebuffer) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the screen: %w", ctx.Err())
	}
	if s.closed.Load() {
		<-s.lock
		return ErrClosed
	}
	return nil
}

// Present implements Screen.
func (s *framebuffer) Present(ctx context.Context, f Frame) (Vblank, error) {
	if err := s.acquire(ctx); err != nil {
		return Vblank{}, err
	}
	defer func() { <-s.lock }()
	if f.Video != nil {
		return Vblank{}, fmt.Errorf("no plane for video: %w", ErrVideo)
	}
	if f.Base != nil {
		if err := f.Base.check(s.Info().Mode); err != nil {
			return Vblank{}, err
		}
	}
	if f.Base != nil || len(s.saved) > 0 {
		if err := s.draw(f.Base); err != nil {
			return Vblank{}, err
		}
		s.saved = s.saved[:0]
	}
	if s.blank == signalOff {
		if err := s.power(fbdev.BlankUnblank); err != nil && !errors.Is(err, unix.EINVAL) {
			return Vblank{}, err
		}
	}
	s.blank = picture
	return s.clock.idle(ctx)
}

// draw copies a picture (nil: the saved one, or black) into the page that is not shown, and shows it; with one page,
// into the one that is.
func (s *framebuffer) draw(m *Image) error {
	next := (s.page + 1) % s.pages
	size := s.stride * int(s.vari.YRes)
	page := s.mem[next*size:][:size]
	switch {
	case m == nil && len(s.saved) > 0:
		copy(page, s.saved)
	case m == nil:
		clear(page)
	default:
		w := m.Rect.Dx()
		for y := range m.Rect.Dy() {
			s.format.line(page[y*s.stride:][:w*s.format.size], m.Pix[y*m.Stride:][:4*w])
		}
	}
	if s.pages > 1 {
		s.vari.YOffset = uint32(next) * s.vari.YRes
		if err := s.ioctl(fbdev.PanDisplay, unsafe.Pointer(&s.vari)); err != nil {
			return fmt.Errorf("pan the framebuffer: %w", err)
		}
	}
	s.page = next
	return nil
}

func (s *framebuffer) power(level uintptr) error {
	if err := s.sys.IoctlInt(s.file, fbdev.Blank, level); err != nil {
		return fmt.Errorf("switch the framebuffer's signal: %w", err)
	}
	return nil
}

// Blank implements Screen. A driver that cannot switch the signal off shows black instead.
func (s *framebuffer) Blank(ctx context.Context, off bool) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-s.lock }()
	if off && s.power(fbdev.BlankPowerdown) == nil {
		s.blank = signalOff
		return nil
	}
	if len(s.saved) > 0 {
		return nil // is black
	}
	size := s.stride * int(s.vari.YRes)
	saved := append([]byte(nil), s.mem[s.page*size:][:size]...)
	if err := s.draw(nil); err != nil {
		return err
	}
	s.blank, s.saved = black, saved
	return nil
}

// Close implements Screen. What is on the screen stays; a signal that is off comes back.
func (s *framebuffer) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	var err error
	if s.blank == signalOff {
		err = s.power(fbdev.BlankUnblank)
	}
	return errors.Join(err, s.sys.Munmap(s.mem), s.sys.Close(s.file))
}
