// Package power restarts the machine.
package power

import (
	"errors"
	"fmt"
	"strings"

	"porthole/hw/internal/sys"
)

// TryOther as the text of Restart has a Raspberry Pi's firmware start from tryboot.txt instead of config.txt, once
// (https://www.raspberrypi.com/documentation/computers/config_txt.html, "tryboot"). Other machines ignore it.
const TryOther = "0 tryboot"

// MaxText is how long Restart's text may be, in bytes (kernel/reboot.c).
const MaxText = 255

// ErrText means that the text is too long or has a zero byte.
var ErrText = errors.New("not a text for a restart")

// Machine is what is restarted. The zero value is the one that this runs on.
type Machine struct {
	// Sys is the kernel; nil means the real one.
	Sys *sys.Sys
}

// Restart restarts the machine at once, without ending processes in order: what file systems hold in memory is written
// out first, anything else is the caller's. text tells what starts the machine how, see TryOther; it may be empty. It needs
// CAP_SYS_BOOT and does not return when it works. It returns ErrText, or what the kernel says.
func (m Machine) Restart(text string) error {
	if len(text) > MaxText || strings.ContainsRune(text, 0) {
		return fmt.Errorf("restart with a text of %d bytes: %w", len(text), ErrText)
	}
	if m.Sys == nil {
		m.Sys = sys.Kernel()
	}
	m.Sys.Sync()
	if err := m.Sys.Restart(text); err != nil {
		return fmt.Errorf("restart the machine with %q: %w", text, err)
	}
	return nil
}

// Restart restarts the machine that this runs on: see Machine.
func Restart(text string) error { return Machine{}.Restart(text) }
