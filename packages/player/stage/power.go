package stage

import (
	"context"
	"errors"

	"porthole/hw/display"
)

// Power says whether the screen is on.
type Power int

// What it can be.
const (
	On    Power = iota
	Black       // a black picture
	Off         // no signal
)

// wishes are what is wanted of the screen itself.
type wishes struct {
	power Power
	mode  display.Mode
}

// Power lets the screen be on or not. What is to be shown goes on behind, and is there at once when it is on again.
func (s *Stage) Power(p Power) {
	s.wish(func(w *wishes) { w.power = p })
}

// Mode asks for a picture size and rate by Width, Height and, unless 0, RefreshMilliHz; the zero value leaves it to the
// display. Where there is no such mode the display's own is used, and Report says so.
func (s *Stage) Mode(m display.Mode) {
	s.wish(func(w *wishes) { w.mode = m })
}

func (s *Stage) wish(f func(*wishes)) {
	s.mu.Lock()
	was := s.wishes
	f(&s.wishes)
	changed := was != s.wishes
	s.mu.Unlock()
	if changed {
		s.poke()
	}
}

// tune lets the screen be as it is wanted; had says what it is, and is kept up to date. It reports whether frames may be
// presented: any one would light a dark screen.
func (s *Stage) tune(ctx context.Context, screen display.Screen, had *wishes) (lit bool, err error) {
	s.mu.Lock()
	want := s.wishes
	s.mu.Unlock()
	if want.mode != had.mode {
		// Tried once: what cannot be had is told by the screen's note.
		had.mode = want.mode
		if err := screen.SetMode(ctx, want.mode); err != nil {
			if ctx.Err() != nil || errors.Is(err, display.ErrClosed) {
				return false, err
			}
			s.cfg.Log.Warn("cannot change the screen's mode", "mode", want.mode, "err", err)
		}
	}
	if want.power != had.power && want.power != On {
		if err := screen.Blank(ctx, want.power == Off); err != nil {
			return false, err
		}
	}
	had.power = want.power
	return had.power == On, nil
}
