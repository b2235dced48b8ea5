package trialjournal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/gokrazy-instance/init/trialjournal"
)

const first = `{"slot":"slot-b","version":"v1.2.4","id":"x","try":1}` + "\n"

func write(t *testing.T, text string) trialjournal.Journal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trial.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return trialjournal.Journal{Path: path, Slot: "slot-b"}
}

func read(t *testing.T, j trialjournal.Journal) string {
	t.Helper()
	b, err := os.ReadFile(j.Path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAdd(t *testing.T) {
	j := write(t, first)
	if !j.OnTrial() {
		t.Error("it is not on trial")
	}
	for _, text := range []string{"storage is up", "two\nlines\x1b[2J\xff", strings.Repeat("ä", 3000)} {
		if err := j.Add(text); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(read(t, j), "\n"), "\n")
	if len(lines) != 4 || lines[0]+"\n" != first || lines[1] != "init: storage is up" || lines[2] != "init: two lines [2J\ufffd" && lines[2] != "init: two lines [2J" {
		t.Errorf("the journal has %q", lines)
	}
	if last := lines[len(lines)-1]; len(last) > 1010 || !strings.HasSuffix(last, "ä") {
		t.Errorf("a long line has %d bytes", len(last))
	}
}

// TestNotOnTrial: only a journal of this slot gets lines, and none is made.
func TestNotOnTrial(t *testing.T) {
	for name, text := range map[string]string{
		"other slot": `{"slot":"slot-a"}` + "\n", "empty": "", "cut off": `{"slot":"slot-b"}`, "damaged": "\x00\x00\n",
		"no slot": "{}\n", "too long": `{"x":"` + strings.Repeat("x", 5000) + `","slot":"slot-b"}` + "\n",
	} {
		j := write(t, text)
		if err := j.Add("a line"); !errors.Is(err, trialjournal.ErrNone) || j.OnTrial() || read(t, j) != text {
			t.Errorf("%s: %v, on trial %v, %.60q", name, err, j.OnTrial(), read(t, j))
		}
	}
	j := trialjournal.Journal{Path: filepath.Join(t.TempDir(), "trial.log"), Slot: "slot-b"}
	if err := j.Add("a line"); !errors.Is(err, trialjournal.ErrNone) {
		t.Errorf("no journal gives %v", err)
	}
	if _, err := os.Stat(j.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a journal was made")
	}
	if (trialjournal.Journal{Path: write(t, first).Path}).OnTrial() {
		t.Error("a device that runs from no slot is on trial")
	}
}

// TestForeign: what is not a file of root's is left alone: a link, a folder, a pipe that would block.
func TestForeign(t *testing.T) {
	target := write(t, first)
	dir := t.TempDir()
	link := trialjournal.Journal{Path: filepath.Join(dir, "link"), Slot: "slot-b"}
	if err := os.Symlink(target.Path, link.Path); err != nil {
		t.Fatal(err)
	}
	if err := link.Add("a line"); err == nil || read(t, target) != first {
		t.Errorf("followed a link: %v", err)
	}
	if err := (trialjournal.Journal{Path: dir, Slot: "slot-b"}).Add("a line"); err == nil {
		t.Error("a folder takes lines")
	}
	other := write(t, first)
	if os.Geteuid() == 0 {
		if err := os.Chown(other.Path, 2004, 2004); err != nil {
			t.Fatal(err)
		}
		if err := other.Add("a line"); err == nil || other.OnTrial() {
			t.Error("a file of another user takes lines")
		}
	}
}

func TestBound(t *testing.T) {
	j := write(t, first)
	for range 200 {
		if err := j.Add(strings.Repeat("x", 900)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(read(t, j)); n > trialjournal.MaxSize || n < trialjournal.MaxSize-1000 {
		t.Errorf("the journal has %d bytes", n)
	}
}

// FuzzJournal: a damaged card gives back anything.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(first), "a line")
	f.Add([]byte("{}\n"), "\n")
	f.Add([]byte{0, '\n'}, "\xff")
	f.Fuzz(func(t *testing.T, content []byte, line string) {
		j := write(t, string(content))
		err := j.Add(line)
		got := read(t, j)
		added, ok := strings.CutPrefix(got, string(content))
		if !ok || err != nil && added != "" || strings.Count(added, "\n") > 1 || len(added) > 1010 || len(got) > max(len(content), trialjournal.MaxSize) {
			t.Errorf("%v; added %q", err, added)
		}
		if j.OnTrial() != (err == nil) {
			t.Errorf("on trial %v, but adding a line gives %v", j.OnTrial(), err)
		}
	})
}
