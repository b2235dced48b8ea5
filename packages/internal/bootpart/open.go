package bootpart

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Partition is an opened boot partition. It has one user at a time.
type Partition struct {
	m Medium
	l layout
}

// maxFolder bounds a folder outside of the slots: 64 KiB, a thousand short names.
const maxFolder = 64 << 10 / clusterSize

// Open reads the layout of a boot partition. It fails with ErrLayout when it is not Porthole's, as when somebody has moved
// files of the slots, or put others into their room.
func Open(m Medium) (*Partition, error) {
	p := &Partition{m: m}
	b, err := p.read(0, sectorSize)
	if err != nil {
		return nil, err
	}
	if p.l, err = parseBootSector(b); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrLayout, err)
	}
	root, err := p.folder(p.l.root)
	if err != nil {
		return nil, err
	}
	var starts [2]uint32
	for i, name := range []string{SlotA, SlotB} {
		n := slices.IndexFunc(root, func(it item) bool { return same(it.name, name) })
		if n < 0 || root[n].attr&attrFolder == 0 {
			return nil, fmt.Errorf("%w (it has no folder %s)", ErrLayout, name)
		}
		starts[i] = root[n].first
	}
	size := starts[1] - starts[0]
	if starts[0] <= firstCluster || starts[1] <= starts[0] || size < minRegion || starts[0]%clustersPerSector != 0 || size%clustersPerSector != 0 ||
		uint64(starts[1])+uint64(size) > uint64(p.l.clusters)+firstCluster {
		return nil, fmt.Errorf("%w (its slots lie elsewhere)", ErrLayout)
	}
	p.l.slots = [2]region{{starts[0], size}, {starts[1], size}}
	if err := p.checkOutside(root); err != nil {
		return nil, err
	}
	return p, nil
}

// region returns a slot's.
func (p *Partition) region(slot string) (region, error) {
	switch slot {
	case SlotA:
		return p.l.slots[0], nil
	case SlotB:
		return p.l.slots[1], nil
	}
	return region{}, fmt.Errorf("there is no slot %q", slot)
}

// inSlots tells whether a cluster lies in the room of a slot.
func (p *Partition) inSlots(cluster uint32) bool {
	return p.l.slots[0].has(cluster) || p.l.slots[1].has(cluster)
}

// checkOutside makes sure that nothing but the slots' folders lies in the slots' room: neither a file's beginning nor its
// continuation.
func (p *Partition) checkOutside(root []item) error {
	foreign := fmt.Errorf("%w (something else lies in the slots' room)", ErrLayout)
	end := p.l.clusters + firstCluster
	for _, span := range [][2]uint32{{0, p.l.slots[0].start}, {p.l.slots[1].start + p.l.slots[1].count, end}} {
		entries, err := p.table(0, span[0], span[1]-span[0])
		if err != nil {
			return err
		}
		if slices.ContainsFunc(entries, func(e uint32) bool { return p.inSlots(e & fatMask) }) {
			return foreign
		}
	}
	seen := map[uint32]bool{p.l.root: true}
	for todo := [][]item{root}; len(todo) > 0; todo = todo[1:] {
		for _, it := range todo[0] {
			folder := it.attr&attrFolder != 0
			switch {
			case folder && (it.first == p.l.slots[0].start || it.first == p.l.slots[1].start):
				if seen[it.first] {
					return foreign
				}
			case p.inSlots(it.first):
				return foreign
			case folder && !seen[it.first]:
				items, err := p.folder(it.first)
				if err != nil {
					return err
				}
				todo = append(todo, items)
			}
			if folder {
				seen[it.first] = true
			}
		}
	}
	return nil
}

// read reads sectors.
func (p *Partition) read(at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := p.m.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("read the boot partition: %w", err)
	}
	return b, nil
}

// write writes sectors and returns when they are on the medium.
func (p *Partition) write(b []byte, at int64) error {
	if _, err := p.m.WriteAt(b, at); err != nil {
		return fmt.Errorf("write the boot partition: %w", err)
	}
	if err := p.m.Sync(); err != nil {
		return fmt.Errorf("write the boot partition: %w", err)
	}
	return nil
}

// table reads what a FAT says of count clusters from first on.
func (p *Partition) table(copyNumber int, first, count uint32) ([]uint32, error) {
	skip := first % clustersPerSector
	n := (skip + count) * fatEntry
	n += -n & (sectorSize - 1)
	b, err := p.read(p.l.fatAt(copyNumber, first), int(n))
	if err != nil {
		return nil, err
	}
	out := make([]uint32, count)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[(int(skip)+i)*fatEntry:])
	}
	return out, nil
}

// chain returns the clusters of a file or folder outside of the slots, at most most of them.
func (p *Partition) chain(first uint32, most int) ([]uint32, error) {
	var out []uint32
	for c := first; ; {
		if !p.l.valid(c) || p.l.slots[0].count > 0 && p.inSlots(c) || len(out) >= most {
			return nil, fmt.Errorf("%w (a file's clusters are damaged)", ErrLayout)
		}
		out = append(out, c)
		next, err := p.table(0, c, 1)
		if err != nil {
			return nil, err
		}
		if c = next[0] & fatMask; c >= fatEnds {
			return out, nil
		}
	}
}

// folder reads a folder outside of the slots.
func (p *Partition) folder(first uint32) ([]item, error) {
	clusters, err := p.chain(first, maxFolder)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, c := range clusters {
		part, err := p.read(p.l.at(c), clusterSize)
		if err != nil {
			return nil, err
		}
		b.Write(part)
	}
	return parseFolder(b.Bytes()), nil
}

// find returns the item of a path outside of the slots.
func (p *Partition) find(path string) (item, error) {
	at := p.l.root
	var it item
	for element := range strings.SplitSeq(path, "/") {
		items, err := p.folder(at)
		if err != nil {
			return it, err
		}
		i := slices.IndexFunc(items, func(it item) bool { return same(it.name, element) })
		if i < 0 {
			return it, fmt.Errorf("%w (it has no %s)", ErrLayout, path)
		}
		it = items[i]
		at = it.first
	}
	return it, nil
}
