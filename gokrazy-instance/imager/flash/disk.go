// Package flash writes an image to a card: it finds out what the disk is, refuses those that would hurt, asks, writes,
// and reads everything back.
package flash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const sectorSize = 512

// Host is where a machine's disks are described; a test hands over a tree of its own.
type Host struct {
	// Sys and Proc are where sysfs and procfs are mounted.
	Sys, Proc string
}

// Disk is a disk as a person would recognise it.
type Disk struct {
	// Path is what to open, Name what to type: sdb for /dev/sdb.
	Path, Name string
	// Model is what the maker calls it; empty if it does not say.
	Model string
	// SizeBytes is the capacity.
	SizeBytes int64
	// Removable: a card, a stick, anything on USB.
	Removable bool
	// Uses says what keeps it busy, in words: mounts, swap, logical volumes.
	Uses []string
	// System means that the running system is on it.
	System bool
}

// Find describes the disk at path. A regular file counts as a removable disk.
func (h Host) Find(path string) (Disk, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Disk{}, fmt.Errorf("find disk: %w", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return Disk{}, fmt.Errorf("look at disk: %w", err)
	}
	d := Disk{Path: real, Name: filepath.Base(real)}
	if info.Mode().IsRegular() {
		d.Model, d.SizeBytes, d.Removable = "a file", info.Size(), true
		return d, nil
	}
	if info.Mode()&fs.ModeDevice == 0 || info.Mode()&fs.ModeCharDevice != 0 {
		return Disk{}, fmt.Errorf("%s is not a disk", path)
	}
	var st unix.Stat_t
	if err := unix.Stat(real, &st); err != nil {
		return Disk{}, fmt.Errorf("look at disk: %w", err)
	}
	return h.describe(d, fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
}

// describe fills in what sysfs says of the block device with number dev.
func (h Host) describe(d Disk, dev string) (Disk, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "dev", "block", dev))
	if err != nil {
		return Disk{}, fmt.Errorf("find %s in sysfs: %w", d.Path, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		return Disk{}, fmt.Errorf("%s is one partition of a disk: name the whole disk, %s", d.Path, filepath.Join(filepath.Dir(d.Path), filepath.Base(filepath.Dir(dir))))
	}
	sectors, err := strconv.ParseInt(word(dir, "size"), 10, 64)
	if err != nil {
		return Disk{}, fmt.Errorf("read size of %s: %w", d.Path, err)
	}
	d.SizeBytes = sectors * sectorSize
	if d.SizeBytes == 0 {
		return Disk{}, fmt.Errorf("there is no card in %s", d.Path)
	}
	d.Model = strings.TrimSpace(word(dir, "device/vendor") + " " + word(dir, "device/model"))
	if d.Model == "" {
		d.Model = word(dir, "device/name")
	}
	d.Removable = word(dir, "removable") == "1" || word(dir, "device/type") == "SD" || strings.Contains(dir, "/usb")
	return d, h.findUses(&d, dir)
}

// word reads a pseudo-file; empty if it is not there.
func word(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// systemMounts are where a running system lives.
var systemMounts = []string{"/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home"}

// findUses lists what uses the disk, its partitions, and whatever is built on them.
func (h Host) findUses(d *Disk, dir string) error {
	devs, err := h.devices(dir)
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile(filepath.Join(h.Proc, "self", "mountinfo"))
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		// proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, …, "-", type, source, …
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if len(f) < 5 || dash < 0 || dash+2 >= len(f) {
			continue
		}
		// Some file systems (btrfs) have numbers of their own: their source names the device.
		source := filepath.Base(f[dash+2])
		if devs[f[2]] == "" && (!strings.HasPrefix(f[dash+2], "/dev/") || !hasValue(devs, source)) {
			continue
		}
		where := unescape(f[4])
		d.Uses = append(d.Uses, "it is mounted on "+where)
		if slices.Contains(systemMounts, where) {
			d.System = true
		}
	}
	swaps, err := os.ReadFile(filepath.Join(h.Proc, "swaps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read swaps: %w", err)
	}
	for line := range strings.Lines(string(swaps)) {
		if f := strings.Fields(line); len(f) > 0 && hasValue(devs, filepath.Base(f[0])) {
			d.Uses, d.System = append(d.Uses, "the system swaps to it"), true
		}
	}
	own := filepath.Base(dir)
	for _, name := range devs {
		if !strings.HasPrefix(name, own) {
			d.Uses = append(d.Uses, name+" is built on it")
		}
	}
	slices.Sort(d.Uses)
	return nil
}

func hasValue(m map[string]string, value string) bool {
	for _, v := range m {
		if v == value {
			return true
		}
	}
	return false
}

// unescape undoes mountinfo's octal escapes of spaces and the like.
func unescape(s string) string {
	for _, c := range []string{"\\040", "\\011", "\\012", "\\134"} {
		n, err := strconv.ParseUint(c[1:], 8, 8)
		if err == nil {
			s = strings.ReplaceAll(s, c, string(rune(n)))
		}
	}
	return s
}

// devices returns the block devices that stand on the one in dir, itself included: names by major:minor. Partitions are
// folders in it, device-mapper and RAID devices are its holders.
func (h Host) devices(dir string) (map[string]string, error) {
	found := map[string]string{}
	var add func(dir string) error
	add = func(dir string) error {
		dev := word(dir, "dev")
		if dev == "" || found[dev] != "" {
			return nil
		}
		found[dev] = filepath.Base(dir)
		inside, err := filepath.Glob(filepath.Join(dir, "*", "partition"))
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		for _, p := range inside {
			if err := add(filepath.Dir(p)); err != nil {
				return err
			}
		}
		holders, err := filepath.Glob(filepath.Join(dir, "holders", "*"))
		if err != nil {
			return fmt.Errorf("list holders: %w", err)
		}
		for _, p := range holders {
			real, err := filepath.EvalSymlinks(p)
			if err != nil {
				return fmt.Errorf("follow holder: %w", err)
			}
			if err := add(real); err != nil {
				return err
			}
		}
		return nil
	}
	return found, add(dir)
}
