package display

import (
	"context"
	"errors"
	"time"
)

// readEvents passes completion events on until the card is closed.
func (s *kms) readEvents() {
	for {
		list, err := s.board.card.ReadEvents()
		if err != nil {
			return
		}
		for _, ev := range list {
			select {
			case s.events <- ev:
			case <-s.quit:
				return
			}
		}
	}
}

// readUevents asks for a look at the plugs whenever the kernel says that something about displays changed.
func (s *kms) readUevents() {
	if s.uevents == nil {
		return
	}
	for {
		ev, err := s.uevents.Next()
		if err != nil {
			return
		}
		if ev.Subsystem == "drm" || ev.Lost {
			select {
			case s.poke <- struct{}{}:
			default: // one is waiting already
			}
		}
	}
}

// A television that was just plugged in or switched on may answer for its EDID only after a while, and nothing tells
// when: look again a few times soon, and then for as long as it keeps silent.
const (
	edidRetry   = time.Second
	edidRetries = 4
	edidSlow    = 15 * time.Second
)

// watch looks at the plugs when poked. silent tells whether the display there is now kept silent about itself.
func (s *kms) watch(ctx context.Context, silent bool) {
	retry := time.NewTimer(edidRetry)
	defer retry.Stop()
	for left := edidRetries; ; {
		select {
		case <-s.quit:
			return
		case <-s.poke:
			left = edidRetries
		case <-retry.C:
			if !silent {
				continue
			}
			left--
		}
		silent = s.replug(ctx)
		if left > 0 {
			retry.Reset(edidRetry)
		} else {
			retry.Reset(edidSlow)
		}
	}
}

// replug looks at all plugs, adapts to what changed and tells whether the display is silent. What goes wrong is tried
// again with the next frame or event.
func (s *kms) replug(ctx context.Context) bool {
	list, err := s.board.outputs() // slow: without the lock
	if err != nil {
		return false
	}
	if s.acquire(ctx) != nil {
		return false
	}
	defer func() { <-s.lock }()
	out := pick(list, s.opts.Connector, s.layout.out.id)
	if out.same(s.layout.out) || s.settle(ctx) != nil {
		return out.silent()
	}
	if out.connected() {
		err = s.plug(ctx, out)
	} else {
		err = s.unplug(ctx, out)
	}
	if err != nil && !errors.Is(err, ErrNoFlip) {
		s.lit = false
	}
	s.describe("")
	tell(s.changes)
	return out.silent()
}

// SetMode implements Screen. Nothing flickers where the mode stays what it is.
func (s *kms) SetMode(ctx context.Context, wanted Mode) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-s.lock }()
	s.opts.Mode = wanted
	out := s.layout.out
	if err := s.settle(ctx); err != nil {
		return err
	}
	var err error
	if out.connected() && candidates(out.modes, wanted, out.silent())[0] != s.layout.info {
		var l *layout
		if l, err = s.fit(out, s.layout); err != nil {
			return err
		}
		if l.info == s.layout.info {
			s.discard(l, s.layout) // what was wanted does not work
		} else if err = s.adopt(ctx, l); err != nil {
			s.lit = false // the next frame sets everything up
		}
	}
	s.describe("")
	tell(s.changes)
	return err
}

// unplug stops the signal; frames go on being kept.
func (s *kms) unplug(ctx context.Context, out output) error {
	wasLit := s.lit
	s.layout.out = out
	if !wasLit {
		return nil
	}
	return s.dark(ctx)
}

// plug adapts to a display and shows it the last frame.
func (s *kms) plug(ctx context.Context, out output) error {
	l, err := s.fit(out, s.layout)
	if err != nil {
		return err
	}
	return s.adopt(ctx, l)
}

// adopt goes over to another layout, with the last frame in it.
func (s *kms) adopt(ctx context.Context, l *layout) error {
	old := s.layout
	if s.lit && (old.crtc.id != l.crtc.id || old.out.id != l.out.id) {
		if err := s.dark(ctx); err != nil {
			s.discard(l, old)
			return err
		}
	}
	if l.base != old.base {
		scaleInto(l.base[0], s.shown.base)
		s.retired = append(s.retired, old.base[0], old.base[1])
		s.shown = scene{base: l.base[0]}
		if s.black != nil {
			s.retired = append(s.retired, s.black)
			s.black = nil
		}
	}
	if l.video == nil {
		s.shown.video = nil
	}
	s.shown.veil = nil // half of a fade is nothing to keep
	blob := old.blob
	s.layout, s.lit, s.clock.interval = l, false, l.mode.interval()
	var err error
	switch {
	case !s.started || s.blank == signalOff:
	case s.blank == black:
		err = s.putBlack(ctx)
	default:
		_, err = s.put(ctx, s.shown)
	}
	_ = s.board.card.DestroyBlob(blob) // closing the card does what is left
	return err
}

// Close implements Screen.
func (s *kms) Close() error {
	ctx := context.Background()
	if err := s.acquire(ctx); err != nil {
		return nil //nolint:nilerr // only ErrClosed: closing twice is fine
	}
	err := s.settle(ctx)
	keep := s.lit && s.opts.KeepFrame && s.blank == picture && s.leave()
	if s.lit && !keep {
		err = errors.Join(err, s.dark(ctx))
	}
	s.closed = true
	close(s.quit)
	if s.uevents != nil {
		err = errors.Join(err, s.uevents.Close())
	}
	err = errors.Join(err, s.release())
	<-s.lock
	s.wg.Wait()
	return err
}

// leave lets go of what is on the screen without taking it off.
func (s *kms) leave() bool {
	for _, b := range s.shown.buffers() {
		if !s.board.card.Leave(b) {
			return false
		}
	}
	return true
}

// release frees everything and closes the card.
func (s *kms) release() error {
	s.retireVideo()
	for _, b := range append(s.retired, s.black, s.veil) {
		if b != nil {
			s.board.card.Free(b)
		}
	}
	s.discard(s.layout, nil)
	return errors.Join(s.board.card.DropMaster(), s.board.card.Close())
}
