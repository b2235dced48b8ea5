// Package vmtest ends the runs of a virtual machine with the Raspberry Pi's kernel, whose memory survives a restart.
package vmtest_test

import (
	"strings"
	"testing"

	"porthole/hw/hwtest/vm"
)

// TestLastWords: the kernel of the Pi image keeps its last words over a restart, as with dtoverlay=ramoops on a Pi, and the next
// run finds out from them how the one before ended, once.
func TestLastWords(t *testing.T) {
	m := vm.Start(t, vm.Config{
		Arch: "arm64", Kernel: vm.RPi, Init: "./guest",
		// The machine's watchdog, which would also restart it, is not QEMU's best: the test restarts it. Without a VideoCore the
		// driver that talks to its programs crashes the kernel now and then.
		Append: "dwc_otg.fiq_fsm_enable=0 loglevel=5 oops=panic initcall_blacklist=bcm2835_wdt_driver_init,vchiq_driver_init " +
			"reserve_mem=64K:4096:oops ramoops.mem_name=oops ramoops.record_size=16384 ramoops.console_size=16384",
		Args: []string{"-action", "reboot=reset"},
	})
	m.Expect("answer: ready")
	expect := func(what string, words ...string) {
		t.Helper()
		answer := m.Ask("cause")
		for _, w := range words {
			if !strings.Contains(answer, w) {
				t.Errorf("%s: %s; want %q", what, answer, w)
			}
		}
	}
	reset := func() {
		t.Helper()
		m.QMP("system_reset", nil)
		m.Expect("answer: ready")
	}
	expect("first start", "unknown; ")
	m.Ask("say v1 starts")

	m.Send("crash")
	m.Expect("Kernel panic - not syncing")
	reset()
	expect("crash", "panic; The kernel stopped: Kernel panic - not syncing: sysrq triggered crash.", "Comm: ")
	expect("told once", "unknown; ")
	m.Ask("say v1 starts")

	m.Send("restart 0 tryboot")
	m.Expect("Restarting system with command '0 tryboot'")
	// The serial console has it before the memory does.
	m.Expect("Reboot failed -- System halted")
	reset()
	expect("restart", "software; ", "v1 starts", "0 tryboot")
}
