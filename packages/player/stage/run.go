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

// Run shows what the stage is given until ctx ends. While there is no screen it draws on Fallback and keeps looking: the
// driver may be late, another program may own the screen, and the device node may not be ours yet.
func (s *Stage) Run(ctx context.Context) error {
	defer s.cfg.Fallback.Close()
	defer s.drop()
	said := ""
	for retry := firstRetry; ctx.Err() == nil; {
		if s.cfg.Open == nil {
			return s.perform(ctx, s.cfg.Fallback, "")
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
			err := s.perform(until, s.cfg.Fallback, problem)
			cancel()
			if err != nil {
				return fmt.Errorf("draw off-screen: %w", err)
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
	if _, p, _ := s.take(); p != nil {
		p.Release()
	}
	s.drawing.Lock()
	defer s.drawing.Unlock()
	s.canvas.keep(nil)
	s.canvas.forget()
}

// perform shows scenes on one screen until ctx ends, or the screen takes no frame any more.
func (s *Stage) perform(ctx context.Context, screen display.Screen, problem string) error {
	info := s.look(screen, problem)
	failures := 0
	var again <-chan time.Time
	var had wishes
	for redraw := true; ; {
		lit, err := s.tune(ctx, screen, &had)
		if err == nil && lit {
			err = s.present(ctx, screen, info, redraw)
		}
		again, redraw = nil, err != nil || !lit
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		case errors.Is(err, display.ErrClosed):
			return err
		case errors.Is(err, display.ErrVideo):
			// Drawn from now on.
			s.cfg.Log.Info("the display hardware cannot show this video; drawing it", "err", err)
			info.VideoPlanes = false
			continue
		case errors.Is(err, display.ErrVeil):
			// Mixed from now on.
			s.cfg.Log.Info("the display hardware cannot lay a picture over another; mixing them", "err", err)
			info.Veils = false
			continue
		case errors.Is(err, display.ErrSize):
			info = s.look(screen, problem)
			fallthrough
		default:
			if failures++; failures == 1 {
				s.cfg.Log.Warn("cannot show a frame; trying again", "err", err)
			}
			if failures == maxFailures {
				return err
			}
			again = time.After(retryFrame)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-again:
		case <-screen.Changes():
			info, redraw = s.look(screen, problem), true
		}
	}
}

// look takes note of what the screen is now.
func (s *Stage) look(screen display.Screen, problem string) display.Info {
	info := screen.Info()
	s.mu.Lock()
	was := s.report.Screen
	s.report.Screen = screenReport(info, problem)
	is := s.report.Screen
	s.mu.Unlock()
	if was.Problem = is.Problem; was != is {
		s.cfg.Log.Info("screen", "kind", is.Kind, "driver", is.Driver, "connector", is.Connector, "connected", is.Connected,
			"mode", is.Mode, "monitor", is.Monitor, "note", is.Note)
	}
	s.drawing.Lock()
	defer s.drawing.Unlock()
	s.canvas.resize(info)
	return info
}

// present shows the scene as it is now, if that is news or has to be drawn again.
func (s *Stage) present(ctx context.Context, screen display.Screen, info display.Info, redraw bool) error {
	sc, p, fresh := s.take()
	if sc.kind == Nothing || !fresh && !redraw {
		return nil
	}
	s.drawing.Lock()
	if p != nil || sc.kind != ShowCamera {
		s.canvas.keep(p)
	}
	f := s.canvas.compose(s.cfg.Painter, sc, info)
	s.drawing.Unlock()
	if _, err := screen.Present(ctx, f); err != nil {
		// What the screen shows now is not known: the next frame says everything.
		s.drawing.Lock()
		s.canvas.forget()
		s.drawing.Unlock()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Presented++
	s.report.Showing = sc.kind
	return nil
}
