package bootpart

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
)

// An entry of a folder (Microsoft FAT specification 1.03, sections 6 and 7).
const (
	entrySize = 32
	longChars = 13 // of a name in one entry

	attrReadOnly = 0x01
	attrHidden   = 0x02
	attrSystem   = 0x04
	attrLabel    = 0x08
	attrFolder   = 0x10
	attrArchive  = 0x20
	attrLong     = 0x0f

	entryEnd     = 0x00
	entryDeleted = 0xe5
	lastLong     = 0x40

	volumeLabel = "PORTHOLE   "
)

// item is what a folder says of a file or a folder in it.
type item struct {
	name  string
	attr  byte
	first uint32 // cluster; 0 for an empty file
	size  uint32 // bytes; 0 for a folder
	time  time.Time
}

// minTime and maxTime are what FAT's dates can say.
var (
	minTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2107, 12, 31, 23, 59, 59, 0, time.UTC)
)

func checkTime(t time.Time) error {
	if t.Before(minTime) || t.After(maxTime) {
		return fmt.Errorf("the time %s is not between 1980 and 2107", t.UTC().Format(time.DateTime))
	}
	return nil
}

// short encodes an item under a short name.
func (it item) short(s shortName, flags byte) []byte {
	b := make([]byte, entrySize)
	copy(b, s[:])
	b[11], b[12] = it.attr, flags
	t := it.time.UTC()
	date := uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day())
	clock := uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
	le := binary.LittleEndian
	// Only the time of creation knows odd seconds. Nobody changes it.
	b[13] = byte(t.Second()%2) * 100
	le.PutUint16(b[14:], clock)
	le.PutUint16(b[16:], date)
	le.PutUint16(b[18:], date)
	le.PutUint16(b[20:], uint16(it.first>>16))
	le.PutUint16(b[22:], clock)
	le.PutUint16(b[24:], date)
	le.PutUint16(b[26:], uint16(it.first))
	le.PutUint32(b[28:], it.size)
	return b
}

// long encodes the entries of a long name, which come before the short one's.
func long(name string, s shortName) []byte {
	units := utf16.Encode([]rune(name))
	n := (len(units) + longChars - 1) / longChars
	if len(units)%longChars != 0 {
		units = append(units, 0)
	}
	for len(units) < n*longChars {
		units = append(units, 0xffff)
	}
	var out []byte
	for i := n; i >= 1; i-- {
		b := make([]byte, entrySize)
		b[0], b[11], b[13] = byte(i), attrLong, s.sum()
		if i == n {
			b[0] |= lastLong
		}
		for j, u := range units[(i-1)*longChars : i*longChars] {
			binary.LittleEndian.PutUint16(b[longOffset(j):], u)
		}
		out = append(out, b...)
	}
	return out
}

// longOffset is where character i lies in an entry of a long name.
func longOffset(i int) int {
	switch {
	case i < 5:
		return 1 + 2*i
	case i < 11:
		return 14 + 2*(i-5)
	default:
		return 28 + 2*(i-11)
	}
}

// encodeFolder returns a folder's content: whole clusters, those behind the last entry zero. Self is its first cluster and
// parent that of the folder above, 0 for the root folder; the root folder (self 0) has a volume's label instead.
func encodeFolder(self, parent uint32, at time.Time, items []item) []byte {
	var out []byte
	if self == 0 {
		out = append(out, item{attr: attrLabel, time: at}.short(shortName([]byte(volumeLabel)), 0)...)
	} else {
		dot := item{attr: attrFolder, first: self, time: at}
		out = append(out, dot.short(makeShort(".", ""), 0)...)
		dot.first = parent
		out = append(out, dot.short(makeShort("..", ""), 0)...)
	}
	var names []string
	for _, it := range items {
		names = append(names, it.name)
	}
	a := newAliases(names)
	for _, it := range items {
		s, flags, isLong, fits := fitShort(it.name)
		if !fits {
			s = a.of(it.name)
		}
		if isLong {
			out = append(out, long(it.name, s)...)
		}
		out = append(out, it.short(s, flags)...)
	}
	return padded(out, clusterSize)
}

// padded appends zeros up to a multiple of unit.
func padded(b []byte, unit int) []byte {
	return append(b, make([]byte, (unit-len(b)%unit)%unit)...)
}

// parseFolder reads a folder's entries up to its end, but for labels, deleted ones, "." and "..". What is not understood is
// left out, as every other reader does.
func parseFolder(b []byte) []item {
	var items []item
	var name longName
	for ; len(b) >= entrySize; b = b[entrySize:] {
		e := b[:entrySize]
		if e[0] == entryEnd {
			break
		}
		if e[0] == entryDeleted {
			name = longName{}
			continue
		}
		if e[11]&0x3f == attrLong {
			name.add(e)
			continue
		}
		full, ok := name.text(shortName(e[:11]))
		name = longName{}
		if e[11]&attrLabel != 0 || e[0] == '.' {
			continue
		}
		if !ok {
			full = shortName(e[:11]).text(e[12])
		}
		le := binary.LittleEndian
		items = append(items, item{
			name: full, attr: e[11], size: le.Uint32(e[28:]), time: decodeTime(e),
			first: (uint32(le.Uint16(e[20:]))<<16 | uint32(le.Uint16(e[26:]))) & fatMask,
		})
	}
	return items
}

// longName collects the entries of a long name.
type longName struct {
	units []uint16
	next  byte // the number that must come next; 0: none
	sum   byte
	whole bool
}

func (l *longName) add(e []byte) {
	n := e[0] &^ lastLong
	if e[0]&lastLong != 0 {
		*l = longName{next: n, sum: e[13]}
	}
	if n == 0 || n > 20 || n != l.next || e[13] != l.sum {
		*l = longName{}
		return
	}
	units := make([]uint16, longChars, longChars+len(l.units))
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(e[longOffset(i):])
	}
	l.units = append(units, l.units...)
	l.next--
	l.whole = l.next == 0
}

// text returns the name, if it is whole and that of the short one.
func (l *longName) text(s shortName) (string, bool) {
	if !l.whole || l.sum != s.sum() {
		return "", false
	}
	units := l.units
	for i, u := range units {
		if u == 0 {
			units = units[:i]
			break
		}
	}
	return string(utf16.Decode(units)), len(units) > 0
}

// decodeTime reads the time of creation: the only one that Linux and PCs leave as it is, and that knows odd seconds.
func decodeTime(e []byte) time.Time {
	clock, date := binary.LittleEndian.Uint16(e[14:]), binary.LittleEndian.Uint16(e[16:])
	return time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31), int(clock>>11), int(clock>>5&63),
		2*int(clock&31)+int(e[13])/100, 0, time.UTC)
}

// same tells whether two names are one to FAT.
func same(a, b string) bool { return strings.EqualFold(a, b) }
