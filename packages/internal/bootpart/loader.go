package bootpart

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Loader returns what decides on the slot that starts on a board. It fails with ErrLayout when its files are not as
// Porthole's images have them.
func (p *Partition) Loader(board string) (Loader, error) {
	switch board {
	case BoardPi:
		return p.piLoader()
	case BoardVM:
		return p.vmLoader()
	}
	return nil, fmt.Errorf("there is no board %q", board)
}

// startable makes sure that a slot has a kernel, and returns its command line.
func (p *Partition) startable(slot string) (string, error) {
	r, files, err := p.look(slot)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(files, func(f slotFile) bool { return f.path == Kernel }) {
		return "", fmt.Errorf("%s has no %s: %w", slot, Kernel, ErrNotFound)
	}
	line, err := r.named(files, Cmdline)
	return strings.TrimSuffix(string(line), "\n"), err
}

// piLoader is config.txt, which the firmware reads, and tryboot.txt, which it reads instead when a restart asks for it
// (https://www.raspberrypi.com/documentation/computers/config_txt.html, "tryboot").
type piLoader struct {
	p *Partition
	// Where their only sectors lie.
	config, tryboot int64
}

// Tryboot is what config.txt is called when a restart asks for a trial.
const tryboot = "tryboot.txt"

func (p *Partition) piLoader() (*piLoader, error) {
	l := &piLoader{p: p}
	for name, at := range map[string]*int64{Config: &l.config, tryboot: &l.tryboot} {
		it, err := p.find(name)
		if err != nil {
			return nil, err
		}
		if it.size != MaxConfig || it.attr&attrFolder != 0 {
			return nil, fmt.Errorf("%w (%s has %d bytes, not %d: was it changed by hand?)", ErrLayout, name, it.size, MaxConfig)
		}
		if _, err := p.chain(it.first, 1); err != nil {
			return nil, err
		}
		*at = p.l.at(it.first)
	}
	if l.config == l.tryboot {
		return nil, fmt.Errorf("%w (%s and %s are one file)", ErrLayout, Config, tryboot)
	}
	return l, nil
}

// slotOf returns the slot that a config.txt names: the firmware takes the last one.
func slotOf(text []byte) (string, error) {
	found := ""
	for line := range bytes.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(string(line)), prefix); ok {
			found = name
		}
	}
	switch slot := strings.TrimSuffix(found, "/"); {
	case found == "":
		return "", fmt.Errorf("%s of the boot partition names no slot", Config)
	case slot != SlotA && slot != SlotB || slot == found:
		return "", fmt.Errorf("%s of the boot partition starts %q, which is no slot", Config, found)
	default:
		return slot, nil
	}
}

func (l *piLoader) slot(at int64) (string, error) {
	text, err := l.p.read(at, MaxConfig)
	if err != nil {
		return "", err
	}
	return slotOf(text)
}

func (l *piLoader) Default() (string, error) { return l.slot(l.config) }

func (l *piLoader) Armed(slot string) (armed, tried bool, err error) {
	other, err := notDefault(l, slot)
	if err != nil || !other {
		return false, false, err
	}
	// A tryboot.txt that nobody understands starts nothing of ours.
	named, err := l.slot(l.tryboot)
	return err == nil && named == slot, false, nil
}

// write replaces a sector, unless it is right already.
func (l *piLoader) write(at int64, text []byte) error {
	old, err := l.p.read(at, MaxConfig)
	if err != nil || bytes.Equal(old, text) {
		return err
	}
	return l.p.write(text, at)
}

// text returns the slot's config.txt.
func (l *piLoader) text(slot string) ([]byte, error) {
	if _, err := l.p.startable(slot); err != nil {
		return nil, err
	}
	text, err := l.p.SlotFile(slot, Config)
	if err != nil {
		return nil, err
	}
	if named, err := slotOf(text); err != nil || named != slot || len(text) != MaxConfig {
		return nil, fmt.Errorf("%s of %s does not start it", Config, slot)
	}
	return text, nil
}

func (l *piLoader) Arm(slot string) error {
	if err := refuseDefault(l, slot); err != nil {
		return err
	}
	text, err := l.text(slot)
	if err != nil {
		return err
	}
	return l.write(l.tryboot, text)
}

func (l *piLoader) Keep(slot string) error {
	text, err := l.text(slot)
	if err != nil {
		return err
	}
	if err := l.write(l.config, text); err != nil {
		return err
	}
	// A restart that asks for a trial without one armed starts what is kept.
	return l.write(l.tryboot, text)
}

func (l *piLoader) Off(slot string) error {
	if err := refuseDefault(l, slot); err != nil {
		return err
	}
	text, err := l.p.read(l.config, MaxConfig)
	if err != nil {
		return err
	}
	return l.write(l.tryboot, text)
}

// notDefault tells whether a slot is not the default one. It fails for what is no slot.
func notDefault(l Loader, slot string) (bool, error) {
	if slot != SlotA && slot != SlotB {
		return false, fmt.Errorf("there is no slot %q", slot)
	}
	starts, err := l.Default()
	return starts != slot, err
}

// refuseDefault fails unless another slot is known to start by default.
func refuseDefault(l Loader, slot string) error {
	other, err := notDefault(l, slot)
	if err == nil && !other {
		return fmt.Errorf("%s: %w", slot, ErrDefault)
	}
	return err
}

// errEntries: the folder with systemd-boot's entries is not as it should be.
var errEntries = errors.New("loader/entries holds something else")
