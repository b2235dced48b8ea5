// Package block changes what lies on a disk below its file systems, carefully: one entry of the partition table, one sector
// of a file, the size of a mounted ext4.
package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// SectorSize is the unit of the partition table in bytes.
const SectorSize = 512

var (
	// ErrNoTable means that a sector holds no MBR partition table, or one that only guards a GPT.
	ErrNoTable = errors.New("no MBR partition table")
	// ErrLayout means that a partition cannot have the wanted size.
	ErrLayout = errors.New("partition would not fit")
	// ErrUnaligned means that a write is not made of whole sectors.
	ErrUnaligned = errors.New("not a whole number of sectors")
	// ErrReadBack means that the medium does not hold what was written to it.
	ErrReadBack = errors.New("the medium does not hold what was written")
)

// Partition is one entry of the table. A Type of 0 is an unused entry.
type Partition struct {
	Bootable bool
	Type     byte
	// Start and Sectors count sectors of 512 bytes.
	Start, Sectors uint32
}

// End is the first sector after the partition.
func (p Partition) End() uint64 { return uint64(p.Start) + uint64(p.Sectors) }

// MBR is the partition table in a disk's first sector.
type MBR struct {
	// DiskID is the number that root=PARTUUID= names.
	DiskID     uint32
	Partitions [4]Partition
}

// Layout of the sector: UEFI Specification 2.10, section 5.2.1.
const (
	diskIDAt    = 440
	entriesAt   = 446
	entrySize   = 16
	startAt     = 8
	sectorsAt   = 12
	signatureAt = 510

	typeGPT = 0xee // section 5.2.3
)

// ParseMBR reads a disk's first sector. It returns ErrNoTable when there is no signature, an entry has a boot flag that
// is none, partitions overlap, or the table belongs to a GPT.
func ParseMBR(sector []byte) (MBR, error) {
	var m MBR
	if len(sector) != SectorSize || sector[signatureAt] != 0x55 || sector[signatureAt+1] != 0xaa {
		return m, ErrNoTable
	}
	m.DiskID = binary.LittleEndian.Uint32(sector[diskIDAt:])
	for i := range m.Partitions {
		e := sector[entriesAt+i*entrySize:][:entrySize]
		if e[0]&0x7f != 0 || e[4] == typeGPT {
			return MBR{}, fmt.Errorf("entry %d: %w", i+1, ErrNoTable)
		}
		m.Partitions[i] = Partition{
			Bootable: e[0] == 0x80, Type: e[4],
			Start: binary.LittleEndian.Uint32(e[startAt:]), Sectors: binary.LittleEndian.Uint32(e[sectorsAt:]),
		}
	}
	for i, p := range m.Partitions {
		for _, q := range m.Partitions[:i] {
			if p.Type != 0 && q.Type != 0 && uint64(p.Start) < q.End() && uint64(q.Start) < p.End() {
				return MBR{}, fmt.Errorf("entry %d overlaps another: %w", i+1, ErrNoTable)
			}
		}
	}
	return m, nil
}

// WithLength returns a copy of a table's sector in which the entry with that number (1 to 4) has another length; nothing
// else differs. It returns ErrLayout when the entry is unused or would reach into another one.
func WithLength(sector []byte, number int, sectors uint32) ([]byte, error) {
	m, err := ParseMBR(sector)
	if err != nil {
		return nil, err
	}
	if number < 1 || number > 4 || m.Partitions[number-1].Type == 0 || sectors == 0 {
		return nil, fmt.Errorf("partition %d with %d sectors: %w", number, sectors, ErrLayout)
	}
	changed := slices.Clone(sector)
	binary.LittleEndian.PutUint32(changed[entriesAt+(number-1)*entrySize+sectorsAt:], sectors)
	if _, err := ParseMBR(changed); err != nil {
		return nil, fmt.Errorf("partition %d with %d sectors: %w (%w)", number, sectors, ErrLayout, err)
	}
	return changed, nil
}
