package stage

import (
	"context"
	"time"

	"porthole/hw/display"
)

// Refresher is a screen that says itself when it refreshes, also without a frame. Of others that is reckoned from the last frame.
type Refresher interface {
	// Refresh waits for the next refresh.
	Refresh(context.Context) (display.Vblank, error)
}

// pulse bounds how long refreshes are reckoned before the screen is asked: clocks run apart.
const pulse = time.Second

// timeline numbers and times the refreshes of whatever screens there are, one after the other. Only Run's goroutine uses it.
type timeline struct {
	// last is the last refresh that the screen told of, at is when that was by our own clock.
	last Refresh
	at   time.Time
	// told is what the screen said then, if known.
	told  display.Vblank
	known bool
	// asks says that the screen is a Refresher.
	asks bool
	// past is the last refresh that was waited for.
	past uint64
}

// begin is called for a screen that is new, or has another mode.
func (l *timeline) begin(screen display.Screen, mode display.Mode) {
	_, l.asks = screen.(Refresher)
	l.known = false
	l.last.Interval = time.Second / 60
	if mode.RefreshMilliHz > 0 {
		l.last.Interval = time.Duration(1e12 / int64(mode.RefreshMilliHz))
	}
	if l.at.IsZero() {
		l.at = time.Now()
	}
}

// next is the first refresh at which a frame can be on the screen that is handed to it now.
func (l *timeline) next() Refresh {
	n := uint64(1)
	if !l.asks {
		if since := time.Since(l.at); since > 0 {
			n += uint64(since / l.last.Interval)
		}
		if r := l.last.Number + n; r <= l.past {
			n += l.past + 1 - r
		}
	}
	return Refresh{Number: l.last.Number + n, Time: l.last.Time + time.Duration(n)*l.last.Interval, Interval: l.last.Interval}
}

// mark takes what the screen said of a frame, and returns the refresh that was.
func (l *timeline) mark(v display.Vblank) Refresh {
	now := time.Now()
	n, d := uint64(1), l.last.Interval
	switch {
	case l.known && v.Sequence > l.told.Sequence && v.Time > l.told.Time:
		d = v.Time - l.told.Time
		// Screens without vertical blanking count frames only.
		n = max(v.Sequence-l.told.Sequence, uint64((d+l.last.Interval/2)/l.last.Interval))
	case !l.known && !l.asks:
		n = max(uint64(now.Sub(l.at)/l.last.Interval), 1)
		d = time.Duration(n) * l.last.Interval
	}
	l.last.Number += n
	l.last.Time += d
	l.at, l.told, l.known = now, v, true
	return l.last
}

// stale says that the screen should be asked for a refresh.
func (l *timeline) stale() bool { return !l.asks && time.Since(l.at) > pulse }

// wait waits until a refresh is over.
func (l *timeline) wait(ctx context.Context, screen display.Screen, r Refresh) error {
	if s, ok := screen.(Refresher); ok {
		v, err := s.Refresh(ctx)
		if err == nil {
			l.mark(v)
		}
		return err
	}
	l.past = r.Number
	t := time.NewTimer(time.Until(l.at.Add(r.Time - l.last.Time)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
