package spool_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/packages/internal/testkit"
	"porthole/packages/player/spool"
)

// journal is what a spool has written after some reports came and went.
func journal(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	s := spool.New(spool.Config{Log: discard(), Dir: dir})
	var ids []string
	for n := range 6 {
		id, err := s.Add("error", word{"error", fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if n == 3 {
			s.Done(ids[1])
		}
		if !s.Flush() {
			t.Fatal(s.State().Problem)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "reports"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTorn: of a file that ends anywhere, the lines before count.
func TestTorn(t *testing.T) {
	b := journal(t)
	all, _, _ := spool.Parse(b)
	if len(all) != 5 {
		t.Fatalf("%d reports", len(all))
	}
	for n := range b {
		reports, lost, damaged := spool.Parse(b[:n])
		if whole := bytes.Count(b[:n], []byte("\n")); lost != 0 || damaged != 0 || len(reports) > whole {
			t.Fatalf("of %d bytes: %d reports, %d lost, %d damaged", n, len(reports), lost, damaged)
		}
	}
	// A byte that has changed costs its line, no other; the end of one costs the next, too.
	for n := range b {
		c := bytes.Clone(b)
		c[n] ^= 0x41
		reports, _, damaged := spool.Parse(c)
		least := 4
		if b[n] == '\n' {
			least = 3
		}
		if len(reports) < least || damaged == 0 && n != len(b)-1 {
			t.Fatalf("byte %d: %d reports, %d damaged", n, len(reports), damaged)
		}
	}
}

// TestDamaged: what is left is taken over, and the file is mended.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	b := journal(t)
	b[len(b)/2] ^= 1
	path := filepath.Join(dir, "reports")
	if err := os.WriteFile(path, append(b, "zzz"...), 0o600); err != nil {
		t.Fatal(err)
	}
	q := open(t, dir)
	if n := q.State().Waiting; n != 4 || !strings.Contains(q.log.String(), "damaged") {
		t.Errorf("%d reports\n%s", n, q.log)
	}
	q.add("error", "new")
	q.stop()
	mended, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if reports, _, damaged := spool.Parse(mended); len(reports) != 5 || damaged != 0 {
		t.Errorf("%d reports, %d damaged", len(reports), damaged)
	}
}

// TestStaysSmall: what was sent takes no space for long.
func TestStaysSmall(t *testing.T) {
	dir := t.TempDir()
	s := spool.New(spool.Config{Log: discard(), Dir: dir})
	for range 3000 {
		id, err := s.Add("playing", word{"playing", strings.Repeat("x", 1000)})
		if err != nil {
			t.Fatal(err)
		}
		s.Done(id)
		if !s.Flush() {
			t.Fatal(s.State().Problem)
		}
		if st, err := os.Stat(filepath.Join(dir, "reports")); err != nil || st.Size() > 300<<10 {
			t.Fatalf("%v, %v", st, err)
		}
	}
}

// TestDiskFull has a file system of 1 MB.
func TestDiskFull(t *testing.T) {
	dir, inside := testkit.SmallDisk(t, "size=1m")
	if !inside {
		return
	}
	s := spool.New(spool.Config{Log: discard(), Dir: dir})
	add := func(n int) {
		for range n {
			if _, err := s.Add("playing", word{"playing", strings.Repeat("x", 1000)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(100)
	if !s.Flush() {
		t.Fatal(s.State().Problem)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 850<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	add(200)
	if s.Flush() || !strings.Contains(s.State().Problem, "no space left") {
		t.Errorf("%+v", s.State())
	}
	// Nothing of what was there is lost, should the power be cut now.
	kept := spool.New(spool.Config{Log: discard(), Dir: dir})
	if n := kept.State().Waiting; n < 100 || n >= 300 {
		t.Errorf("%d reports on the disk", n)
	}
	os.Remove(filler)
	if st := s.State(); !s.Flush() || s.State().Problem != "" || st.Waiting != 300 || st.Lost != 0 {
		t.Errorf("%+v", s.State())
	}
	kept = spool.New(spool.Config{Log: discard(), Dir: dir})
	if n := kept.State().Waiting; n != 300 {
		t.Errorf("%d reports on the disk", n)
	}
}

// FuzzJournal reads anything; what it makes of it is written and read again as the same.
func FuzzJournal(f *testing.F) {
	f.Add(journal(f))
	f.Add([]byte("00000000 {}\n"))
	f.Add([]byte("zzz\n\n \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "reports"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := spool.New(spool.Config{Log: discard(), Dir: dir})
		all := s.Next(spool.MaxReports)
		for _, r := range all {
			if r.ID == "" || !json.Valid(r.Body) {
				t.Errorf("%+v", r)
			}
		}
		if !s.Flush() {
			t.Fatal(s.State().Problem)
		}
		again := spool.New(spool.Config{Log: discard(), Dir: dir})
		if a, b := s.State(), again.State(); a != b || len(again.Next(spool.MaxReports)) != len(all) {
			t.Errorf("%+v, then %+v", a, b)
		}
	})
}
