package display

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/drm"
	"porthole/hw/internal/sys"
)

// blanking is what the user wants to see.
type blanking int

const (
	picture blanking = iota
	black
	signalOff
)

// kms is a Screen over the kernel's mode setting.
type kms struct {
	opts    Options
	board   *board
	uevents sys.Uevents // nil when they cannot be had
	changes chan struct{}
	events  chan drm.Event
	poke    chan struct{} // look at the plugs again
	quit    chan struct{}
	wg      sync.WaitGroup
	info    atomic.Pointer[Info]

	// lock holds one token; who has it owns the fields below. A channel, so that waiting for it ends with a context.
	lock    chan struct{}
	closed  bool
	layout  *layout
	told    map[uint32]drm.ModeInfo // by plug, the mode of the last display that said what it can show
	shown   scene                   // the last frame, also while it is not visible
	started bool                    // there was a Present: before it the screen is not ours to touch
	blank   blanking
	lit     bool // the hardware runs our layout
	video   [2]*drm.Buffer
	black   *drm.Buffer
	veil    *drm.Buffer // nil, or what holds veilOf, the veil of the last frame
	veilOf  *Image
	retired []*drm.Buffer // free them when the next frame is on the screen
	commits uint64        // the user data of commits, to tell their events apart
	pending bool          // the event of the last commit is still to come
	clock   clock
}

// flipTimeout is how long a flip may take: many refreshes, and a display that changes its mode. The kernel's own
// patience is ten seconds (drm_atomic_helper_wait_for_flip_done), for hardware that is gone.
const flipTimeout = 2 * time.Second

// openKMS takes the first card with a display plugged in, or the first that could have one. It returns ErrNoDevice when
// there is none.
func openKMS(ctx context.Context, opts Options) (*kms, error) {
	var best *kms
	var errs []error
	for _, path := range opts.glob("dev/dri/card*") {
		s, err := openCard(path, opts)
		switch {
		case err != nil:
			if !errors.Is(err, drm.ErrUnsuitable) {
				errs = append(errs, err)
			}
		case best == nil:
			best = s
		case s.layout.out.connected() && !best.layout.out.connected():
			_ = best.release() // not the chosen one
			best = s
		default:
			_ = s.release() // not the chosen one
		}
	}
	if best == nil {
		if len(errs) == 0 {
			return nil, fmt.Errorf("look for a display card: %w", ErrNoDevice)
		}
		return nil, errors.Join(errs...)
	}
	best.start(ctx)
	return best, nil
}

// openCard opens one card and finds a layout for it; the screen is not touched.
func openCard(path string, opts Options) (*kms, error) {
	card, err := drm.Open(opts.Sys, path)
	if err != nil {
		return nil, err
	}
	s := &kms{
		opts: opts, changes: make(chan struct{}, 1), events: make(chan drm.Event, 16), poke: make(chan struct{}, 1),
		quit: make(chan struct{}), lock: make(chan struct{}, 1),
		told: make(map[uint32]drm.ModeInfo),
	}
	if s.board, err = newBoard(card); err == nil {
		err = s.prepare()
	}
	if err != nil {
		card.Close()
		return nil, fmt.Errorf("use display card %s: %w", path, err)
	}
	return s, nil
}

func (s *kms) prepare() error {
	if err := s.board.card.BecomeMaster(); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	list, err := s.board.outputs()
	if err != nil {
		return err
	}
	l, err := s.fit(pick(list, s.opts.Connector, 0), nil)
	if err != nil {
		return err
	}
	s.layout, s.shown = l, scene{base: l.base[0]}
	s.clock.interval = l.mode.interval()
	return nil
}

// start begins to listen.
func (s *kms) start(ctx context.Context) {
	note := ""
	if u, err := s.opts.Sys.Uevents(); err == nil {
		s.uevents = u
	} else {
		note = fmt.Sprintf("Plugging a display in or out is not noticed: %v.", err)
	}
	s.describe(note)
	s.wg.Go(s.readEvents)
	s.wg.Go(s.readUevents)
	silent := s.layout.out.silent()
	s.wg.Go(func() { s.watch(context.WithoutCancel(ctx), silent) })
}

// describe renews what Info answers.
func (s *kms) describe(note string) {
	l := s.layout
	info := Info{
		Kind: KindPrimary, Driver: s.board.card.Driver, Connector: l.out.name, Connected: l.out.connected(), Mode: l.mode,
		Monitor: l.out.edid.monitor(), SizeMM: l.out.sizeMM, VideoPlanes: l.video != nil, Veils: l.veil != nil, Note: note,
	}
	if l.video != nil {
		info.Kind = KindPlanes
	}
	for _, m := range l.out.modes {
		info.Modes = append(info.Modes, mode(m))
	}
	if n := modeNote(l.mode, s.opts.Mode, l.out.silent()); info.Connected && n != "" {
		info.Note = n
	}
	if s.opts.Connector != "" && s.opts.Connector != l.out.name {
		info.Note = fmt.Sprintf("There is no connector %s here: %s is used.", s.opts.Connector, l.out.name)
	}
	s.info.Store(&info)
}

// Info implements Screen.
func (s *kms) Info() Info { return *s.info.Load() }

// Changes implements Screen.
func (s *kms) Changes() <-chan struct{} { return s.changes }

// acquire waits for the lock.
func (s *kms) acquire(ctx context.Context) error {
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
func (s *kms) Present(ctx context.Context, f Frame) (Vblank, error) {
	if err := s.acquire(ctx); err != nil {
		return Vblank{}, err
	}
	defer func() { <-s.lock }()
	if err := s.settle(ctx); err != nil {
		return Vblank{}, err
	}
	next, err := s.load(f)
	if err != nil {
		return Vblank{}, err
	}
	s.started = true
	if !s.layout.out.connected() {
		s.shown, s.blank = next, picture
		return s.clock.idle(ctx)
	}
	v, err := s.put(ctx, next)
	switch {
	case !refused(err):
	case next.veil != nil:
		err = fmt.Errorf("%w: %w", ErrVeil, err)
	case next.video != nil:
		err = fmt.Errorf("%w: %w", ErrVideo, err)
	}
	if err == nil {
		s.blank = picture
	}
	return v, err
}

// refused tells whether the hardware's limits are why a commit failed (what drivers' atomic_check return).
func refused(err error) bool {
	for _, e := range []error{unix.EINVAL, unix.ERANGE, unix.ENOSPC, unix.E2BIG, unix.ENOMEM, unix.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// put brings a scene on the screen, with the whole layout when that does not run, and waits until it is there.
func (s *kms) put(ctx context.Context, next scene) (Vblank, error) {
	if err := s.attach(next); err != nil {
		return Vblank{}, err
	}
	flags := uint32(drm.CommitEvent | drm.CommitNonblock)
	var r *drm.Request
	if s.lit {
		r = s.flip(s.layout, s.shown, next)
	} else {
		r = &drm.Request{}
		if err := errors.Join(s.clear(ctx), s.modeset(r, s.layout, next)); err != nil {
			return Vblank{}, err
		}
		flags = drm.CommitEvent | drm.CommitAllowModeset
	}
	if err := s.commit(ctx, r, flags); err != nil {
		return Vblank{}, err
	}
	s.shown, s.lit = next, true
	if s.opts.KeepFrame {
		s.detach(next)
	}
	return s.complete(ctx)
}

// attach makes a scene's buffers known to the kernel.
func (s *kms) attach(sc scene) error {
	for _, b := range sc.buffers() {
		if err := s.board.card.Attach(b); err != nil {
			return err
		}
	}
	return nil
}

// detach lets go of a scene that is on its way to the screen: it stays there even if this process is killed. On kernels
// that cannot do that it does nothing.
func (s *kms) detach(sc scene) {
	for _, b := range sc.buffers() {
		if !s.board.card.Detach(b) {
			return
		}
	}
}

// clear switches off what is not ours, in a commit without an event: the kernel refuses events for a CRTC that is and
// stays off (drm_atomic_crtc_check).
func (s *kms) clear(ctx context.Context) error {
	r := &drm.Request{}
	if err := s.board.rivals(r, s.layout.crtc.id, s.layout.out.id); err != nil {
		return err
	}
	if r.Empty() {
		return nil
	}
	if err := s.commit(ctx, r, drm.CommitAllowModeset); err != nil {
		return fmt.Errorf("switch off what others left on the screen: %w", err)
	}
	return nil
}

// commit repeats a commit while the kernel is busy with another one, which it is for at most a few refreshes (our own
// are never in the way of each other).
func (s *kms) commit(ctx context.Context, r *drm.Request, flags uint32) error {
	s.commits++
	s.clock.asked = Monotonic()
	deadline := time.Now().Add(flipTimeout)
	for {
		err := s.board.card.Commit(r, flags, s.commits)
		if err == nil {
			s.pending = flags&drm.CommitEvent != 0
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		if err := wait(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

// complete waits for the event of the last commit.
func (s *kms) complete(ctx context.Context) (Vblank, error) {
	timeout := time.NewTimer(flipTimeout)
	defer timeout.Stop()
	for {
		select {
		case ev := <-s.events:
			if ev.UserData != s.commits || ev.Crtc != s.layout.crtc.id {
				continue // of a commit that was given up
			}
			s.pending = false
			s.sweep()
			return s.clock.vblank(ctx, ev)
		case <-timeout.C:
			// Whatever happened, the next frame sets everything up again.
			s.pending, s.lit = false, false
			return Vblank{}, ErrNoFlip
		case <-ctx.Done():
			return Vblank{}, fmt.Errorf("wait for the frame to appear: %w", ctx.Err())
		}
	}
}

// settle waits for a commit whose Present was cancelled: until it is done, the buffers are in use.
func (s *kms) settle(ctx context.Context) error {
	if !s.pending {
		return nil
	}
	if _, err := s.complete(ctx); err != nil && !errors.Is(err, ErrNoFlip) {
		return err
	}
	return nil
}

// Blank implements Screen.
func (s *kms) Blank(ctx context.Context, off bool) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-s.lock }()
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.started = true
	if off {
		s.blank = signalOff
		return s.dark(ctx)
	}
	s.blank = black
	if !s.layout.out.connected() {
		return nil
	}
	return s.putBlack(ctx)
}

// putBlack shows an empty frame; the last picture stays in its buffer.
func (s *kms) putBlack(ctx context.Context) error {
	if s.black == nil {
		b, err := s.board.card.NewXRGB(s.layout.mode.Width, s.layout.mode.Height)
		if err != nil {
			return fmt.Errorf("blank the screen: %w", err)
		}
		clear(b.Pix)
		s.black = b
	}
	last := s.shown
	_, err := s.put(ctx, scene{base: s.black})
	s.shown.base = last.base
	if err != nil {
		return fmt.Errorf("blank the screen: %w", err)
	}
	return nil
}

// dark switches the signal off.
func (s *kms) dark(ctx context.Context) error {
	r := &drm.Request{}
	if err := s.board.planesOff(r, func(on uint32) bool { return on == s.layout.crtc.id }); err != nil {
		return err
	}
	s.layout.crtc.set(r, "ACTIVE", 0)
	if err := s.commit(ctx, r, drm.CommitAllowModeset); err != nil {
		return fmt.Errorf("switch the signal off: %w", err)
	}
	s.lit = false
	s.sweep()
	return nil
}
