// Package uptime says how long the machine has been running.
package uptime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is how long the machine has been running, at any clock, the time that it slept included: CLOCK_BOOTTIME
// (clock_gettime(2)). Processes that come and go see it count on.
func Now() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // every Linux has it
	}
	return time.Duration(ts.Nano())
}
