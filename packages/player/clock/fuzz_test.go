package clock_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"porthole/packages/player/clock"
)

// FuzzFile starts with anything in the clock's file, any system clock and any server: the time is possible, and runs.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"now":"2026-11-21T10:00:00Z","system":"1970-01-01T00:01:00Z","mono_ns":60000000000,"proven":true}`), int64(60), int64(1e9), int64(1795255200)<<9)
	f.Add([]byte(`{"now":"9999-12-31T23:59:59Z","mono_ns":9223372036854775807}`), int64(1<<40), int64(1e18), int64(-1))
	f.Add([]byte(`{"now":null}`), int64(1795255200)<<9, int64(0), int64(1<<60))
	f.Fuzz(func(t *testing.T, b []byte, system, mono, server int64) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "clock.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		// A machine's clock has 64 bits of seconds, of which 55 make sense to package time, and runs for less than a century.
		sys, running := time.Unix(system>>9, 0), time.Duration(mono>>2).Abs()
		c := clock.New(clock.Config{
			Log: slog.New(slog.DiscardHandler), Dir: dir, Built: built,
			System: func() time.Time { return sys }, Mono: func() time.Duration { return running },
		})
		last := time.Time{}
		for n := range 5 {
			now := c.Now()
			if now.Before(built) || now.After(built.AddDate(80, 0, 0)) {
				t.Fatalf("%s", now)
			}
			if n != 3 && now.Before(last) {
				t.Fatalf("%s after %s", now, last)
			}
			last = now
			if n == 2 {
				c.FromServer(time.Unix(server>>9, 0), time.Second)
			}
			sys, running = sys.Add(time.Second), running+time.Second
		}
	})
}
