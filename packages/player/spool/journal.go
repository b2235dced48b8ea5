package spool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"porthole/packages/internal/durable"
)

const (
	journalFile       = "reports"
	dirMode, fileMode = 0o700, 0o600
	// maxLine bounds a line that is read back, in bytes: Done may name all reports. maxJournal bounds the file.
	maxLine    = 1 << 20
	maxJournal = 4 * MaxBytes
	// leastGarbage is how many bytes of what is done are left before the file is written anew.
	leastGarbage = 256 << 10
)

// journal is a file of lines, each with its checksum in front. What follows the last whole line is what a power cut left of
// it: it was not on the disk yet.
type journal struct {
	dir  string
	f    *os.File
	size int64
	// whole says that the file is as it should be; else it is written anew.
	whole bool
}

// line is a report that came, or some that went.
type line struct {
	Add  *Report  `json:"add,omitempty"`
	Done []string `json:"done,omitempty"`
	// Lost of those that went were given up, or before the file was written anew.
	Lost int `json:"lost,omitempty"`
}

// contents are what a journal says.
type contents struct {
	reports []Report
	lost    int
}

func (j *journal) path() string { return filepath.Join(j.dir, journalFile) }

// read returns what the file says. What cannot be read is left out.
func (j *journal) read() (contents, error) {
	f, err := os.Open(j.path())
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil
	}
	if err != nil {
		return contents{}, fmt.Errorf("read reports: %w", err)
	}
	defer f.Close()
	c, damaged := parse(io.LimitReader(f, maxJournal))
	if damaged > 0 {
		return c, fmt.Errorf("read reports: %d lines are damaged", damaged)
	}
	return c, nil
}

// parse reads lines, and counts those that are not what was written. A last one without an end is not counted: the power
// went while it was written.
func parse(r io.Reader) (c contents, damaged int) {
	at := map[string]int{}
	gone := 0
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		b, err := readLine(br)
		if err != nil {
			break
		}
		l, ok := parseLine(b)
		if !ok {
			damaged++
			continue
		}
		c.lost += max(l.Lost, 0)
		if l.Add != nil && l.Add.ID != "" && len(l.Add.Body) > 0 && l.Add.size() <= MaxReport {
			if _, known := at[l.Add.ID]; !known {
				at[l.Add.ID] = len(c.reports)
				c.reports = append(c.reports, *l.Add)
			}
		}
		for _, id := range l.Done {
			if n, known := at[id]; known {
				c.reports[n].ID = ""
				delete(at, id)
				gone++
			}
		}
	}
	if gone > 0 {
		kept := make([]Report, 0, len(c.reports)-gone)
		for _, r := range c.reports {
			if r.ID != "" {
				kept = append(kept, r)
			}
		}
		c.reports = kept
	}
	return c, damaged
}

// readLine reads a line without its end; one that is too long is empty.
func readLine(br *bufio.Reader) ([]byte, error) {
	var b []byte
	for {
		piece, err := br.ReadSlice('\n')
		if len(b)+len(piece) <= maxLine {
			b = append(b, piece...)
		}
		if err == nil {
			return bytes.TrimSuffix(b, []byte("\n")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

func parseLine(b []byte) (line, bool) {
	sum, body, ok := bytes.Cut(b, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || uint32(want) != crc32.ChecksumIEEE(body) {
		return line{}, false
	}
	var l line
	if json.Unmarshal(body, &l) != nil {
		return line{}, false
	}
	return l, true
}

func (l line) append(b []byte) ([]byte, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write reports: %w", err)
	}
	b = fmt.Appendf(b, "%08x ", crc32.ChecksumIEEE(body))
	return append(append(b, body...), '\n'), nil
}

// write adds lines, or writes the whole file anew with all the reports there are where that is due. What it has written is
// on the disk when it returns nil.
func (j *journal) write(lines []line, all []Report, lost int) error {
	if j.whole {
		var b []byte
		var err error
		for _, l := range lines {
			if b, err = l.append(b); err != nil {
				return err
			}
		}
		live := int64(0)
		for _, r := range all {
			live += int64(r.size())
		}
		if j.size+int64(len(b)) < 2*live+leastGarbage {
			return j.extend(b)
		}
	}
	return j.renew(all, lost)
}

func (j *journal) extend(b []byte) error {
	n, err := j.f.Write(b)
	j.size += int64(n)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		j.whole = false // the file may end in the middle of a line
		return fmt.Errorf("write reports: %w", err)
	}
	return nil
}

// renew writes the file anew.
func (j *journal) renew(all []Report, lost int) error {
	j.whole = false
	b, err := line{Lost: lost}.append(nil)
	if err != nil {
		return err
	}
	for _, r := range all {
		if b, err = (line{Add: &r}).append(b); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(j.dir, dirMode); err != nil {
		return fmt.Errorf("make folder for reports: %w", err)
	}
	j.close()
	if err := durable.WriteFile(j.path(), b, fileMode); err != nil {
		return err
	}
	f, err := os.OpenFile(j.path(), os.O_WRONLY|os.O_APPEND, fileMode)
	if err != nil {
		return fmt.Errorf("write reports: %w", err)
	}
	j.f, j.size, j.whole = f, int64(len(b)), true
	return nil
}

func (j *journal) close() {
	if j.f != nil {
		j.f.Close()
		j.f = nil
	}
}
