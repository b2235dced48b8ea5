package pairs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/testkit"
)

// clocks are a time of day and a running time that a test moves.
type clocks struct {
	day     time.Time
	running time.Duration
}

func (c *clocks) pass(d time.Duration) { c.day, c.running = c.day.Add(d), c.running+d }

func (c *clocks) journal(t *testing.T, file string) *Journal {
	t.Helper()
	return openJournal(slog.New(slog.DiscardHandler), file, func() time.Time { return c.day }, func() time.Duration { return c.running })
}

// TestEventsBeforeTheClockIsSet get their times when it is, also on the disk.
func TestEventsBeforeTheClockIsSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	c := &clocks{day: time.Unix(10, 0)}
	// A run whose clock was never set.
	c.journal(t, file).Add("ca", "Made.", ByDevice)
	j := c.journal(t, file)
	c.pass(time.Minute)
	j.Add("device", "Made.", ByDevice)
	c.pass(time.Minute)
	j.Add("own", "Uploaded.", "anna")
	j.Settle()
	if got := j.Events()[2].At; got.Year() != 1970 {
		t.Errorf("at %v", got)
	}
	set := time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	c.pass(time.Minute)
	c.day = set
	j.Settle()
	c.pass(time.Hour)
	j.Settle()
	j.Add("own", "Removed.", "anna")
	want := []Event{
		{time.Unix(10, 0).UTC(), "ca", "Made.", ByDevice},
		{set.Add(-2 * time.Minute), "device", "Made.", ByDevice},
		{set.Add(-time.Minute), "own", "Uploaded.", "anna"},
		{set.Add(time.Hour), "own", "Removed.", "anna"},
	}
	if diff := cmp.Diff(want, j.Events()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, c.journal(t, file).Events()); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

// TestJournalIsBounded: the oldest go, and no text is longer than a line should be.
func TestJournalIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	c := &clocks{day: time.Unix(0, 0)}
	j := c.journal(t, file)
	for i := range maxEvents + 5 {
		j.Add("own", fmt.Sprintf("event %d", i), "anna")
		c.pass(time.Second)
	}
	c.day = certs.Epoch().Add(time.Hour)
	j.Add("own\n{", strings.Repeat("ä", maxText), "an\x00na\xff\u202e")
	for _, j := range []*Journal{j, c.journal(t, file)} {
		l := j.Events()
		if len(l) != maxEvents || l[0].What != "event 6" || l[maxEvents-2].At != certs.Epoch().Add(time.Hour-time.Second) {
			t.Errorf("%d events, the first %v, the last but one %v", len(l), l[0], l[maxEvents-2])
		}
		last := l[maxEvents-1]
		if last.Certificate != "own {" || last.Who != "an na  " || len(last.What) != maxText || !utf8.ValidString(last.What) {
			t.Errorf("%+v", last)
		}
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 || st.Size() > maxJournal {
		t.Errorf("%v, %v", st, err)
	}
}

// TestJournalThatCannotBeKept is told by the log, and goes on.
func TestJournalThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	log := &testkit.Log{}
	j := OpenJournal(slog.New(slog.NewTextHandler(log, nil)), filepath.Join(dir, "none", "log"))
	j.Add("own", "Uploaded.", "anna")
	if l := j.Events(); len(l) != 1 || l[0].What != "Uploaded." {
		t.Errorf("%+v", l)
	}
	if !strings.Contains(log.String(), "cannot be kept") {
		t.Errorf("the log: %s", log)
	}
	OpenJournal(slog.New(slog.NewTextHandler(log, nil)), dir)
	if !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("the log: %s", log)
	}
}

// FuzzEvents: whatever the file holds, what comes of it is bounded, clean, and read back the same.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-22T12:00:00Z","certificate":"own","what":"Uploaded.","who":"anna"}` + "\n" + `{"at":"2026-11-`))
	f.Add([]byte("{\"what\":\"a\\u0000b\"}\nrubbish\n{}\n\n{\"what\":1}\n"))
	f.Add([]byte("{\"what\":\"x\",\"at\":\"9999-12-31T23:59:59-01:00\"}\n{\"what\":\"x\",\"at\":\"0000-01-01T00:00:00+01:00\"}\n"))
	f.Add(bytes.Repeat([]byte("{\"what\":\"x\",\"at\":\"0001-01-01T00:00:00+23:59\"}\n"), maxEvents+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		list := parseEvents(b)
		if len(list) > maxEvents {
			t.Fatalf("%d events", len(list))
		}
		var again bytes.Buffer
		for _, e := range list {
			for _, text := range []string{e.Certificate, e.What, e.Who} {
				if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00\x1b") {
					t.Fatalf("%q", text)
				}
			}
			if err := json.NewEncoder(&again).Encode(e); err != nil {
				t.Fatalf("%+v cannot be kept: %v", e, err)
			}
		}
		if now := parseEvents(again.Bytes()); !slices.Equal(now, list) {
			t.Fatalf("%+v is read back as %+v", list, now)
		}
	})
}
