// Package resetcause finds out how the machine's last run ended: from what its kernel left in memory that survives a restart
// (pstore), from the Raspberry Pi's reset register and from the watchdog.
package resetcause

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/sys"
	"porthole/hw/internal/sysfs"
)

// Cause is how a run ended.
type Cause string

// The causes.
const (
	// Power: it was cut, or the machine was switched off.
	Power Cause = "power"
	// Watchdog: nobody fed it.
	Watchdog Cause = "watchdog"
	// Panic: the kernel stopped.
	Panic Cause = "panic"
	// Software: somebody restarted it in order.
	Software Cause = "software"
	Unknown  Cause = "unknown"
)

// MaxLastWords bounds Report.LastWords, in bytes.
const MaxLastWords = 4096

// Report says how the last run ended.
type Report struct {
	Cause Cause
	// Detail is a sentence or two for people.
	Detail string
	// LastWords is the end of what its kernel said, as far as that survived.
	LastWords string
}

// Machine is the one whose last run it is about. The zero value is the one that this runs on.
type Machine struct {
	// Root stands for /.
	Root string
	// Sys is the kernel; nil means the real one.
	Sys *sys.Sys
	// Watchdog is the open watchdog, which can only be opened once; nil if there is none.
	Watchdog *os.File
}

// Read finds out. What pstore holds is removed from it, so that it is not told again after the next restart. sysfs must be
// mounted. The report is good also with an error, which says what could not be looked at.
func (m Machine) Read() (Report, error) {
	if m.Sys == nil {
		m.Sys = sys.Kernel()
	}
	root := sysfs.Root(m.Root)
	var e evidence
	left, err := m.readPstore(root.Path("sys/fs/pstore"))
	errs := []error{err}
	e.dumps, e.console = left.dumps, left.console
	if e.rsts, e.rstsKnown, err = number(root, "rsts"); err != nil {
		errs = append(errs, err)
	}
	// Old firmware had it elsewhere.
	if !e.rstsKnown {
		e.rsts, e.rstsKnown, err = number(root, "../pm_rsts")
		errs = append(errs, err)
	}
	try, known, err := number(root, "tryboot")
	e.tryboot = known && try != 0
	errs = append(errs, err)
	if m.Watchdog != nil {
		var status int32
		err := m.Sys.Ioctl(m.Watchdog, unix.WDIOC_GETBOOTSTATUS, unsafe.Pointer(&status))
		if err != nil && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EOPNOTSUPP) {
			errs = append(errs, fmt.Errorf("ask the watchdog whether it restarted the machine: %w", err))
		}
		e.dog, e.dogKnown = int(status), err == nil
	}
	return judge(e), errors.Join(errs...)
}

// number reads a number that the Pi's firmware left in the device tree
// (https://www.raspberrypi.com/documentation/computers/configuration.html, "Common bootloader properties /chosen/bootloader").
func number(root sysfs.Root, name string) (value uint32, known bool, err error) {
	b, err := root.Bytes("sys/firmware/devicetree/base/chosen/bootloader", name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("read what the firmware left: %w", err)
	case len(b) != 4:
		return 0, false, fmt.Errorf("read what the firmware left: %s has %d bytes", name, len(b))
	}
	return binary.BigEndian.Uint32(b), true, nil
}

// dump is what pstore has.
type dump struct {
	dumps   []string
	console string
}

// Bounds of what is read of pstore: files, and bytes of each.
const (
	maxFiles = 32
	maxFile  = 64 << 10
)

// readPstore mounts pstore at dir, reads it, empties it and unmounts it. A kernel without it leaves nothing.
func (m Machine) readPstore(dir string) (d dump, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return dump{}, nil
	}
	if err := m.Sys.Mount("pstore", dir, "pstore"); err != nil && !errors.Is(err, unix.EBUSY) {
		return dump{}, fmt.Errorf("mount what the last kernel left: %w", err)
	}
	defer func() { err = errors.Join(err, m.Sys.Unmount(dir)) }()
	list, err := os.ReadDir(dir + "/.")
	if err != nil {
		return dump{}, fmt.Errorf("list what the last kernel left: %w", err)
	}
	var errs []error
	for _, entry := range list[:min(len(list), maxFiles)] {
		path := filepath.Join(dir, entry.Name())
		text, err := readRecord(path)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("read what the last kernel left: %w", err))
		case strings.HasPrefix(entry.Name(), "dmesg-"):
			d.dumps = append(d.dumps, text)
		case strings.HasPrefix(entry.Name(), "console-"):
			d.console += text
		}
		if err := os.Remove(path); err != nil {
			errs = append(errs, fmt.Errorf("remove what the last kernel left: %w", err))
		}
	}
	return d, errors.Join(errs...)
}

// readRecord returns a file's content, as much of it as a record of pstore ever has.
func readRecord(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(b), nil
}
