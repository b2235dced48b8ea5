// Command guest has Linux's own vfat use a boot partition: read-only while a slot is written below it, as on a device, and
// writable, as on a PC that a card is put into.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"porthole/hw/hwtest/vm/guest"
	"porthole/packages/bootkit"
)

const (
	device = "/dev/vda"
	folder = "/boot"
)

func main() {
	if err := guest.Main(guest.Program{Commands: guest.Commands{"update": update, "scribble": scribble, "same": compare}}); err != nil {
		os.Exit(1)
	}
}

// mounted calls use with the partition mounted.
func mounted(flags uintptr, use func() error) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, folder, "vfat", flags|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, "umask=0077"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return errors.Join(use(), unix.Unmount(folder, 0))
}

// update writes what is in the first slot to the second and arms it, while Linux has the partition mounted and has read it.
func update(string) (string, error) {
	var n int
	err := mounted(unix.MS_RDONLY, func() error {
		if _, _, err := readSlots(); err != nil {
			return err
		}
		f, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		p, err := bootkit.Open(f)
		if err != nil {
			return err
		}
		l, err := p.Loader(bootkit.BoardVM)
		if err != nil {
			return err
		}
		var part bytes.Buffer
		if err := errors.Join(l.Off(bootkit.SlotB), p.ReadSlot(context.Background(), bootkit.SlotA, bootkit.Slot{PartUUID: "706f766d-02"}, &part)); err != nil {
			return err
		}
		n = part.Len()
		if err := p.WriteSlot(context.Background(), bootkit.SlotB, &part, bootkit.Slot{PartUUID: "706f766d-03"}, nil); err != nil {
			return err
		}
		return errors.Join(l.Arm(bootkit.SlotB), f.Close())
	})
	return fmt.Sprint(n), err
}

// readSlots returns both slots' files.
func readSlots() (a, b map[string]string, err error) {
	slots := [2]map[string]string{}
	for i, slot := range []string{bootkit.SlotA, bootkit.SlotB} {
		slots[i] = map[string]string{}
		top := filepath.Join(folder, slot)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if name := strings.TrimPrefix(path, top); name != "/unused" {
				slots[i][name] = string(data)
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return slots[0], slots[1], nil
}

// compare answers how many files both slots have alike, as Linux reads them, and which loader entries there are.
func compare(string) (string, error) {
	n := 0
	var entries []string
	err := mounted(unix.MS_RDONLY, func() error {
		a, b, err := readSlots()
		if err != nil {
			return err
		}
		for name, text := range a {
			if strings.Replace(text, "706f766d-02", "706f766d-03", 1) == b[name] {
				n++
			} else {
				return fmt.Errorf("%s differs: %d and %d bytes", name, len(text), len(b[name]))
			}
		}
		if len(a) != len(b) {
			return fmt.Errorf("%d and %d files", len(a), len(b))
		}
		list, err := os.ReadDir(filepath.Join(folder, "loader", "entries"))
		for _, e := range list {
			entries = append(entries, e.Name())
		}
		return err
	})
	return fmt.Sprint(n, " ", strings.Join(entries, " ")), err
}

// scribble does what people do with a card in a PC: it reads everything, makes files and folders up to the last free byte,
// rewrites one again and again, and removes some.
func scribble(string) (string, error) {
	var wrote int64
	err := mounted(0, func() error {
		if _, _, err := readSlots(); err != nil {
			return err
		}
		for i := range 300 {
			if err := os.WriteFile(filepath.Join(folder, "porthole.toml"), bytes.Repeat([]byte("# settings\n"), i*7), 0o600); err != nil {
				return err
			}
		}
		photos := filepath.Join(folder, "Photos of the summer")
		if err := os.MkdirAll(photos, 0o700); err != nil {
			return err
		}
		var full error
		for i := 0; full == nil; i++ {
			full = os.WriteFile(filepath.Join(photos, fmt.Sprintf("IMG %d.jpeg", i)), bytes.Repeat([]byte{byte(i)}, 700_001), 0o600)
			wrote += 700_001
		}
		if !errors.Is(full, unix.ENOSPC) {
			return full
		}
		for i := 0; i < 20; i += 2 {
			if err := os.Remove(filepath.Join(photos, fmt.Sprintf("IMG %d.jpeg", i))); err != nil {
				return err
			}
		}
		return nil
	})
	return fmt.Sprint(wrote), err
}
