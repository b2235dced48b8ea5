package diskimage

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The image's layout, the same on every board. An update of a running device relies on it: change nothing here without
// a way for devices in the field to follow.
const (
	sectorSize = 512
	mib        = 1 << 20

	// firstPartition leaves room for the partition table and keeps every partition aligned to the erase blocks of SD
	// cards (4 MiB).
	firstPartition = 4 * mib
	bootSize       = 256 * mib
	rootSize       = 256 * mib
	permSize       = 64 * mib
)

// MBR partition types (https://www.win.tue.nl/~aeb/partitions/partition_types-1.html).
const (
	typeFAT32 = 0x0c
	typeESP   = 0xef
	typeLinux = 0x83
)

// Board is a kind of machine that images are made for.
type Board struct {
	// Name is the folder below gokrazy-instance and overlays/boot, and part of the image's file name.
	Name string
	// Arch is the machine's GOARCH, in Debian's words too.
	Arch string
	// DiskID is the signature in the MBR; Linux calls partition N PARTUUID=<DiskID>-0N.
	DiskID uint32
	// bootType is the MBR type of the boot partition.
	bootType byte
	// layOut sorts what gok put on its boot partition into Porthole's.
	layOut func(context.Context, *boot) error
}

// Boards returns all boards.
func Boards() []Board {
	return []Board{
		{Name: "pi", Arch: "arm64", DiskID: 0x706f7069, bootType: typeFAT32, layOut: layOutPi},
		{Name: "vm", Arch: "amd64", DiskID: 0x706f766d, bootType: typeESP, layOut: layOutVM},
	}
}

// BoardByName returns the board of that name.
func BoardByName(name string) (Board, error) {
	all := Boards()
	i := slices.IndexFunc(all, func(b Board) bool { return b.Name == name })
	if i < 0 {
		var names []string
		for _, b := range all {
			names = append(names, b.Name)
		}
		return Board{}, fmt.Errorf("no board named %q: there are %s", name, strings.Join(names, " and "))
	}
	return all[i], nil
}

// partUUID is what Linux calls a partition of the board's image.
func (b Board) partUUID(partition int) string { return fmt.Sprintf("%08x-%02d", b.DiskID, partition) }
