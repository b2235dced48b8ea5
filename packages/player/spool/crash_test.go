package spool_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/testkit"
	"porthole/packages/player/spool"
)

// crashDir is set, to the spool's folder, for the process that is killed again and again.
const crashDir = "SPOOL_TEST_CRASH"

// crashRounds is how often the power is cut.
const crashRounds = 40

// crashChild is that process: it adds and removes reports, and says which of that is on the disk.
func crashChild() {
	fmt.Println("begins") //nolint:forbidigo // it is how the test hears of it
	s := spool.New(spool.Config{Log: slog.New(slog.DiscardHandler), Dir: os.Getenv(crashDir)})
	long := strings.Repeat("x", 500)
	for {
		var said strings.Builder
		for range 1 + rand.IntN(20) {
			id, err := s.Add("playing", word{"playing", long})
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(&said, "+%s\n", id)
		}
		// What the server has is said before, as it may be on the disk before that is said.
		if waiting := s.Next(100); len(waiting) > 80 {
			var ids []string
			for _, r := range waiting[:40] {
				ids = append(ids, r.ID)
				fmt.Printf("-%s\n", r.ID) //nolint:forbidigo // it is how the test hears of it
			}
			s.Done(ids...)
		}
		if !s.Flush() {
			panic(s.State().Problem)
		}
		fmt.Print(said.String()) //nolint:forbidigo // it is how the test hears of it
	}
}

// TestPowerCuts kills the process at any moment: no report that was on the disk is lost or doubled.
func TestPowerCuts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	kept, done := map[string]bool{}, map[string]bool{}
	for round := 0; round < crashRounds || len(kept) < 100 || len(done) < 100; round++ {
		for _, id := range testkit.CutPower(t, crashDir, dir, 100*time.Millisecond) {
			if len(id) != 27 {
				continue // the end of what it said
			}
			if id[0] == '+' {
				kept[id[1:]] = true
			} else {
				done[id[1:]] = true
			}
		}
		tear(t, filepath.Join(dir, "reports"))
		s := spool.New(spool.Config{Log: slog.New(slog.DiscardHandler), Dir: dir})
		have := map[string]bool{}
		for _, r := range s.Next(spool.MaxReports) {
			if have[r.ID] {
				t.Errorf("round %d: %s twice", round, r.ID)
			}
			have[r.ID] = true
		}
		for id := range kept {
			if !have[id] && !done[id] {
				t.Fatalf("round %d: report %s is lost", round, id)
			}
		}
	}
}

// tear puts half a line at the end, as a power cut may.
func tear(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if os.IsNotExist(err) {
		return // it was killed before there was one
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`0123abcd {"add":{"id":"torn`); err != nil {
		t.Fatal(err)
	}
}
