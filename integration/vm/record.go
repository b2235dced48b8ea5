package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// The log of QEMU's driver blklogwrites is that of Linux' dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst):
// a superblock, then the entries, each a sector with its head and the sectors it wrote. An entry is logged when its write
// or flush is complete, and before the guest is told so.
const (
	logMagic   = 0x6a736677736872
	logVersion = 1

	logFlush   = 1 << 0
	logFUA     = 1 << 1
	logDiscard = 1 << 2

	logKnown = logFlush | logFUA | logDiscard

	// maxWrite bounds one entry; QEMU splits larger ones long before.
	maxWrite = 1 << 30 / sectorSize
)

// Entry is one request of a guest to its disk.
type Entry struct {
	// Sector and Sectors are where it wrote, in sectors of 512 bytes.
	Sector, Sectors int64
	// Flush says that all entries before it are on the medium; FUA that this one is.
	Flush, FUA bool
	// Discard says that what is in the sectors does not matter any more. QEMU leaves them as they are.
	Discard bool
	// at is where it begins in the log, in bytes.
	at int64
}

// Recording is what a machine did to its disk, request by request, from a state that it began with. From it the disk can
// be made as it is when the power is cut at any moment: unlike the disk of a machine that is killed, without what was
// written but not flushed.
type Recording struct {
	// Entries are all requests in the order in which they were complete.
	Entries []Entry

	base string
	log  *os.File
}

// OpenRecording reads the log that a machine with Options.Record has left. base is a copy of its disk from before its start.
func OpenRecording(base, log string) (*Recording, error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	entries, err := readLog(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read recording: %w", err)
	}
	return &Recording{Entries: entries, base: base, log: f}, nil
}

// Close closes the log.
func (r *Recording) Close() { r.log.Close() }

func readLog(f *os.File) ([]Entry, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, sectorSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint64(head) != logMagic || le.Uint64(head[8:]) != logVersion || le.Uint32(head[24:]) != sectorSize {
		return nil, fmt.Errorf("its superblock is not one of a log of writes in sectors of %d bytes: % x", sectorSize, head[:28])
	}
	atLeast := le.Uint64(head[16:])
	var entries []Entry
	for at := int64(sectorSize); at+sectorSize <= info.Size(); {
		if _, err := f.ReadAt(head, at); err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(entries), err)
		}
		flags := le.Uint64(head[16:])
		e := Entry{Sector: int64(le.Uint64(head)), Sectors: int64(le.Uint64(head[8:])), at: at,
			Flush: flags&logFlush != 0, FUA: flags&logFUA != 0, Discard: flags&logDiscard != 0}
		if flags == 0 && e.Sectors == 0 {
			break // room for an entry that was never written
		}
		if flags&^logKnown != 0 || e.Sectors < 0 || e.Sectors > maxWrite && !e.Discard || e.Sector < 0 {
			return nil, fmt.Errorf("entry %d at byte %d makes no sense: % x", len(entries), at, head[:32])
		}
		at += sectorSize
		if !e.Discard {
			at += e.Sectors * sectorSize
		}
		if at > info.Size() {
			break
		}
		entries = append(entries, e)
	}
	// The superblock is written at a flush.
	if uint64(len(entries)) < atLeast {
		return nil, fmt.Errorf("it has %d entries, and its superblock tells of %d", len(entries), atLeast)
	}
	return entries, nil
}

// Durable returns how many entries, from the first on, were certainly on the medium when the log was size bytes long
// (Machine.Recorded): those up to the last flush. What a device acknowledged then must be among them.
func (r *Recording) Durable(size int64) int {
	n := 0
	for i, e := range r.Entries {
		if e.at >= size {
			break
		}
		if e.Flush {
			n = i + 1
		}
	}
	return n
}

// Writes returns the numbers of the entries that wrote into a part of the disk, given in bytes.
func (r *Recording) Writes(start, size int64) []int {
	var list []int
	for i, e := range r.Entries {
		if e.Sectors > 0 && !e.Discard && e.Sector*sectorSize < start+size && (e.Sector+e.Sectors)*sectorSize > start {
			list = append(list, i)
		}
	}
	return list
}

// Data returns what an entry wrote.
func (r *Recording) Data(i int) ([]byte, error) {
	e := r.Entries[i]
	if e.Discard {
		return nil, nil
	}
	b := make([]byte, e.Sectors*sectorSize)
	if _, err := r.log.ReadAt(b, e.at+sectorSize); err != nil {
		return nil, fmt.Errorf("read entry %d of the recording: %w", i, err)
	}
	return b, nil
}

// Loss is what a power cut does to writes that no flush has followed.
type Loss string

// What a power cut does.
const (
	// Nothing is lost: the medium has every write up to the cut, as if it had no cache.
	Nothing Loss = "nothing lost"
	// Everything since the last flush is lost.
	Everything Loss = "everything lost since the flush"
	// Torn loses every other sector since the last flush, as chance has it.
	Torn Loss = "torn"
	// Reordered loses the older half of the writes since the last flush; the newer is on the medium.
	Reordered Loss = "reordered"
)

// Losses are all kinds.
func Losses() []Loss { return []Loss{Everything, Torn, Reordered, Nothing} }

// Cut is a moment in a recording at which the power goes.
type Cut struct {
	// After is how many entries were complete.
	After int
	Loss  Loss
}

// String says it as tests print it.
func (c Cut) String() string { return fmt.Sprintf("after %d requests, %s", c.After, c.Loss) }

// Flushed returns how many entries a cut cannot take: those up to the last flush before it.
func (r *Recording) Flushed(c Cut) int {
	for i := min(c.After, len(r.Entries)) - 1; i >= 0; i-- {
		if r.Entries[i].Flush {
			return i + 1
		}
	}
	return 0
}

// BeforeFlush returns the last moment before the first flush that follows the first n entries: everything since the flush
// before may be lost.
func (r *Recording) BeforeFlush(n int) int {
	for i := n; i < len(r.Entries); i++ {
		if r.Entries[i].Flush {
			return i
		}
	}
	return len(r.Entries)
}

// Replay writes the disk as it is after a cut to path.
func (r *Recording) Replay(c Cut, path string) error {
	if err := CopyDisk(r.base, path, 0); err != nil {
		return err
	}
	disk, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open disk: %w", err)
	}
	defer disk.Close()
	after := min(c.After, len(r.Entries))
	flushed := r.Flushed(c)
	// The same cut is the same disk every time.
	chance := rand.New(rand.NewPCG(1, uint64(after))) //nolint:gosec // nothing secret
	newer := flushed + (after-flushed)/2
	for i, e := range r.Entries[:after] {
		keep := func() bool { return true }
		if i >= flushed && !e.FUA {
			switch c.Loss {
			case Everything:
				keep = func() bool { return false }
			case Reordered:
				keep = func() bool { return i >= newer }
			case Torn:
				keep = func() bool { return chance.IntN(2) == 0 }
			case Nothing:
			default:
				return fmt.Errorf("no power cut has the loss %q", c.Loss)
			}
		}
		data, err := r.Data(i)
		if err != nil {
			return err
		}
		if err := writeSectors(disk, e.Sector*sectorSize, data, keep); err != nil {
			return err
		}
	}
	return disk.Close()
}

// writeSectors writes the sectors of data that keep lets through, as few writes as can be.
func writeSectors(w io.WriterAt, at int64, data []byte, keep func() bool) error {
	for len(data) > 0 {
		n := 0
		for n < len(data) && keep() {
			n += sectorSize
		}
		if n > 0 {
			if _, err := w.WriteAt(data[:n], at); err != nil {
				return fmt.Errorf("replay: %w", err)
			}
		}
		// The sector that stopped the loop is lost.
		n = min(n+sectorSize, len(data))
		data, at = data[n:], at+int64(n)
	}
	return nil
}

// SameDisk compares two disks byte for byte and says where they differ first.
func SameDisk(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return fmt.Errorf("open disk: %w", err)
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return fmt.Errorf("open disk: %w", err)
	}
	defer fb.Close()
	ba, bb := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; {
		na, erra := io.ReadFull(fa, ba)
		nb, errb := io.ReadFull(fb, bb)
		if na != nb || !bytes.Equal(ba[:na], bb[:nb]) {
			i := 0
			for i < min(na, nb) && ba[i] == bb[i] {
				i++
			}
			return fmt.Errorf("the disks differ at byte %d", at+int64(i))
		}
		at += int64(na)
		if erra != nil || errb != nil {
			if !done(erra) || !done(errb) {
				return errors.Join(erra, errb)
			}
			return nil
		}
	}
}

func done(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
