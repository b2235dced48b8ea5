// Package retry paces what is tried again.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait after so many failures in a row, 1 or more: least after the first, twice as long after each
// further one, at most most; of that a random part between a half and the whole.
func Backoff(failures int, least, most time.Duration) time.Duration {
	d := min(least<<min(failures-1, 10), most)
	return d/2 + rand.N(d/2)
}

// Pause waits; false means that ctx ended.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
