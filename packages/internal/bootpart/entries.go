package bootpart

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// entriesFolder holds systemd-boot's entries (https://uapi-group.org/specifications/specs/boot_loader_specification/, and
// https://systemd.io/AUTOMATIC_BOOT_ASSESSMENT/ on the tries in their names).
const entriesFolder = "loader/entries"

// vmLoader is the folder of systemd-boot's entries, one cluster. The two clusters behind it hold the entries' texts, first
// slot-a's: that tells which slot an entry is of, whatever its name.
//
// systemd-boot renames an entry that it tries, through edk2's FAT driver, which marks entries of the folder as deleted and
// puts others elsewhere. So the folder is read as it is, and written as a whole, in one form: its first sector.
type vmLoader struct {
	p      *Partition
	folder uint32
}

// entryState is what an entry's name says.
type entryState struct {
	live       bool // it ends in .conf: systemd-boot sees it
	counted    bool // its tries are counted: it is started left times more
	generation int  // what systemd-boot sorts by, the greatest first
	left       int
	size       uint32
}

// entriesState is the folder.
type entriesState struct {
	entries [2]entryState
	time    time.Time
}

const maxGeneration = 999999

// entryName is how an entry's name looks that systemd-boot sees.
var entryName = regexp.MustCompile(`(?i)^porthole-([0-9]{6})(?:\+([0-9]{1,2})(?:-[0-9]{1,2})?)?\.conf$`)

func (e entryState) name(slot string) string {
	switch {
	case !e.live:
		return slot + ".off"
	case !e.counted:
		return fmt.Sprintf("porthole-%06d.conf", e.generation)
	case e.left == 0:
		return fmt.Sprintf("porthole-%06d+0-1.conf", e.generation)
	default:
		return fmt.Sprintf("porthole-%06d+%d.conf", e.generation, e.left)
	}
}

func (p *Partition) vmLoader() (*vmLoader, error) {
	it, err := p.find(entriesFolder)
	if err != nil {
		return nil, err
	}
	if it.attr&attrFolder == 0 {
		return nil, fmt.Errorf("%w (%w)", ErrLayout, errEntries)
	}
	l := &vmLoader{p: p, folder: it.first}
	for i := range uint32(3) {
		if _, err := p.chain(it.first+i, 1); err != nil {
			return nil, err
		}
	}
	_, err = l.state()
	return l, err
}

func index(slot string) int { return strings.Index(SlotA+SlotB, slot) / len(SlotA) }

func slotName(i int) string { return []string{SlotA, SlotB}[i] }

// state reads the folder.
func (l *vmLoader) state() (entriesState, error) {
	b, err := l.p.read(l.p.l.at(l.folder), clusterSize)
	if err != nil {
		return entriesState{}, err
	}
	s := entriesState{time: decodeTime(b[:entrySize])}
	if checkTime(s.time) != nil {
		s.time = minTime
	}
	for i := range s.entries {
		s.entries[i].size = clusterSize
	}
	var seen [2]bool
	for _, it := range parseFolder(b) {
		i := it.first - l.folder - 1
		if i > 1 || it.size > clusterSize || it.attr&attrFolder != 0 {
			return s, fmt.Errorf("%w (%w: %s)", ErrLayout, errEntries, it.name)
		}
		e := entryState{size: it.size}
		if m := entryName.FindStringSubmatch(it.name); m != nil {
			e.live, e.counted = true, m[2] != ""
			e.generation, _ = strconv.Atoi(m[1])
			e.left, _ = strconv.Atoi(m[2])
		} else if strings.HasSuffix(strings.ToLower(it.name), ".conf") {
			return s, fmt.Errorf("%w (%w: %s)", ErrLayout, errEntries, it.name)
		}
		// Two names of one entry: a power cut while it was renamed. The one with fewer tries left is the newer.
		if old := s.entries[i]; !seen[i] || e.live && (!old.live || e.counted && (!old.counted || e.left < old.left)) {
			s.entries[i], seen[i] = e, true
		}
	}
	return s, nil
}

// write puts the folder in its one form. Whatever other sectors of it hold is of the past.
func (l *vmLoader) write(s entriesState) error {
	old, err := l.p.read(l.p.l.at(l.folder), clusterSize)
	if err != nil {
		return err
	}
	var items []item
	for i, e := range s.entries {
		items = append(items, item{name: e.name(slotName(i)), attr: attrArchive, first: l.folder + 1 + uint32(i), size: e.size, time: s.time})
	}
	// The folder above keeps its place: edk2 and Linux need it to go up.
	parent := uint32(old[entrySize+20])<<16 | uint32(old[entrySize+21])<<24 | uint32(old[entrySize+26]) | uint32(old[entrySize+27])<<8
	b := encodeFolder(l.folder, parent&fatMask, s.time, items)
	for _, part := range [][2]int{{0, sectorSize}, {sectorSize, clusterSize}} {
		from, to := part[0], part[1]
		if bytes.Equal(old[from:to], b[from:to]) {
			continue
		}
		if err := l.p.write(b[from:to], l.p.l.at(l.folder)+int64(from)); err != nil {
			return err
		}
	}
	return nil
}

func (l *vmLoader) Default() (string, error) {
	s, err := l.state()
	if err != nil {
		return "", err
	}
	best := -1
	for i, e := range s.entries {
		if e.live && !e.counted && (best < 0 || e.generation > s.entries[best].generation) {
			best = i
		}
	}
	if best < 0 {
		return "", errors.New("the boot loader has no slot to start by default")
	}
	return slotName(best), nil
}

func (l *vmLoader) Armed(slot string) (armed, tried bool, err error) {
	other, err := notDefault(l, slot)
	if err != nil || !other {
		return false, false, err
	}
	s, err := l.state()
	e := s.entries[index(slot)]
	return e.live && e.counted && e.left > 0, e.live && e.counted && e.left == 0, err
}

// entryText is what systemd-boot reads of an entry.
func entryText(slot, cmdline string) []byte {
	return fmt.Appendf(nil, "title Porthole\nlinux /%s/%s\noptions %s\n", slot, Kernel, cmdline)
}

// prepare makes the entry's text right, with the entry off meanwhile if need be, and returns the folder.
func (l *vmLoader) prepare(slot string) (entriesState, error) {
	line, err := l.p.startable(slot)
	if err != nil {
		return entriesState{}, err
	}
	s, err := l.state()
	if err != nil {
		return s, err
	}
	i := index(slot)
	text, at := entryText(slot, line), l.p.l.at(l.folder+1+uint32(i))
	old, err := l.p.read(at, clusterSize)
	if err != nil {
		return s, err
	}
	want := padded(text, clusterSize)
	if len(want) != clusterSize {
		return s, fmt.Errorf("%s of %s is too long", Cmdline, slot)
	}
	if bytes.Equal(old, want) && (!s.entries[i].live || s.entries[i].size == uint32(len(text))) {
		s.entries[i].size = uint32(len(text))
		return s, nil
	}
	if s.entries[i].live {
		s.entries[i] = entryState{size: clusterSize}
		if err := l.write(s); err != nil {
			return s, err
		}
	}
	s.entries[i].size = uint32(len(text))
	return s, l.p.write(want, at)
}

// next gives an entry the generation behind all others.
func (s *entriesState) next(i int) {
	other := &s.entries[1-i]
	n := 1 + max(s.entries[i].generation, other.generation)
	if n > maxGeneration {
		// After a million updates they begin again.
		n, other.generation = 2, 1
	}
	s.entries[i].generation = n
}

func (l *vmLoader) Arm(slot string) error {
	if err := refuseDefault(l, slot); err != nil {
		return err
	}
	s, err := l.prepare(slot)
	if err != nil {
		return err
	}
	i := index(slot)
	s.next(i)
	e := &s.entries[i]
	e.live, e.counted, e.left = true, true, 1
	return l.write(s)
}

func (l *vmLoader) Keep(slot string) error {
	if _, err := l.p.region(slot); err != nil {
		return err
	}
	i := index(slot)
	s, err := l.state()
	if err != nil {
		return err
	}
	if !s.entries[i].live {
		if s, err = l.prepare(slot); err != nil {
			return err
		}
	}
	e, other := &s.entries[i], s.entries[1-i]
	if !e.live || other.live && other.generation >= e.generation {
		s.next(i)
	}
	e.live, e.counted, e.left = true, false, 0
	return l.write(s)
}

func (l *vmLoader) Off(slot string) error {
	if err := refuseDefault(l, slot); err != nil {
		return err
	}
	s, err := l.state()
	if err != nil {
		return err
	}
	s.entries[index(slot)] = entryState{size: clusterSize}
	return l.write(s)
}
