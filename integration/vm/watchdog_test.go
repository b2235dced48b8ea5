package vm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"porthole/integration/vm"
)

// TestLongWatchdog: a device on which something has stopped working for good, though every process still runs, is
// restarted by its hardware watchdog; its serial console says why before, and the journal of a trial if there is one; all is
// well after, and what comes then knows how that run ended.
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
			if s := bootStatus(t, a); s.Reset != "unknown" || s.LastWords != "" {
				t.Errorf("the first start is after %+v", s)
			}
			heartBeats(t, a) // before the first beat another rule holds
			const journal = "/perm/system/update/trial.log"
			if err := a.WriteFile(t.Context(), journal, `{"slot":"slot-a"}`+"\n"); err != nil {
				t.Fatal(err)
			}
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
			// The console has it first: a card that hangs must not keep it back.
			noted := regexp.MustCompile(`\ninit: watchdog not fed: ` + strings.ReplaceAll(c.why, `\r?\n`, `\n`))
			eventually(t, "the trial's journal says why", func(ctx context.Context) error {
				told, err := a.ReadFile(ctx, journal)
				if err == nil && !noted.MatchString(told) {
					err = fmt.Errorf("it has %q", told)
				}
				return err
			})
			if _, _, err = m.WaitSerial(ctx, at, `Porthole v[\s\S]*processes: running: .*console.*system`); err != nil {
				t.Fatal(err)
			}
			if m.WatchdogBites() != 1 || m.Resets() != 1 {
				t.Errorf("the watchdog ran out %d times, the device was reset %d times; want once", m.WatchdogBites(), m.Resets())
			}
			logIn(t, m)
			if s := bootStatus(t, m.Agent()); s.Reset != "watchdog" {
				t.Errorf("after the watchdog the start is after %+v", s)
			}
		})
	}
}

// bootStatus is what init says of the guest's start; that of the slots is checked.
func bootStatus(t *testing.T, a vm.Agent) (s struct {
	Board, Slot, Disk, Reset string
	BootDevice               string            `json:"boot_device"`
	RootDevices              map[string]string `json:"root_devices"`
	PartUUID                 map[string]string
	ResetDetail              string `json:"reset_detail"`
	LastWords                string `json:"last_words"`
}) {
	t.Helper()
	text, err := a.ReadFile(t.Context(), "/run/porthole/boot-status.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if s.Board != "vm" || s.Slot != "slot-a" || s.Disk != "/dev/vda" || s.BootDevice != "/dev/vda1" || s.RootDevices["slot-b"] != "/dev/vda3" ||
		s.PartUUID["slot-a"] == "" || s.ResetDetail == "" {
		t.Errorf("boot-status.json has %s", text)
	}
	line, err := a.ReadFile(t.Context(), "/proc/cmdline")
	if err != nil || !strings.Contains(line, "root=PARTUUID="+s.PartUUID[s.Slot]+" ") {
		t.Errorf("the kernel was started with %q (%v), the slot's partition is %q", line, err, s.PartUUID[s.Slot])
	}
	return s
}
