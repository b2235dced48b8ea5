package display

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/drm"
)

// clock numbers and paces frames. Its user guards it.
type clock struct {
	interval time.Duration
	last     Vblank
	kernel   uint32 // the last sequence number of the kernel, which counts in 32 bits
	started  time.Time
	asked    time.Duration // when the frame was handed to the kernel, CLOCK_MONOTONIC
}

// vblank turns a completion event into what Present returns.
func (c *clock) vblank(ctx context.Context, ev drm.Event) (Vblank, error) {
	step := ev.Sequence - c.kernel
	first := c.last.Sequence == 0
	c.kernel = ev.Sequence
	switch {
	case ev.Sequence == 0:
		// A driver without vertical blanking (drm_crtc_send_vblank_event then sends 0) completes at once.
		return c.idle(ctx)
	case first:
		c.last.Sequence = uint64(ev.Sequence)
	case step == 0 || step > 1<<31:
		c.last.Sequence++
	default:
		c.last.Sequence += uint64(step)
	}
	// A CRTC that was off reports the last refresh before that with its first frame (seen with virtio-gpu and vkms).
	at := time.Duration(ev.Sec)*time.Second + time.Duration(ev.Usec)*time.Microsecond
	if at < c.asked || at <= c.last.Time {
		at = Monotonic()
	}
	c.last.Time = at
	c.started = time.Now()
	return c.last, nil
}

// idle waits until one interval after the last frame and counts one refresh.
func (c *clock) idle(ctx context.Context) (Vblank, error) {
	next := c.started.Add(c.interval)
	if now := time.Now(); next.After(now) {
		if err := wait(ctx, next.Sub(now)); err != nil {
			return Vblank{}, err
		}
	} else {
		next = now
	}
	c.started = next
	c.last.Sequence++
	c.last.Time = Monotonic()
	return c.last, nil
}

// Monotonic is CLOCK_MONOTONIC now: the clock of Vblank.Time.
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // never happens: the clock is always there
	}
	return time.Duration(ts.Nano())
}

// wait returns after d, or with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the screen: %w", ctx.Err())
	}
}
