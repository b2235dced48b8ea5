// Package trialjournal tells how far a version on trial has come, for the version before it, which reads it if that one
// does not get through (packages/system/update). There is a journal only while a version is on trial.
package trialjournal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

const (
	// MaxSize is how large a journal may become, in bytes: what is more is not written.
	MaxSize = 64 << 10
	// maxLine bounds a line, in bytes, and maxHeader the first one.
	maxLine   = 1000
	maxHeader = 4 << 10
)

// ErrNone means that no version is on trial, or another one than this.
var ErrNone = errors.New("this version is not on trial")

// Journal is the one of the slot that runs.
type Journal struct {
	// Path is the journal's, which system makes and removes. Slot is the one that runs.
	Path, Slot string
}

// OnTrial says whether this version is on trial.
func (j Journal) OnTrial() bool {
	f, err := j.open()
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Add writes a line, which is on the medium when it returns nil. It returns ErrNone if this version is not on trial.
func (j Journal) Add(text string) error {
	f, err := j.open()
	if err != nil {
		return err
	}
	defer f.Close()
	line := "init: " + oneLine(text) + "\n"
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the trial's journal: %w", err)
	}
	if st.Size()+int64(len(line)) > MaxSize {
		return nil
	}
	if _, err := f.WriteString(line); err != nil {
		return fmt.Errorf("write the trial's journal: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the trial's journal: %w", err)
	}
	return nil
}

// open opens the journal for appending if it is root's own file and about this slot.
func (j Journal) open() (*os.File, error) {
	if j.Path == "" || j.Slot == "" {
		return nil, ErrNone
	}
	f, err := os.OpenFile(j.Path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("open the trial's journal: %w", err)
	}
	if err := j.check(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (j Journal) check(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("look at the trial's journal: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the trial's journal %s is not a file of user %d", j.Path, os.Geteuid())
	}
	b := make([]byte, maxHeader)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the trial's journal: %w", err)
	}
	if slot, ok := slotOf(b[:n]); !ok || slot != j.Slot {
		return ErrNone
	}
	return nil
}

// slotOf reads the first line: which slot the trial is of.
func slotOf(b []byte) (slot string, ok bool) {
	first, _, whole := bytes.Cut(b, []byte("\n"))
	var header struct{ Slot string }
	if !whole || json.Unmarshal(first, &header) != nil {
		return "", false
	}
	return header.Slot, header.Slot != ""
}

// oneLine makes a line of a text, of bounded length.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.TrimSpace(strings.ToValidUTF8(text[:min(len(text), maxLine)], ""))
}
