package update

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"porthole/packages/internal/update"
)

// maxDescription bounds what is read of init's and the image's word, in bytes.
const maxDescription = 64 << 10

// build is /etc/porthole/build.json of the running root: what it says of itself.
type build struct {
	Board   string
	Version string
	Time    time.Time
}

// bootStatus is what init says of this start (docs/architecture.md, "What init leaves for the processes").
type bootStatus struct {
	Board       string
	Slot        string
	BootDevice  string            `json:"boot_device"`
	RootDevices map[string]string `json:"root_devices"`
	PartUUID    map[string]string
	// Reset is how the run before this one ended.
	Reset       string
	ResetDetail string `json:"reset_detail"`
	LastWords   string `json:"last_words"`
}

// Values of bootStatus.Reset that mean something here.
const (
	resetPanic    = "panic"
	resetWatchdog = "watchdog"
)

// other returns the slot that does not run.
func (s bootStatus) other() string {
	if s.Slot == update.SlotA {
		return update.SlotB
	}
	return update.SlotA
}

// complete says in a sentence what is missing for updates; empty if nothing is.
func (s bootStatus) complete() string {
	if s.Slot != update.SlotA && s.Slot != update.SlotB {
		return "This device does not run from one of Porthole's two slots, so there is none to write an update to. Write Porthole's image to the card again."
	}
	for _, slot := range []string{update.SlotA, update.SlotB} {
		if s.BootDevice == "" || s.RootDevices[slot] == "" || s.PartUUID[slot] == "" {
			return "The card is not laid out as Porthole's images are, so it cannot be updated. Write Porthole's image to the card again."
		}
	}
	return ""
}

// describe reads a description in JSON. The error is fs.ErrNotExist where there is none.
func describe(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxDescription)).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
