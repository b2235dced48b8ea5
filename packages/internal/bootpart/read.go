package bootpart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// filler is the file that takes what a slot does not need.
const filler = "unused"

// run is count clusters from first on.
type run struct{ first, count uint32 }

// slotFile is a file of a slot.
type slotFile struct {
	item
	path string
	runs []run
}

// slotReader reads a slot's folders. Each cluster is read once at most, so that damage cannot make it long.
type slotReader struct {
	p       *Partition
	slot    string
	r       region
	entries []uint32
	seen    []bool
}

func (p *Partition) slotReader(slot string) (*slotReader, error) {
	r, err := p.region(slot)
	if err != nil {
		return nil, err
	}
	s := &slotReader{p: p, slot: slot, r: r, seen: make([]bool, r.count)}
	if s.entries, err = p.table(0, r.start, r.count); err != nil {
		return nil, err
	}
	second, err := p.table(1, r.start, r.count)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(s.entries, second) {
		return nil, s.damaged("its two FATs differ")
	}
	return s, nil
}

func (s *slotReader) damaged(why string) error {
	return fmt.Errorf("%s is damaged: %s", s.slot, why)
}

// chain returns where n bytes from a cluster on lie; n < 0: up to the end.
func (s *slotReader) chain(first uint32, n int64) ([]run, error) {
	if n == 0 && first == 0 {
		return nil, nil
	}
	var runs []run
	for c := first; ; {
		if !s.r.has(c) || s.seen[c-s.r.start] || n == 0 {
			return nil, s.damaged("its clusters are in disorder")
		}
		s.seen[c-s.r.start] = true
		if last := len(runs) - 1; last >= 0 && runs[last].first+runs[last].count == c {
			runs[last].count++
		} else {
			runs = append(runs, run{c, 1})
		}
		if n > 0 {
			n = max(0, n-clusterSize)
		}
		if c = s.entries[c-s.r.start] & fatMask; c < fatEnds {
			continue
		}
		if n > 0 {
			return nil, s.damaged("a file is shorter than it says")
		}
		return runs, nil
	}
}

// maxFolders bounds the clusters of a slot's folders: 2 MiB.
const maxFolders = 2 << 20 / clusterSize

// files returns the slot's files, sorted by path, without the filler.
func (s *slotReader) files() ([]slotFile, error) {
	type sub struct {
		path  string
		first uint32
		depth int
	}
	var files []slotFile
	count, folders := 0, uint32(0)
	for todo := []sub{{first: s.r.start}}; len(todo) > 0; todo = todo[1:] {
		runs, err := s.chain(todo[0].first, -1)
		if err != nil {
			return nil, err
		}
		var b []byte
		for _, r := range runs {
			if folders += r.count; folders > maxFolders {
				return nil, s.damaged("its folders are in disorder")
			}
			part, err := s.p.read(s.p.l.at(r.first), int(r.count)*clusterSize)
			if err != nil {
				return nil, err
			}
			b = append(b, part...)
		}
		for _, it := range parseFolder(b) {
			f := slotFile{item: it, path: path.Join(todo[0].path, it.name)}
			if count++; count > MaxFiles+1 || todo[0].depth >= MaxDepth || checkPath(f.path) != nil || strings.Contains(it.name, "/") {
				return nil, s.damaged("its folders are in disorder")
			}
			if it.attr&attrFolder != 0 {
				todo = append(todo, sub{f.path, it.first, todo[0].depth + 1})
				continue
			}
			if f.path == filler {
				continue
			}
			if f.runs, err = s.chain(it.first, int64(it.size)); err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b slotFile) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// chunk is how much is read and written at once.
const chunk = 1 << 20

// copy writes a file's content.
func (s *slotReader) copy(ctx context.Context, w io.Writer, f slotFile) error {
	left := int64(f.size)
	for _, r := range f.runs {
		for at, end := s.p.l.at(r.first), s.p.l.at(r.first+r.count); at < end && left > 0; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(chunk, end-at)
			b, err := s.p.read(at, int(n))
			if err != nil {
				return err
			}
			part := b[:min(n, left)]
			if _, err := w.Write(part); err != nil {
				return err
			}
			at, left = at+n, left-int64(len(part))
		}
	}
	return nil
}

// small returns a file's content, at most most bytes.
func (s *slotReader) small(f slotFile, most int) ([]byte, error) {
	if int64(f.size) > int64(most) {
		return nil, fmt.Errorf("%s of %s has %d bytes, more than %d", f.path, s.slot, f.size, most)
	}
	var b strings.Builder
	err := s.copy(context.Background(), &b, f)
	return []byte(b.String()), err
}

// ReadSlot writes a slot's boot part: the very bytes that WriteSlot got. Files named in s.Extra, Manifest and Signature are
// left out. It fails with ErrEmpty for an empty slot, and when the slot is damaged or another's.
func (p *Partition) ReadSlot(ctx context.Context, slot string, s Slot, w io.Writer) error {
	r, files, err := p.look(slot)
	if err != nil {
		return err
	}
	t := NewPartWriter(w)
	for _, f := range files {
		if _, extra := s.Extra[f.path]; extra || f.path == Manifest || f.path == Signature {
			continue
		}
		if f.path == Cmdline || f.path == Config {
			text, err := r.small(f, MaxCmdline)
			if err != nil {
				return err
			}
			if text, err = toPart(f.path, text, slot, s); err != nil {
				return err
			}
			if err := t.File(f.path, int64(len(text)), f.time); err != nil {
				return err
			}
			if _, err := t.Write(text); err != nil {
				return err
			}
			continue
		}
		if err := t.File(f.path, int64(f.size), f.time); err != nil {
			return err
		}
		if err := r.copy(ctx, t, f); err != nil {
			return err
		}
	}
	return t.Close()
}

// SlotFile returns a file of a slot as it is there, of at most MaxFile bytes. It fails with ErrNotFound, and with ErrEmpty
// too when there is no file at all.
func (p *Partition) SlotFile(slot, name string) ([]byte, error) {
	r, files, err := p.look(slot)
	if errors.Is(err, ErrEmpty) {
		return nil, fmt.Errorf("%w: %w", err, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return r.named(files, name)
}

// named returns the content of one of the files.
func (s *slotReader) named(files []slotFile, name string) ([]byte, error) {
	for _, f := range files {
		if same(f.path, name) {
			return s.small(f, MaxFile)
		}
	}
	return nil, fmt.Errorf("%s has no %s: %w", s.slot, name, ErrNotFound)
}

// look returns a slot's files. It fails with ErrEmpty when there are none.
func (p *Partition) look(slot string) (*slotReader, []slotFile, error) {
	r, err := p.slotReader(slot)
	if err != nil {
		return nil, nil, err
	}
	files, err := r.files()
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: %w", slot, ErrEmpty)
	}
	return r, files, err
}
