package uptime_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/uptime"
)

// kernels is what the kernel says in another way: in whole seconds, rounded up.
func kernels(t *testing.T) time.Duration {
	t.Helper()
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	return time.Duration(info.Uptime) * time.Second
}

func TestNow(t *testing.T) {
	least := kernels(t) - time.Second
	now := uptime.Now()
	most := kernels(t)
	if now < least || now > most || now <= 0 {
		t.Errorf("%v, want %v to %v", now, least, most)
	}
	if later := uptime.Now(); later < now {
		t.Errorf("%v, then %v", now, later)
	}
}
