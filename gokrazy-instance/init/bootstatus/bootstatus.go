// Package bootstatus says what the device was started from, and how its last run ended: what system needs to know before
// it decides about an update (docs/architecture.md, "What init leaves for the processes").
package bootstatus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"porthole/gokrazy-instance/init/perm"
	"porthole/hw/block"
)

// Numbers of the image's partitions.
const (
	bootPartition = 1
	rootA         = 2
	rootB         = 3
)

// Slots' names, as packages/internal/update has them.
const (
	slotA = "slot-a"
	slotB = "slot-b"
)

// Status is the content of boot-status.json.
type Status struct {
	// Board is what the image was built for: "pi" or "vm".
	Board string `json:"board"`
	// Slot is the one that runs: "slot-a" or "slot-b"; empty if the root file system lies on neither's partition.
	Slot string `json:"slot"`
	// Disk, BootDevice and RootDevices are device nodes, the last by slot.
	Disk        string            `json:"disk"`
	BootDevice  string            `json:"boot_device"`
	RootDevices map[string]string `json:"root_devices"`
	// PartUUID is what root=PARTUUID= names for each slot.
	PartUUID map[string]string `json:"partuuid"`
	// Reset is how the run before this one ended: "power", "watchdog", "panic", "software" or "unknown". Detail is what
	// that is taken from; LastWords is the end of what its kernel left behind, at most 4 KiB.
	Reset     string `json:"reset"`
	Detail    string `json:"reset_detail,omitempty"`
	LastWords string `json:"last_words,omitempty"`
}

// maxBuild bounds what is read of a build's description, in bytes.
const maxBuild = 64 << 10

// Read fills in all but the end of the last run. build is the file that describes the image. What could be found out is
// returned also with an error: a device without partition table still says which slot it runs from.
func Read(disk perm.Disk, build string) (Status, error) {
	s := Status{
		Slot: map[int]string{rootA: slotA, rootB: slotB}[disk.Own], Disk: disk.Node, BootDevice: disk.Partitions[bootPartition],
		RootDevices: map[string]string{slotA: disk.Partitions[rootA], slotB: disk.Partitions[rootB]},
		PartUUID:    map[string]string{}, Reset: "unknown",
	}
	board, boardErr := readBoard(build)
	s.Board = board
	id, idErr := diskID(disk.Node)
	if idErr == nil {
		// As the kernel makes them of an MBR (block/partitions/msdos.c, set_info).
		for slot, number := range map[string]int{slotA: rootA, slotB: rootB} {
			s.PartUUID[slot] = fmt.Sprintf("%08x-%02x", id, number)
		}
	}
	return s, errors.Join(boardErr, idErr)
}

func readBoard(build string) (string, error) {
	f, err := os.Open(build)
	if err != nil {
		return "", fmt.Errorf("read what the image was built for: %w", err)
	}
	defer f.Close()
	var about struct{ Board string }
	if err := json.NewDecoder(io.LimitReader(f, maxBuild)).Decode(&about); err != nil {
		return "", fmt.Errorf("read what the image was built for: %s: %w", build, err)
	}
	return about.Board, nil
}

func diskID(node string) (uint32, error) {
	d, err := block.Open(node, block.Options{ReadOnly: true})
	if err != nil {
		return 0, fmt.Errorf("read the disk's number: %w", err)
	}
	defer d.Close()
	m, err := d.MBR()
	if err != nil {
		return 0, fmt.Errorf("read the disk's number: %w", err)
	}
	return m.DiskID, nil
}

// Write leaves the status for the processes.
func (s Status) Write(path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode boot status: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write boot status: %w", err)
	}
	return nil
}
