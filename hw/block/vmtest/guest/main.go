// Command guest grows the last partition of a test's virtual disk while it is in use.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"porthole/hw/block"
	"porthole/hw/board"
	"porthole/hw/cpufreq"
	"porthole/hw/hwtest/vm/guest"
	"porthole/hw/thermal"
)

func main() {
	err := guest.Main(guest.Program{Commands: guest.Commands{
		"mount": mount, "grow": grow, "read": read, "unmount": unmount, "machine": machine,
	}})
	if err != nil {
		os.Exit(1)
	}
}

func mount(string) (string, error) {
	if err := unix.Mount("/dev/vda4", "/mnt", "ext4", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	return "mounted", os.WriteFile("/mnt/kept", []byte("kept"), 0o600)
}

// grow answers whether table and file system changed, and the file system's size in MiB.
func grow(string) (string, error) {
	disk, err := block.Open("/dev/vda", block.Options{})
	if err != nil {
		return "", err
	}
	defer disk.Close()
	table, err := disk.GrowLast()
	if err != nil {
		return "", err
	}
	m, err := disk.MBR()
	if err != nil {
		return "", err
	}
	changed, err := block.GrowExt4(nil, "/mnt", uint64(m.Partitions[3].Sectors)*block.SectorSize)
	if err != nil {
		return "", err
	}
	part, err := block.Open("/dev/vda4", block.Options{ReadOnly: true})
	if err != nil {
		return "", err
	}
	defer part.Close()
	size, err := part.SizeBytes()
	if err != nil {
		return "", err
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/mnt", &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%v %v %d %d", table, changed, size, st.Blocks*uint64(st.Bsize)>>20), nil
}

func read(string) (string, error) {
	b, err := os.ReadFile("/mnt/kept")
	return string(b), err
}

// unmount answers what the superblock then says.
func unmount(string) (string, error) {
	if err := unix.Unmount("/mnt", 0); err != nil {
		return "", err
	}
	part, err := block.Open("/dev/vda4", block.Options{})
	if err != nil {
		return "", err
	}
	defer part.Close()
	e, err := part.Ext4()
	return fmt.Sprintf("%s %d %v %v", e.Label, e.Blocks*uint64(e.BlockSize), e.Clean, e.Errors), err
}

// machine answers what a virtual machine has and has not.
func machine(string) (string, error) {
	b, err := board.FS{}.Read()
	if err != nil {
		return "", err
	}
	_, freq := cpufreq.FS{}.Policies()
	_, temp := thermal.FS{}.Temperature()
	_, volt := thermal.FS{}.UnderVoltage()
	return fmt.Sprintf("%s; %s; %d; %v; %v; %v", b.Class, b.Model, b.MemoryBytes>>20, freq, temp, volt), nil
}
