package stage

import (
	"context"
	"time"

	"porthole/hw/display"
)

// Clock is what refreshes are reckoned with while no frame is shown: that of the screen (display.Clock).
type Clock interface {
	Now() time.Duration
	// After returns a channel that is closed at a time, and what to call when it is waited for no more.
	After(until time.Duration) (done <-chan struct{}, stop func())
}

// wall is the clock of screens in the real world.
type wall struct{ start time.Time }

// Now implements Clock.
func (w wall) Now() time.Duration { return time.Since(w.start) }

// After implements Clock.
func (w wall) After(until time.Duration) (done <-chan struct{}, stop func()) {
	c := make(chan struct{})
	t := time.AfterFunc(until-w.Now(), func() { close(c) })
	return c, func() { t.Stop() }
}

// pulse bounds how long refreshes are reckoned before the screen is asked: clocks run apart.
const pulse = time.Second

// timeline numbers and times the refreshes of whatever screens there are, one after the other. Only Run's goroutine uses it.
type timeline struct {
	clock Clock
	// last is the last refresh that a screen told of, at is when that was by the clock.
	last Refresh
	at   time.Duration
	// told is what the screen said then, if known.
	told  display.Vblank
	known bool
	// past is the last refresh that was waited for.
	past uint64
}

// begin is called for a screen that is new, or has another mode.
func (l *timeline) begin(mode display.Mode) {
	l.known = false
	l.last.Interval = time.Second / 60
	if mode.RefreshMilliHz > 0 {
		l.last.Interval = time.Duration(1e12 / int64(mode.RefreshMilliHz))
	}
	if l.last.Number == 0 {
		l.at = l.clock.Now()
	}
}

// next is the first refresh at which a frame can be on the screen that is handed to it now.
func (l *timeline) next() Refresh {
	n := uint64(1)
	if since := l.clock.Now() - l.at; since > 0 {
		n += uint64(since / l.last.Interval)
	}
	if r := l.last.Number + n; r <= l.past {
		n += l.past + 1 - r
	}
	return Refresh{Number: l.last.Number + n, Time: l.last.Time + time.Duration(n)*l.last.Interval, Interval: l.last.Interval}
}

// mark takes what the screen said of a frame, and returns the refresh that was.
func (l *timeline) mark(v display.Vblank) Refresh {
	now := l.clock.Now()
	var n uint64
	var d time.Duration
	if l.known && v.Sequence > l.told.Sequence && v.Time > l.told.Time {
		d = v.Time - l.told.Time
		// Screens without vertical blanking count frames only.
		n = max(v.Sequence-l.told.Sequence, uint64((d+l.last.Interval/2)/l.last.Interval))
	} else {
		n = max(uint64(max(now-l.at+l.last.Interval/2, 0)/l.last.Interval), 1)
		d = time.Duration(n) * l.last.Interval
	}
	l.last.Number += n
	l.last.Time += d
	l.at, l.told, l.known = now, v, true
	return l.last
}

// stale says that the screen should be asked for a refresh.
func (l *timeline) stale() bool { return l.clock.Now()-l.at > pulse }

// wait waits until a refresh is over, or longer, if nothing is to change until rest, which a value in wake cuts short.
func (l *timeline) wait(ctx context.Context, r Refresh, rest time.Duration, wake <-chan struct{}) error {
	// Some refreshes before that, for a timer that is late and a frame that takes its time.
	if rest = min(rest-3*r.Interval, l.last.Time+pulse); rest > r.Time {
		done, stop := l.clock.After(l.at + rest - l.last.Time)
		defer stop()
		select {
		case <-done:
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}
	l.past = r.Number
	done, stop := l.clock.After(l.at + r.Time - l.last.Time)
	defer stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
