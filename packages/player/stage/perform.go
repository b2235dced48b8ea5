package stage

import (
	"context"
	"errors"
	"time"

	"porthole/hw/display"
)

// perform shows scenes on one screen until ctx ends, or the screen takes no frame any more.
func (s *Stage) perform(ctx context.Context, screen display.Screen, problem string) error {
	info := s.look(screen, problem)
	s.dimmed = nil
	failures := 0
	var again <-chan time.Time
	for redraw := true; ; {
		moving, err := s.present(ctx, screen, info, redraw)
		again, redraw = nil, err != nil
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		case errors.Is(err, display.ErrClosed), errors.Is(err, errReopen):
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
			s.failing(err)
			if failures == maxFailures {
				return err
			}
			again, moving = time.After(retryFrame), false
		}
		if moving {
			// What moves is asked again for the next refresh; present has waited for this one.
			select {
			case <-screen.Changes():
				info, redraw = s.look(screen, problem), true
			default:
			}
			continue
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

// failing takes note of why a frame is not on the screen.
func (s *Stage) failing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Failing = err.Error()
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
	s.line.begin(info.Mode)
	s.drawing.Lock()
	defer s.drawing.Unlock()
	s.canvas.resize(info)
	return info
}

// present shows the scene as it is now, if that is news or has to be drawn again, and what is due of a source. It reports
// whether there is one, which is to be asked for the next refresh too.
func (s *Stage) present(ctx context.Context, screen display.Screen, info display.Info, redraw bool) (moving bool, err error) {
	t := s.take()
	if t.reopen {
		t.release()
		return false, errReopen
	}
	if err := s.tune(ctx, screen, t.mode); err != nil {
		t.release()
		return false, err
	}
	relit, err := s.follow(ctx, screen, t.light)
	if err != nil || t.light != Lit {
		t.release()
		return false, err
	}
	redraw = redraw || relit || t.fresh
	r := s.line.next()
	var change Change
	if t.source != nil {
		change = t.source.Next(r)
		if !change.nothing() && !s.begin(t.source) {
			// Something else was wanted in the meantime.
			change.release()
			change = Change{}
		}
	}
	sc := t.scene
	if !change.nothing() {
		s.unshown, sc.kind = true, ShowProgram
	}
	if sc.kind == Nothing || change.nothing() && !redraw {
		if t.source == nil {
			return false, nil
		}
		return true, s.idle(ctx, screen, r, sc.kind, change.Rest)
	}
	s.drawing.Lock()
	switch {
	case sc.kind == ShowProgram:
		t.release()
		s.canvas.change(s.cfg.Painter, change)
	case t.picture != nil || sc.kind != ShowCamera:
		s.canvas.keep(t.picture)
	}
	f := s.canvas.compose(s.cfg.Painter, sc, info)
	s.drawing.Unlock()
	v, err := screen.Present(ctx, f)
	if err != nil {
		// What the screen shows now is not known: the next frame says everything.
		s.drawing.Lock()
		s.canvas.forget()
		s.drawing.Unlock()
		return false, err
	}
	s.held = f.Video != nil
	shown := s.line.mark(v)
	s.mu.Lock()
	s.report.Presented++
	s.report.Showing, s.report.Failing = sc.kind, ""
	s.mu.Unlock()
	if s.unshown && sc.kind == ShowProgram && t.source != nil {
		s.unshown = false
		t.source.Shown(shown)
	}
	return t.source != nil, nil
}

// idle lets a refresh pass without a change. Now and then the screen shows the same once more, to tell when it does.
func (s *Stage) idle(ctx context.Context, screen display.Screen, r Refresh, kind Kind, rest time.Duration) error {
	if kind == Nothing || s.held || !s.line.stale() {
		return s.line.wait(ctx, r, rest, s.wake)
	}
	v, err := screen.Present(ctx, display.Frame{})
	if err == nil {
		s.line.mark(v)
	}
	return err
}

// begin makes what a source gives the scene, unless it is not asked any more.
func (s *Stage) begin(src Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != src {
		return false
	}
	s.scene.kind, s.scene.still = ShowProgram, nil
	return true
}

// follow does what was asked of the screen's light. Relit says that the screen has to be drawn again.
func (s *Stage) follow(ctx context.Context, screen display.Screen, want Light) (relit bool, err error) {
	if want == Lit {
		relit = s.light != Lit
	} else if want != s.light || s.dimmed != screen {
		if err := screen.Blank(ctx, want == SignalOff); err != nil {
			return false, err
		}
	}
	s.light, s.dimmed = want, screen
	return relit, nil
}
