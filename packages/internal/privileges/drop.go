package privileges

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Drop makes the plan's folders, becomes its user and executes this program anew with the same arguments. It returns
// only if it fails, and then the process must end: it may have given up a part. A folder that cannot be made because
// the storage is missing or read-only is told through note and does not stop it: the process itself knows what it can
// do without.
func (p Plan) Drop(note func(error)) error {
	for _, f := range p.Folders {
		if err := f.Make(); err != nil {
			note(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	// What follows holds for a thread; the one that executes the program gives it to all threads of the second life.
	runtime.LockOSThread()
	if err := p.become(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if p.UID != 0 {
		syscall.Umask(0o077)
		if err := filterCalls(); err != nil {
			note(err)
		}
	}
	if err := unix.Exec(self, os.Args, p.Environ); err != nil {
		return fmt.Errorf("execute %s as user %d: %w", self, p.UID, err)
	}
	return nil
}

// become takes on user, groups and capabilities, in the order in which the kernel allows it (capabilities(7)).
func (p Plan) become() error {
	keep := capabilitySet(p.Capabilities)
	if p.UID != 0 {
		// Inheritable before the bounding set is cut, which would forbid it, and all of root's own until the user changes.
		if err := setCapabilities(func(d *[2]unix.CapUserData) {
			d[0].Inheritable, d[1].Inheritable = keep[0], keep[1]
		}); err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("keep capabilities over the change of user: %w", err)
		}
	}
	if err := cutBoundingSet(p.UID == 0, keep); err != nil {
		return err
	}
	if err := syscall.Setgroups(p.Groups); err != nil {
		return fmt.Errorf("set groups %v: %w", p.Groups, err)
	}
	if err := syscall.Setresgid(p.UID, p.UID, p.UID); err != nil {
		return fmt.Errorf("become group %d: %w", p.UID, err)
	}
	if err := syscall.Setresuid(p.UID, p.UID, p.UID); err != nil {
		return fmt.Errorf("become user %d: %w", p.UID, err)
	}
	if err := setCapabilities(func(d *[2]unix.CapUserData) {
		for i := range d {
			d[i] = unix.CapUserData{Effective: keep[i], Permitted: keep[i]}
			if p.UID != 0 {
				d[i].Inheritable = keep[i]
			}
		}
	}); err != nil {
		return err
	}
	if p.UID == 0 {
		return nil // the bounding set says what root keeps
	}
	for _, c := range p.Capabilities {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("keep capability %s: %w", capabilityName(c), err)
		}
	}
	return nil
}

// cutBoundingSet leaves root what it keeps, and others nothing: their ambient capabilities do not come from it.
func cutBoundingSet(root bool, keep [2]uint32) error {
	for c := range 64 {
		if root && keep[c/32]&(1<<(c%32)) != 0 {
			continue
		}
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // the kernel knows no further ones
		}
		if err != nil || has == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("give up capability %s for good: %w", capabilityName(c), err)
		}
	}
	return nil
}

func capabilitySet(list []int) (set [2]uint32) {
	for _, c := range list {
		set[c/32] |= 1 << (c % 32)
	}
	return set
}

// setCapabilities changes this thread's.
func setCapabilities(change func(*[2]unix.CapUserData)) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("list capabilities: %w", err)
	}
	change(&data)
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	return nil
}
