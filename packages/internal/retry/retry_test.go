package retry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/retry"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		failures int
		whole    time.Duration
	}{{1, 100 * time.Millisecond}, {2, 200 * time.Millisecond}, {6, 3200 * time.Millisecond}, {7, 5 * time.Second}, {1_000_000, 5 * time.Second}} {
		for range 100 {
			if d := retry.Backoff(c.failures, 100*time.Millisecond, 5*time.Second); d < c.whole/2 || d >= c.whole {
				t.Errorf("after %d failures %v, want %v to %v", c.failures, d, c.whole/2, c.whole)
			}
		}
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !retry.Pause(t.Context(), time.Hour) || time.Since(began) != time.Hour {
			t.Errorf("it ended after %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if retry.Pause(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("its context's end was noticed after %v", time.Since(began))
		}
	})
}
