package bootpart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A boot part is a tar in its one canonical form, so that a slot's part can be made again from the slot, to the byte: regular
// files with mode 0644, owned by root, sorted by path; USTAR headers (POSIX.1-1988) and two blocks of zeros at the end.

// PartWriter writes a boot part.
type PartWriter struct {
	w    io.Writer
	last string
	left int64
	fill int
}

// NewPartWriter returns a writer of a boot part. Call File and Write for each file in the order of paths, then Close.
func NewPartWriter(w io.Writer) *PartWriter { return &PartWriter{w: w} }

// File begins a file of size bytes; at is its time, from 1980 to 2107, of which whole seconds count.
func (t *PartWriter) File(name string, size int64, at time.Time) error {
	if err := errors.Join(checkPath(name), checkTime(at)); err != nil {
		return fmt.Errorf("%w: %w", ErrPart, err)
	}
	if name <= t.last {
		return fmt.Errorf("%w: %q comes after %q", ErrPart, name, t.last)
	}
	if err := t.pad(); err != nil {
		return err
	}
	t.last, t.left, t.fill = name, size, int(-size&(sectorSize-1))
	h := partHeader(name, size, at.Unix())
	_, err := t.w.Write(h[:])
	return err
}

// Write writes a piece of the file.
func (t *PartWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > t.left {
		return 0, fmt.Errorf("%w: %q is longer than was said", ErrPart, t.last)
	}
	n, err := t.w.Write(p)
	t.left -= int64(n)
	return n, err
}

func (t *PartWriter) pad() error {
	if t.left > 0 {
		return fmt.Errorf("%w: %q is shorter than was said", ErrPart, t.last)
	}
	_, err := t.w.Write(make([]byte, t.fill))
	t.fill = 0
	return err
}

// Close ends the part.
func (t *PartWriter) Close() error {
	if err := t.pad(); err != nil {
		return err
	}
	_, err := t.w.Write(make([]byte, 2*sectorSize))
	return err
}

// partHeader returns a file's header. The time is in seconds since 1970.
func partHeader(name string, size, seconds int64) [sectorSize]byte {
	var h [sectorSize]byte
	copy(h[:100], name)
	copy(h[100:], "0000644")
	copy(h[108:], "0000000") // owner
	copy(h[116:], "0000000") // group
	copy(h[124:], fmt.Sprintf("%011o", size))
	copy(h[136:], fmt.Sprintf("%011o", seconds))
	copy(h[148:], "        ") // the check sum's place counts as spaces
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000")
	copy(h[337:], "0000000")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00", sum))
	return h
}

// partFile is a file of a boot part.
type partFile struct {
	name string
	size int64
	time time.Time
}

// partReader reads a boot part. Whatever is not canonical is an error.
type partReader struct {
	//nolint:containedctx // ends reading when its context does; lives as long as one WriteSlot
	ctx  context.Context
	r    io.Reader
	tell func(int64)
	done int64 // bytes read
	last string
	left int64
	fill int64
}

func (t *partReader) readFull(b []byte) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	n, err := io.ReadFull(t.r, b)
	t.done += int64(n)
	if t.tell != nil {
		t.tell(t.done)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends in the middle", ErrPart)
	}
	if err != nil {
		return fmt.Errorf("receive the boot part: %w", err)
	}
	return nil
}

// next returns the next file, and false behind the last one. The former one must have been read.
func (t *partReader) next() (partFile, bool, error) {
	var h [sectorSize]byte
	if t.fill > 0 {
		if err := t.readFull(h[:t.fill]); err != nil {
			return partFile{}, false, err
		}
		if !allZero(h[:t.fill]) {
			return partFile{}, false, fmt.Errorf("%w: something stands between its files", ErrPart)
		}
		h = [sectorSize]byte{}
	}
	if err := t.readFull(h[:]); err != nil {
		return partFile{}, false, err
	}
	if allZero(h[:]) {
		return partFile{}, false, t.end()
	}
	name, _, _ := bytes.Cut(h[:100], []byte{0})
	f := partFile{name: string(name)}
	size, sizeOK := octal(h[124:136])
	seconds, timeOK := octal(h[136:148])
	f.size, f.time = size, time.Unix(seconds, 0).UTC()
	if !sizeOK || !timeOK || h != partHeader(f.name, size, seconds) {
		return f, false, fmt.Errorf("%w: it is not a tar as Porthole's builds make it, at %.40q", ErrPart, f.name)
	}
	if err := errors.Join(checkPath(f.name), checkTime(f.time)); err != nil {
		return f, false, fmt.Errorf("%w: %w", ErrPart, err)
	}
	if f.name <= t.last {
		return f, false, fmt.Errorf("%w: its files are not sorted, at %q", ErrPart, f.name)
	}
	t.last, t.left, t.fill = f.name, f.size, -f.size&(sectorSize-1)
	return f, true, nil
}

// end checks what comes behind the files.
func (t *partReader) end() error {
	var b [sectorSize]byte
	if err := t.readFull(b[:]); err != nil {
		return err
	}
	n, err := io.ReadFull(t.r, b[:1])
	if n != 0 || !allZero(b[1:]) {
		return fmt.Errorf("%w: something stands behind its end", ErrPart)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("receive the boot part: %w", err)
	}
	return nil
}

// octal reads eleven digits and a zero byte.
func octal(b []byte) (int64, bool) {
	var n int64
	for _, c := range b[:11] {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int64(c-'0')
	}
	return n, b[11] == 0
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// Placeholders of a boot part.
const (
	anySlot = "SLOT"
	rootArg = "root="
	byUUID  = rootArg + "PARTUUID="
	prefix  = "os_prefix="
)

// toSlot makes a slot's cmdline.txt or config.txt of the part's.
func toSlot(name string, text []byte, slot string, s Slot) ([]byte, error) {
	var out []byte
	if name == Cmdline {
		out = bytes.Replace(text, []byte(rootArg+anySlot), []byte(byUUID+s.PartUUID), 1)
	} else {
		out = bytes.Replace(text, []byte(prefix+anySlot+"/\n"), []byte(prefix+slot+"/\n"), 1)
		if len(out) <= MaxConfig {
			out = append(out, bytes.Repeat([]byte("\n"), MaxConfig-len(out))...)
		}
	}
	if len(out) > MaxCmdline || name == Config && len(out) != MaxConfig {
		return nil, fmt.Errorf("%w: its %s is too long", ErrPart, name)
	}
	// What cannot be undone is not what is expected: a line too many, no placeholder or two.
	if back, err := toPart(name, out, slot, s); err != nil || !bytes.Equal(back, text) {
		return nil, fmt.Errorf("%w: its %s does not name the slot, once, where it should", ErrPart, name)
	}
	return out, nil
}

// toPart makes the part's file of a slot's.
func toPart(name string, text []byte, slot string, s Slot) ([]byte, error) {
	wrong := fmt.Errorf("%s of %s is not that of a slot", name, slot)
	if name == Config {
		lines, ok := bytes.CutPrefix(text, []byte(prefix+slot+"/\n"))
		if !ok || len(text) != MaxConfig || bytes.Contains(lines, []byte(prefix)) {
			return nil, wrong
		}
		// Nobody pads with anything else, and the part has no empty lines at its end.
		return append([]byte(prefix+anySlot+"/\n"+string(bytes.TrimRight(lines, "\n"))), '\n'), nil
	}
	line, ok := strings.CutSuffix(string(text), "\n")
	if !ok || len(text) > MaxCmdline || strings.ContainsAny(line, "\r\n\x00") {
		return nil, wrong
	}
	words, found := strings.Split(line, " "), 0
	for i, w := range words {
		if strings.HasPrefix(w, rootArg) {
			if found++; w != byUUID+s.PartUUID {
				return nil, wrong
			}
			words[i] = rootArg + anySlot
		}
	}
	if found != 1 {
		return nil, wrong
	}
	return []byte(strings.Join(words, " ") + "\n"), nil
}
