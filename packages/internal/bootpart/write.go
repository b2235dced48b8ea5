package bootpart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// partUUID is what Linux calls a partition of an MBR or a GPT.
var partUUID = regexp.MustCompile(`^[0-9a-f-]{6,36}$`)

// slotWriter writes a slot. Every write goes through write, which lets none leave the slot's region.
type slotWriter struct {
	p       *Partition
	slot    string
	r       region
	head    uint32 // clusters for folders, at the region's begin
	entries table
	t       *tree

	// What is not written yet, and where it goes: files lie one behind the other.
	buf []byte
	at  int64
	end uint32 // the first cluster behind the files
}

// WriteSlot writes a boot part to a slot that does not run and that the loader has off. Progress, if not nil, gets how many
// bytes of the part are done. It fails with ErrPart for what is not a boot part as PartWriter makes them, or does not fit. The
// slot is empty then, as it is after a power cut; nothing else on the partition is touched.
func (p *Partition) WriteSlot(ctx context.Context, slot string, boot io.Reader, s Slot, progress func(int64)) error {
	r, err := p.region(slot)
	if err != nil {
		return err
	}
	if !partUUID.MatchString(s.PartUUID) {
		return fmt.Errorf("%q names no partition", s.PartUUID)
	}
	for name, data := range s.Extra {
		if checkPath(name) != nil || strings.Contains(name, "/") || same(name, filler) || len(data) > MaxFile {
			return fmt.Errorf("%q cannot be added to a slot", name)
		}
	}
	// Folders get a sixteenth of the room, up to 1 MiB: 512 folders, or 32768 short names.
	w := &slotWriter{p: p, slot: slot, r: r, head: min(r.count/16, 512), entries: table{r.start, make([]uint32, r.count)}}
	if err := w.empty(); err != nil {
		return err
	}
	w.end = r.start + w.head
	w.at = p.l.at(w.end)
	at, err := w.receive(&partReader{ctx: ctx, r: boot, tell: progress}, s)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Extra)) {
		if err := w.file(partFile{name, int64(len(s.Extra[name])), at}, func(b []byte) error {
			copy(b, s.Extra[name])
			return nil
		}); err != nil {
			return err
		}
	}
	if err := errors.Join(w.flush(), ctx.Err()); err != nil {
		return err
	}
	return w.finish(at)
}

// write writes sectors of the region's clusters, or of the FATs about them.
func (w *slotWriter) write(b []byte, at int64) error {
	l, end := w.p.l, at+int64(len(b))
	within := func(from, to int64) bool { return at >= from && end <= to }
	last := w.r.start + w.r.count
	if len(b)%sectorSize != 0 || at%sectorSize != 0 || !within(l.at(w.r.start), l.at(last)) &&
		!within(l.fatAt(0, w.r.start), l.fatAt(0, last)) && !within(l.fatAt(1, w.r.start), l.fatAt(1, last)) {
		//nolint:forbidigo // a bug, and the last moment to keep it from the system that runs
		panic(fmt.Sprintf("bootpart: a write of %d bytes at %d would leave %s", len(b), at, w.slot))
	}
	if _, err := w.p.m.WriteAt(b, at); err != nil {
		return fmt.Errorf("write %s: %w", w.slot, err)
	}
	return nil
}

func (w *slotWriter) sync() error {
	if err := w.p.m.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", w.slot, err)
	}
	return nil
}

// fats writes both FATs' sectors about the region.
func (w *slotWriter) fats() error {
	b := w.entries.bytes()
	for i := range 2 {
		if err := w.write(b, w.p.l.fatAt(i, w.r.start)); err != nil {
			return err
		}
	}
	return nil
}

// empty makes the slot hold nothing but the filler: first, by one sector, for whoever would start it, then thoroughly.
func (w *slotWriter) empty() error {
	folder := emptySlot(w.r, minTime)
	if err := errors.Join(w.write(folder[:sectorSize], w.p.l.at(w.r.start)), w.sync()); err != nil {
		return err
	}
	w.entries.empty()
	return errors.Join(w.write(folder, w.p.l.at(w.r.start)), w.fats(), w.sync())
}

// emptySlot returns the folder of an empty slot.
func emptySlot(r region, at time.Time) []byte {
	return encodeFolder(r.start, 0, at, []item{fillerItem(r.start+1, r.count-1, at)})
}

// empty makes the table that of an empty slot.
func (t table) empty() {
	t.chain(t.base, 1)
	t.chain(t.base+1, uint32(len(t.entries))-1)
}

func fillerItem(first, clusters uint32, at time.Time) item {
	return item{name: filler, attr: attrReadOnly | attrHidden | attrSystem, first: first, size: clusters * clusterSize, time: at}
}

// receive writes the part's files and returns the time of the latest.
func (w *slotWriter) receive(part *partReader, s Slot) (time.Time, error) {
	at := minTime
	w.t = newTree(at)
	var found []string
	for {
		f, more, err := part.next()
		if err != nil {
			return at, err
		}
		if !more {
			break
		}
		if f.time.After(at) {
			at = f.time
		}
		switch _, extra := s.Extra[f.name]; {
		case extra || same(f.name, filler) || same(f.name, Manifest) || same(f.name, Signature):
			return at, fmt.Errorf("%w: it has a file %q, which is none of its", ErrPart, f.name)
		case f.name == Cmdline || f.name == Config:
			err = w.changed(f, part, s)
		default:
			err = w.file(f, part.readFull)
		}
		if err != nil {
			return at, err
		}
		found = append(found, f.name)
	}
	for _, name := range []string{Kernel, Cmdline} {
		if !slices.Contains(found, name) {
			return at, fmt.Errorf("%w: it has no %s", ErrPart, name)
		}
	}
	return at, nil
}

// changed writes a file that says which slot it is in.
func (w *slotWriter) changed(f partFile, part *partReader, s Slot) error {
	if f.size > MaxCmdline {
		return fmt.Errorf("%w: its %s is too long", ErrPart, f.name)
	}
	text := make([]byte, f.size)
	if err := part.readFull(text); err != nil {
		return err
	}
	text, err := toSlot(f.name, text, w.slot, s)
	if err != nil {
		return err
	}
	f.size = int64(len(text))
	return w.file(f, func(b []byte) error {
		text = text[copy(b, text):]
		return nil
	})
}

// file writes a file whose content fill gives, piece by piece.
func (w *slotWriter) file(f partFile, fill func([]byte) error) error {
	// One cluster is the filler's.
	room := int64(w.r.start+w.r.count-w.end-1) * clusterSize
	if f.size > room {
		return fmt.Errorf("%w: its files need more than the %d MB of a slot", ErrPart, int64(w.r.count)*clusterSize>>20)
	}
	it := item{attr: attrArchive, size: uint32(f.size), time: f.time}
	if f.size > 0 {
		it.first = w.end
	}
	if err := w.t.add(f.name, it); err != nil {
		return fmt.Errorf("%w: %w", ErrPart, err)
	}
	clusters := uint32((f.size + clusterSize - 1) / clusterSize)
	if clusters > 0 {
		w.entries.chain(w.end, clusters)
	}
	w.end += clusters
	for left := f.size; left > 0; {
		if len(w.buf) == chunk {
			if err := w.flush(); err != nil {
				return err
			}
		}
		if w.buf == nil {
			w.buf = make([]byte, 0, chunk)
		}
		n := min(int64(chunk-len(w.buf)), left)
		w.buf = w.buf[:len(w.buf)+int(n)]
		if err := fill(w.buf[len(w.buf)-int(n):]); err != nil {
			return err
		}
		left -= n
	}
	for len(w.buf)%clusterSize != 0 {
		w.buf = append(w.buf, 0)
	}
	return nil
}

// flush writes what has come together.
func (w *slotWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if err := w.write(w.buf, w.at); err != nil {
		return err
	}
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// finish makes the files be there: behind what they hold go the FATs and folders, and behind those the first sector of
// the slot's folder.
func (w *slotWriter) finish(at time.Time) error {
	w.t.at = at
	for _, f := range w.t.folders {
		for i := range f.items {
			if f.items[i].attr&attrFolder != 0 {
				f.items[i].time = at
			}
		}
	}
	// The filler's place and size are known once the folders have theirs.
	if err := w.t.add(filler, fillerItem(0, 0, at)); err != nil {
		return fmt.Errorf("%w: %w", ErrPart, err)
	}
	used := uint32(0)
	if err := w.t.place(func(n uint32) (uint32, error) {
		if used+n > w.head {
			return 0, fmt.Errorf("%w: %w", ErrPart, errNoRoom)
		}
		first := w.r.start + used
		w.entries.chain(first, n)
		used += n
		return first, nil
	}); err != nil {
		return err
	}
	w.fill(used, at)
	if err := w.sync(); err != nil {
		return err
	}
	folders := w.t.encode(false)
	top := folders[w.r.start]
	delete(folders, w.r.start)
	for _, first := range slices.Sorted(maps.Keys(folders)) {
		if err := w.write(folders[first], w.p.l.at(first)); err != nil {
			return err
		}
	}
	if err := errors.Join(w.fats(), w.write(top[sectorSize:], w.p.l.at(w.r.start)+sectorSize), w.sync()); err != nil {
		return err
	}
	return errors.Join(w.write(top[:sectorSize], w.p.l.at(w.r.start)), w.sync())
}

// fill gives the filler all clusters that are left, behind the folders and behind the files.
func (w *slotWriter) fill(folders uint32, at time.Time) {
	head, first := w.r.start+w.head, w.r.start+folders
	tail := w.r.start + w.r.count - w.end
	*w.t.file(filler) = fillerItem(first, head-first+tail, at)
	w.entries.chain(w.end, tail)
	if first == head {
		w.t.file(filler).first = w.end
		return
	}
	w.entries.chain(first, head-first)
	w.entries.entries[head-1-w.r.start] = w.end
}
