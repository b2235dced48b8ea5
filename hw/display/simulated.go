package display

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Clock is the time of a screen whose refreshes a test makes: it stands still between them.
type Clock struct {
	interval time.Duration

	mu      sync.Mutex // guards what follows
	last    Vblank
	waiting map[*waiter]bool
	// came is closed, and replaced, when somebody begins to wait.
	came chan struct{}
}

// waiter waits for a time.
type waiter struct {
	until time.Duration
	done  chan struct{}
}

// simulatedStart is when a simulated clock begins: not 0, which would be taken for unset.
const simulatedStart = 1000 * time.Second

// NewClock returns a clock that refreshes at a rate in frames per 1000 seconds.
func NewClock(refreshMilliHz int) *Clock {
	return &Clock{
		interval: Mode{RefreshMilliHz: refreshMilliHz}.interval(), last: Vblank{Sequence: 1, Time: simulatedStart},
		waiting: make(map[*waiter]bool), came: make(chan struct{}),
	}
}

// Now is the simulated CLOCK_MONOTONIC: the time of the last refresh.
func (c *Clock) Now() time.Duration { return c.Vblank().Time }

// Vblank is the last refresh.
func (c *Clock) Vblank() Vblank {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Refresh makes the next refresh: frames that were presented are on the screen, and who waits for a time up to it goes on.
func (c *Clock) Refresh() Vblank {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last.Sequence++
	c.last.Time += c.interval
	for w := range c.waiting {
		if w.until <= c.last.Time {
			close(w.done)
			delete(c.waiting, w)
		}
	}
	return c.last
}

// After returns a channel that is closed at the first refresh at or after a time. Call stop when it is waited for no
// more, or Step believes that somebody waits.
func (c *Clock) After(until time.Duration) (done <-chan struct{}, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &waiter{until: until, done: make(chan struct{})}
	if until <= c.last.Time {
		close(w.done)
		return w.done, func() {}
	}
	c.waiting[w] = true
	close(c.came)
	c.came = make(chan struct{})
	return w.done, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, w)
	}
}

// Step waits until somebody waits for the clock, in Present or After, and then makes the next refresh: a program that
// does nothing but wait for this clock is never late.
func (c *Clock) Step(ctx context.Context) (Vblank, error) {
	for {
		c.mu.Lock()
		n, came := len(c.waiting), c.came
		c.mu.Unlock()
		if n > 0 {
			return c.Refresh(), nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return Vblank{}, fmt.Errorf("wait for somebody to wait for the clock: %w", ctx.Err())
		}
	}
}

// idle waits for the next refresh.
func (c *Clock) idle(ctx context.Context) (Vblank, error) {
	done, stop := c.After(c.Now() + 1)
	defer stop()
	select {
	case <-done:
		return c.Vblank(), nil
	case <-ctx.Done():
		return Vblank{}, fmt.Errorf("wait for the screen: %w", ctx.Err())
	}
}
