package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"porthole/hw/display"
)

const (
	// The bounds of how long to wait before a screen is looked for again.
	firstRetry, lastRetry = 50 * time.Millisecond, 10 * time.Second
	// soonRetry bounds it while the screen is there, but somebody else's: it becomes ours in a moment.
	soonRetry = 200 * time.Millisecond
	// A frame that could not be shown is tried again after retryFrame; after maxFailures in a row the screen is given
	// back and opened anew.
	retryFrame  = 100 * time.Millisecond
	maxFailures = 20
)

// errReopen ends a performance whose screen is to be opened anew.
var errReopen = errors.New("the screen is to be opened anew")

// Run shows what the stage is given until ctx ends. While there is no screen it draws on Fallback and keeps looking: the
// driver may be late, another program may own the screen, and the device node may not be ours yet.
func (s *Stage) Run(ctx context.Context) error {
	defer s.cfg.Fallback.Close()
	defer s.drop()
	said := ""
	for retry := firstRetry; ctx.Err() == nil; {
		if s.cfg.Open == nil {
			if err := s.perform(ctx, s.cfg.Fallback, ""); !errors.Is(err, errReopen) {
				return err
			}
			continue
		}
		screen, err := s.cfg.Open(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			problem := words(err)
			if said != problem {
				s.cfg.Log.Warn("no screen; drawing off-screen for the console, and looking again", "problem", problem, "err", err)
				said = problem
			}
			until, cancel := context.WithTimeout(ctx, retry)
			drawn := s.perform(until, s.cfg.Fallback, problem)
			cancel()
			if drawn != nil && !errors.Is(drawn, errReopen) {
				return fmt.Errorf("draw off-screen: %w", drawn)
			}
			retry = min(2*retry, longest(err))
			continue
		}
		said, retry = "", firstRetry
		err = s.perform(ctx, screen, "")
		if cerr := screen.Close(); cerr != nil {
			s.cfg.Log.Warn("cannot give the screen back as it was", "err", cerr)
		}
		if err != nil {
			s.cfg.Log.Error("the screen takes no more frames; opening it anew", "err", err)
		}
	}
	return nil
}

// longest is how long to wait at the most before a screen is looked for again that could not be opened.
func longest(err error) time.Duration {
	if errors.Is(err, display.ErrBusy) || errors.Is(err, fs.ErrPermission) {
		return soonRetry
	}
	return lastRetry
}

// words says to the owner why there is no screen.
func words(err error) string {
	switch {
	case errors.Is(err, display.ErrNoDevice):
		return "this device has no display output"
	case errors.Is(err, display.ErrBusy):
		return "another program owns the screen"
	case errors.Is(err, fs.ErrPermission):
		return "player may not use the screen yet"
	}
	return "the screen cannot be used; player's log says why"
}

// drop releases every picture.
func (s *Stage) drop() {
	s.take().release()
	s.drawing.Lock()
	defer s.drawing.Unlock()
	s.canvas.keep(nil)
	s.canvas.forget()
}
