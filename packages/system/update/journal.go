package update

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"porthole/packages/internal/durable"
)

// maxJournal bounds the trial's journal, in bytes: what is more is not written.
const maxJournal = 64 << 10

// header is the journal's first line. It says all that a trial needs, in case the record is damaged.
type header struct {
	Slot    string          `json:"slot"`
	Version string          `json:"version"`
	ID      string          `json:"id"`
	Try     int             `json:"try"`
	From    string          `json:"from,omitempty"`
	Who     string          `json:"who,omitempty"`
	Before  map[string]bool `json:"before,omitempty"`
}

// journal is the trial's: init and system tell in it how far a version on trial has come.
type journal struct {
	path  string
	about func(what string)
}

func (e *Engine) journal() journal {
	return journal{filepath.Join(e.cfg.Dir, journalFile), e.cfg.about}
}

// tryMark begins the lines of each try.
const tryMark = "system: try "

// begin makes the journal of a try. The lines of former tries stay.
func (j journal) begin(h header) error {
	first, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode the trial's journal: %w", err)
	}
	_, lines, err := j.read()
	if err != nil || h.Try == 1 {
		lines = nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", first)
	for _, l := range lines {
		fmt.Fprintln(&b, l)
	}
	fmt.Fprintf(&b, "%s%d of %d is about to begin\n", tryMark, h.Try, MaxTries)
	j.about("journal begins")
	if err := durable.WriteFile(j.path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("begin the trial's journal: %w", err)
	}
	return nil
}

// add writes a line to the medium. It makes no journal where there is none.
func (j journal) add(format string, args ...any) error {
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("write the trial's journal: %w", err)
	}
	defer f.Close()
	line := strings.ReplaceAll(fmt.Sprintf("system: "+format, args...), "\n", " ")
	if st, err := f.Stat(); err == nil && st.Size()+int64(len(line)) > maxJournal {
		return nil
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return fmt.Errorf("write the trial's journal: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the trial's journal: %w", err)
	}
	return nil
}

// read returns the first line and the others, of all tries. The error is fs.ErrNotExist where there is no journal; a first line
// that is damaged gives an empty header.
func (j journal) read() (header, []string, error) {
	b, err := readBounded(j.path, 2*maxJournal)
	if err != nil {
		return header{}, nil, err
	}
	h, lines := parseJournal(b)
	return h, lines, nil
}

func parseJournal(b []byte) (header, []string) {
	var h header
	first, rest, _ := strings.Cut(string(b), "\n")
	if err := json.Unmarshal([]byte(first), &h); err != nil {
		h = header{}
	}
	rest = strings.ToValidUTF8(strings.ReplaceAll(rest, "\x00", ""), "?")
	var lines []string
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return h, lines
}

// thisTry returns the lines of the last try.
func thisTry(lines []string) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], tryMark) {
			return lines[i+1:]
		}
	}
	return lines
}

// remove ends the journal.
func (j journal) remove() error {
	j.about("journal ends")
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the trial's journal: %w", err)
	}
	return durable.SyncDir(filepath.Dir(j.path))
}
