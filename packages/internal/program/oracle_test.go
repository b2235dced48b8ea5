package program_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"porthole/packages/internal/program"
)

// window is some days in a zone, minute by minute, around a change of its clock.
type window struct {
	from  time.Time
	local []time.Time // what clock and calendar read, as if it were UTC
}

func newWindow(t *testing.T, zone, around string, days int) window {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	middle, err := time.Parse(time.DateOnly, around)
	if err != nil {
		t.Fatal(err)
	}
	w := window{from: middle.Add(-time.Duration(days) * 12 * time.Hour)}
	for m := range days * 24 * 60 {
		at := w.from.Add(time.Duration(m) * time.Minute).In(l)
		w.local = append(w.local, time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC))
	}
	return w
}

// first is the first minute that reads clock or later.
func (w window) first(clock time.Time) int {
	for m, l := range w.local {
		if !l.Before(clock) {
			return m
		}
	}
	return len(w.local)
}

// applies marks the minutes in which a rule applies: it looks at every day and at every minute.
func (w window) applies(t *testing.T, r program.Rule) []bool {
	t.Helper()
	marks := make([]bool, len(w.local))
	length := (r.ToMinute - r.FromMinute + 1440) % 1440
	if length == 0 {
		length = 1440
	}
	y, m, d := w.local[0].Date()
	for day := time.Date(y, m, d-2, 0, 0, 0, 0, time.UTC); day.Before(w.local[len(w.local)-1]); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		weekday := (int(day.Weekday()) + 6) % 7 // from Monday
		if r.Weekdays>>weekday&1 == 0 || (r.FromDate != "" && date < r.FromDate) || (r.ToDate != "" && date > r.ToDate) {
			continue
		}
		begins := day.Add(time.Duration(r.FromMinute) * time.Minute)
		ends := w.first(begins.Add(time.Duration(length) * time.Minute))
		for m := w.first(begins); m < ends; m++ {
			marks[m] = true
		}
	}
	return marks
}

func randomRules(r *rand.Rand, w window) []program.Rule {
	var rules []program.Rule
	for id := range int64(1 + r.IntN(6)) {
		rule := program.Rule{
			ID: id + 1, Playlist: 2 + r.Int64N(3), FromMinute: r.IntN(1440), ToMinute: 1 + r.IntN(1440), Weekdays: uint8(1 + r.IntN(127)),
			Priority: 1 + r.IntN(3), Special: r.IntN(3),
		}
		if r.IntN(3) == 0 { // around the hours at which clocks are changed
			rule.FromMinute, rule.ToMinute = r.IntN(240), 1+r.IntN(240)
		}
		if r.IntN(3) == 0 {
			rule.FromDate = w.local[r.IntN(len(w.local))].Format(time.DateOnly)
		}
		if r.IntN(3) == 0 {
			rule.ToDate = w.local[r.IntN(len(w.local))].Format(time.DateOnly)
		}
		rules = append(rules, rule)
	}
	return rules
}

// TestAgainstOracle compares Resolve with one that looks at every minute, and its end with what comes then.
func TestAgainstOracle(t *testing.T) {
	for _, c := range []struct{ zone, around, what string }{
		{"Europe/Bucharest", "2027-03-28", "forward at 3"},
		{"Europe/Bucharest", "2027-10-31", "back at 4"},
		{"America/Havana", "2027-03-14", "forward at midnight"},
		{"America/Havana", "2027-11-07", "back at 1 to midnight"},
		{"America/Santiago", "2027-04-04", "back at midnight to the day before"},
		{"Australia/Lord_Howe", "2027-04-04", "back by half an hour"},
		{"Pacific/Apia", "2011-12-30", "a day left out"},
		{"UTC", "2027-01-01", "nothing"},
	} {
		t.Run(c.zone+" "+c.around, func(t *testing.T) {
			t.Parallel()
			const days = 8
			w := newWindow(t, c.zone, c.around, days)
			for seed := range uint64(4) {
				r := rand.New(rand.NewPCG(seed, 7))
				p := shop(randomRules(r, w)...)
				p.Timezone = c.zone
				if err := p.Validate(); err != nil {
					t.Fatal(err)
				}
				against(t, fmt.Sprintf("seed %d", seed), w, p)
			}
		})
	}
}

func against(t *testing.T, name string, w window, p program.Program) {
	t.Helper()
	marks := make([][]bool, len(p.Rules))
	for i, r := range p.Rules {
		marks[i] = w.applies(t, r)
	}
	s := program.NewSchedule(p)
	var last program.Now
	// The window's edges are left out: the oracle does not see what lies beyond.
	for m := 2 * 1440; m < len(w.local)-2*1440; m++ {
		at := w.from.Add(time.Duration(m) * time.Minute)
		var best *program.Rule
		for i := range p.Rules {
			if r := &p.Rules[i]; marks[i][m] && (best == nil || before(*r, *best)) {
				best = r
			}
		}
		n := s.At(at)
		want, list := int64(0), int64(1)
		if best != nil {
			want, list = best.ID, best.Playlist
		}
		if n.Rule != want || n.Playlist.ID != list {
			t.Fatalf("%s: at %s (%s) rule %d, want %d\n%+v", name, at, w.local[m], n.Rule, want, p.Rules)
		}
		if !n.Until.IsZero() && !n.Until.After(at) {
			t.Fatalf("%s: at %s it is valid until %s", name, at, n.Until)
		}
		if (last.Until.IsZero() && m > 2*1440) || at.Before(last.Until) {
			if n.Rule != last.Rule || !n.Until.Equal(last.Until) {
				t.Fatalf("%s: at %s rule %d until %s, though rule %d was to last until %s", name, at, n.Rule, n.Until, last.Rule, last.Until)
			}
		}
		last = n
	}
}

func before(a, b program.Rule) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	if a.Special != b.Special {
		return a.Special > b.Special
	}
	return a.ID > b.ID
}
