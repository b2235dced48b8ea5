package playback

import (
	"bytes"
	"context"
	"time"
)

// Settled reports whether everything is ready that can be at the next refresh: the frame that is due, and near the end of
// an item the next one. A test that steps the clock only then sees what a fast enough machine would.
func (e *Engine) Settled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if asked, _ := e.cfg.Stage.Plays(e); !asked {
		return false
	}
	for _, a := range e.queue {
		if a.phase == ready {
			return e.cur == nil || e.cur.settled()
		}
	}
	return e.cur != nil && e.cur.settled() && e.left(e.cfg.Now()) > lead
}

func (a *act) settled() bool {
	v, ok := a.show.(*video)
	if !ok {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.reel.lacks() && !v.wanted
}

// Plan looks what is due at once: tests' time goes faster than the planner's.
func (e *Engine) Plan(ctx context.Context) { e.plan(ctx) }

// Impatient lets the time be over for which what is not due any more may stay.
func (e *Engine) Impatient() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stale = time.Now().Add(-2 * patience)
}

// ParseKept reads what is remembered over restarts.
func ParseKept(b []byte) (restarts int, reason string) { return parseKept(bytes.NewReader(b)) }

// Tell hands on what was said.
func (e *Engine) Tell() { e.tell() }

// Pardon lets the time be over for which a playlist is passed over.
func (e *Engine) Pardon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.barred.until = time.Time{}
}
