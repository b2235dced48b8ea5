package program_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/program"
)

// monday is a week without a change of the clock.
var monday = time.Date(2027, 6, 7, 15, 0, 0, 0, time.UTC)

func TestSpans(t *testing.T) {
	p := shop(
		with(rule(11, 2, 8, 12), func(r *program.Rule) { r.Weekdays, r.FromDate = weekend|1, "2027-06-08" }),
		with(rule(12, 9, 22, 6), func(r *program.Rule) { r.Weekdays, r.ToDate = 1<<6|1<<5, "2027-06-12" }),
		with(rule(13, 77, 0, 24), func(r *program.Rule) { r.Weekdays = 1 << 1 }),
	)
	want := []program.Span{
		{Rule: 11, Playlist: 2, Day: 5, FromMinute: 480, ToMinute: 720},
		{Rule: 11, Playlist: 2, Day: 6, FromMinute: 480, ToMinute: 720},
		{Rule: 12, Playlist: 9, Day: 0, FromMinute: 0, ToMinute: 360, Before: true},
		{Rule: 12, Playlist: 9, Day: 5, FromMinute: 1320, ToMinute: 1440, After: true},
		{Rule: 12, Playlist: 9, Day: 6, FromMinute: 0, ToMinute: 360, Before: true},
		{Rule: 13, Playlist: 77, Day: 1, FromMinute: 0, ToMinute: 1440},
	}
	if d := cmp.Diff(want, program.Spans(p, monday, 7)); d != "" {
		t.Error(d)
	}
}

type part struct {
	Day, From, To int
	Name          string
}

func parts(p program.Program, first time.Time, days int) []part {
	var all []part
	for _, x := range program.Parts(p, first, days) {
		name := x.Now.Text
		if x.Now.Playlist != nil {
			name = x.Now.Playlist.Name
		}
		all = append(all, part{x.Day, x.FromMinute, x.ToMinute, name})
	}
	return all
}

func TestParts(t *testing.T) {
	p := shop(rule(11, 2, 8, 12), with(rule(12, 3, 10, 22), func(r *program.Rule) { r.Weekdays = 2 }))
	p.Interrupts = []program.Interrupt{{ID: 1, Text: "fire", Begins: bucharest(t, "2027-06-07 13:00"), Ends: bucharest(t, "2027-06-07 13:10")}}
	want := []part{
		{0, 0, 480, "base"}, {0, 480, 720, "two"}, {0, 720, 780, "base"}, {0, 780, 790, "fire"}, {0, 790, 1440, "base"},
		{1, 0, 480, "base"}, {1, 480, 600, "two"}, {1, 600, 1320, "three"}, {1, 1320, 1440, "base"},
	}
	if d := cmp.Diff(want, parts(p, monday, 2)); d != "" {
		t.Error(d)
	}
	// A rule that goes on at midnight is one part of each day.
	if d := cmp.Diff([]part{{0, 0, 1440, "two"}, {1, 0, 1440, "two"}}, parts(shop(rule(1, 2, 0, 24)), monday, 2)); d != "" {
		t.Error(d)
	}
	// The clock goes forward at 3 and back at 4.
	if d := cmp.Diff([]part{{0, 0, 120, "base"}, {0, 120, 240, "two"}, {0, 240, 1440, "base"}}, parts(shop(rule(1, 2, 2, 3)), bucharest(t, "2027-03-28 10:00"), 1)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]part{{0, 0, 120, "base"}, {0, 120, 300, "two"}, {0, 300, 1440, "base"}}, parts(shop(rule(1, 2, 2, 5)), bucharest(t, "2027-10-31 10:00"), 1)); d != "" {
		t.Error(d)
	}
}
