package bootpart

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Format makes a boot partition with two empty slots on a medium that holds zeros. Write the first slot by Open and
// WriteSlot, then have it started by Loader and Keep. The same options give the same bytes.
func Format(m Medium, o Options) error {
	l, err := o.Geometry.layout()
	if err != nil {
		return err
	}
	if err := checkTime(o.Time); err != nil {
		return fmt.Errorf("make boot partition: %w", err)
	}
	f := &formatter{m: m, l: l, fat: table{0, make([]uint32, l.clusters+firstCluster)}, next: l.root, tree: newTree(o.Time)}
	f.fat.entries[0], f.fat.entries[1] = fatFirst, fatEnd
	for i, slot := range []string{SlotA, SlotB} {
		if err := f.tree.add(slot, item{attr: attrFolder, first: l.slots[i].start, time: o.Time}); err != nil {
			return fmt.Errorf("make boot partition: %w", err)
		}
		table{l.slots[i].start, f.fat.entries[l.slots[i].start:][:l.slots[i].count]}.empty()
	}
	if err := f.fill(o); err != nil {
		return fmt.Errorf("make boot partition: %w", err)
	}
	if err := f.write(o); err != nil {
		return fmt.Errorf("make boot partition: %w", err)
	}
	return m.Sync()
}

// formatter is a file system in the making.
type formatter struct {
	m    Medium
	l    layout
	fat  table
	next uint32 // the next free cluster
	tree *tree
	data []placed
}

type placed struct {
	first uint32
	data  []byte
}

// take gives n clusters that lie together.
func (f *formatter) take(n uint32) (uint32, error) {
	if f.next+n > f.l.slots[0].start {
		return 0, fmt.Errorf("its files outside of the slots need more than %d MB", int64(f.l.slots[0].start)*clusterSize>>20)
	}
	first := f.next
	f.fat.chain(first, n)
	f.next += n
	return first, nil
}

// fill finds a place for all files and folders. The root folder comes first, and each file of the loader has its own cluster.
func (f *formatter) fill(o Options) error {
	files := maps.Clone(o.Files)
	if files == nil {
		files = map[string][]byte{}
	}
	// What the loader's entries are not yet: texts that start nothing.
	nothing := bytes.Repeat([]byte("\n"), clusterSize)
	var entries []string
	switch o.Board {
	case BoardPi:
		entries = []string{Config, tryboot}
		nothing = nothing[:MaxConfig]
	case BoardVM:
		for _, slot := range []string{SlotA, SlotB} {
			entries = append(entries, entriesFolder+"/"+entryState{}.name(slot))
		}
	default:
		return fmt.Errorf("there is no board %q", o.Board)
	}
	for _, name := range entries {
		files[name] = nothing
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if top, _, deep := strings.Cut(name, "/"); deep && (same(top, SlotA) || same(top, SlotB)) {
			return fmt.Errorf("%s lies in a slot", name)
		}
		if err := f.tree.add(name, item{attr: attrArchive, size: uint32(len(files[name])), time: o.Time}); err != nil {
			return err
		}
	}
	// The slots' folders are in the tree as items only: their content is their own.
	delete(f.tree.folders, SlotA)
	delete(f.tree.folders, SlotB)
	for _, dir := range slices.Sorted(maps.Keys(f.tree.folders)) {
		if dir != entriesFolder {
			if err := f.folder(dir); err != nil {
				return err
			}
		}
	}
	if o.Board == BoardVM {
		// Last, so that the entries' texts lie behind their folder.
		if err := f.folder(entriesFolder); err != nil {
			return err
		}
	}
	for _, name := range append(entries, slices.Sorted(maps.Keys(files))...) {
		it := f.tree.file(name)
		if it.first != 0 || it.size == 0 {
			continue
		}
		var err error
		if it.first, err = f.take((it.size + clusterSize - 1) / clusterSize); err != nil {
			return err
		}
		f.data = append(f.data, placed{it.first, files[name]})
	}
	return nil
}

// folder places one folder.
func (f *formatter) folder(dir string) error {
	d := f.tree.folders[dir]
	var err error
	d.clusters = d.size()
	if d.first, err = f.take(d.clusters); err == nil && dir != "" {
		f.tree.file(dir).first = d.first
	}
	return err
}

// write writes it all.
func (f *formatter) write(o Options) error {
	free := f.l.slots[0].start - f.next
	info := infoSectorBytes(free, f.next)
	boot := f.l.bootSector(o.Serial, o.Start)
	last := make([]byte, sectorSize)
	last[510], last[511] = 0x55, 0xaa
	head := slices.Concat(boot, info, last)
	for first, data := range f.tree.encode(true) {
		f.data = append(f.data, placed{first, data})
	}
	for _, r := range f.l.slots {
		f.data = append(f.data, placed{r.start, emptySlot(r, o.Time)})
	}
	var errs []error
	put := func(b []byte, at int64) {
		_, err := f.m.WriteAt(padded(slices.Clone(b), sectorSize), at)
		errs = append(errs, err)
	}
	put(head, 0)
	put(head, backupSector*sectorSize)
	for i := range 2 {
		put(f.fat.bytes(), f.l.fatAt(i, 0))
	}
	for _, p := range f.data {
		put(p.data, f.l.at(p.first))
	}
	return errors.Join(errs...)
}
