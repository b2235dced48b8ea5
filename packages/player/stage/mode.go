package stage

import (
	"context"
	"errors"

	"porthole/hw/display"
)

// Mode asks for a picture size and rate by Width, Height and, unless 0, RefreshMilliHz; the zero value leaves it to the
// display. Where there is no such mode the display's own is used, and Report says so.
func (s *Stage) Mode(m display.Mode) {
	s.mu.Lock()
	changed := s.wanted != m
	s.wanted = m
	s.mu.Unlock()
	if changed {
		s.poke()
	}
}

// tune asks the screen for a mode, once for each screen: where it is not to be had, the screen's note says so.
func (s *Stage) tune(ctx context.Context, screen display.Screen, want display.Mode) error {
	if s.tunedFor != screen {
		s.tuned, s.tunedFor = display.Mode{}, screen
	}
	if s.tuned == want {
		return nil
	}
	s.tuned = want
	err := screen.SetMode(ctx, want)
	if err == nil || ctx.Err() != nil || errors.Is(err, display.ErrClosed) {
		return err
	}
	s.cfg.Log.Warn("cannot change the screen's mode", "mode", want.String(), "err", err)
	return nil
}
