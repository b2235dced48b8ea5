package vm_test

import (
	"context"
	"syscall"
	"testing"

	"porthole/integration/vm"
)

// TestLongWatchdog: a device on which something has stopped working for good, though every process still runs, is
// restarted by its hardware watchdog; its serial console says why before, and all is well after.
func TestLongWatchdog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, stop, why string }{
		{"system stops", "system", `no heartbeat for 45s\r?\n`},
		{"console stops", "console", `no heartbeat for 45s; system says: console.*health does not answer`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := boot(t, vm.Options{Disk: newDisk(t, theVMImage(t), 0), Forward: []int{443, vm.AgentPort}, Reboot: true})
			waitProcesses(t, m)
			a := m.Agent()
			heartBeats(t, a) // before the first beat another rule holds
			if err := a.Signal(t.Context(), find(t, a, c.stop).PID, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			at, _, err := m.WaitSerial(ctx, 0, `watchdog: not fed any more, the device will restart: `+c.why)
			if err != nil {
				t.Fatal(err)
			}
			if n := m.Resets(); n != 0 {
				t.Fatalf("it was reset %d times before it said why", n)
			}
			if _, _, err = m.WaitSerial(ctx, at, `Porthole test[\s\S]*processes: running: .*console.*system`); err != nil {
				t.Fatal(err)
			}
			if m.WatchdogBites() != 1 || m.Resets() != 1 {
				t.Errorf("the watchdog ran out %d times, the device was reset %d times; want once", m.WatchdogBites(), m.Resets())
			}
			logIn(t, m)
		})
	}
}
