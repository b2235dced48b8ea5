package program_test

import (
	"testing"
	"time"

	"porthole/packages/internal/program"
)

func list(id int64, name string) program.Playlist {
	return program.Playlist{ID: id, Name: name, Version: 1, Transition: "cut", Items: []program.Item{{ID: id, Kind: "text", Text: name, DurationMS: 1000, Fit: "fit"}}}
}

const (
	everyDay = 127
	weekend  = 1<<5 | 1<<6
)

// shop is a program of a shop in Bucharest: playlist 1 is the base.
func shop(rules ...program.Rule) program.Program {
	p := program.Program{
		Timezone: "Europe/Bucharest", Base: 1, Rules: rules,
		Playlists: []program.Playlist{list(1, "base"), list(2, "two"), list(3, "three"), list(4, "four")},
	}
	p.Playlists = append(p.Playlists, program.Playlist{ID: 9, Name: "empty", Version: 1, Transition: "cut"})
	return p
}

func rule(id, playlist int64, from, to int) program.Rule {
	return program.Rule{ID: id, Playlist: playlist, FromMinute: from * 60, ToMinute: to * 60, Weekdays: everyDay, Priority: 5}
}

func with(r program.Rule, f func(*program.Rule)) program.Rule { f(&r); return r }

func bucharest(t *testing.T, clock string) time.Time {
	t.Helper()
	zone, known := program.Zone("Europe/Bucharest")
	when, err := time.ParseInLocation("2006-01-02 15:04", clock, zone)
	if err != nil || !known {
		t.Fatal(err)
	}
	return when
}

// TestResolve names the playlist that shows and the clock until when, "" for ever.
func TestResolve(t *testing.T) {
	morning := rule(11, 2, 8, 12)
	night := rule(12, 3, 22, 6)
	christmas := with(rule(13, 4, 0, 24), func(r *program.Rule) { r.FromDate, r.ToDate, r.Priority = "2027-12-24", "2027-12-26", 9 })
	text := program.Interrupt{ID: 1, Text: "fire", Begins: bucharest(t, "2027-06-07 10:00"), Ends: bucharest(t, "2027-06-07 10:05")}
	for name, c := range map[string]struct {
		p              program.Program
		now, want, end string
	}{
		"nothing at all":                {program.Program{}, "2027-06-07 10:00", "", ""},
		"base, without rules":           {shop(), "2027-06-07 10:00", "base", ""},
		"before a rule":                 {shop(morning), "2027-06-07 07:59", "base", "2027-06-07 08:00"},
		"a rule's first minute":         {shop(morning), "2027-06-07 08:00", "two", "2027-06-07 12:00"},
		"its last":                      {shop(morning), "2027-06-07 11:59", "two", "2027-06-07 12:00"},
		"its end":                       {shop(morning), "2027-06-07 12:00", "base", "2027-06-08 08:00"},
		"over midnight, the evening":    {shop(night), "2027-06-07 23:00", "three", "2027-06-08 06:00"},
		"over midnight, the morning":    {shop(night), "2027-06-08 05:59", "three", "2027-06-08 06:00"},
		"weekdays of the beginning":     {shop(with(night, func(r *program.Rule) { r.Weekdays = 1 })), "2027-06-08 05:00", "three", "2027-06-08 06:00"},
		"not the day after":             {shop(with(night, func(r *program.Rule) { r.Weekdays = 1 })), "2027-06-08 23:00", "base", "2027-06-14 22:00"},
		"the last day's night":          {shop(with(night, func(r *program.Rule) { r.ToDate = "2027-06-07" })), "2027-06-08 03:00", "three", "2027-06-08 06:00"},
		"after the last day":            {shop(with(night, func(r *program.Rule) { r.ToDate = "2027-06-07" })), "2027-06-08 23:00", "base", ""},
		"far ahead":                     {shop(christmas), "2027-06-07 10:00", "base", "2027-12-24 00:00"},
		"dates are inclusive":           {shop(christmas), "2027-12-26 23:59", "four", "2027-12-27 00:00"},
		"priority":                      {shop(morning, christmas), "2027-12-24 09:00", "four", "2027-12-25 00:00"},
		"the other before it":           {shop(morning, christmas), "2027-12-23 09:00", "two", "2027-12-23 12:00"},
		"special before id":             {shop(with(morning, func(r *program.Rule) { r.Special = 1 }), rule(99, 3, 8, 12)), "2027-06-07 09:00", "two", "2027-06-07 12:00"},
		"the later id":                  {shop(morning, rule(99, 3, 9, 10)), "2027-06-07 09:00", "three", "2027-06-07 10:00"},
		"a higher one will come":        {shop(morning, rule(99, 3, 9, 10)), "2027-06-07 08:30", "two", "2027-06-07 09:00"},
		"a lower one does not matter":   {shop(morning, rule(1, 3, 9, 10)), "2027-06-07 08:30", "two", "2027-06-07 12:00"},
		"an empty playlist is passed":   {shop(morning, rule(99, 9, 8, 12)), "2027-06-07 09:00", "two", "2027-06-07 12:00"},
		"an unknown playlist too":       {shop(morning, rule(99, 77, 8, 12)), "2027-06-07 09:00", "two", "2027-06-07 12:00"},
		"day and night, from ten":       {shop(with(rule(11, 2, 10, 10), func(r *program.Rule) { r.Weekdays = weekend })), "2027-06-07 09:59", "two", "2027-06-07 10:00"},
		"the clock goes forward":        {shop(rule(11, 2, 3, 4)), "2027-03-28 02:59", "base", "2027-03-29 03:00"},
		"it swallows the beginning":     {shop(rule(11, 2, 3, 5)), "2027-03-28 02:59", "base", "2027-03-28 04:00"},
		"the clock goes back":           {shop(rule(11, 2, 2, 4)), "2027-10-31 02:59", "two", "2027-10-31 04:00"},
		"an unknown zone is UTC":        {func() program.Program { p := shop(morning); p.Timezone = "Mars/Olympus"; return p }(), "2027-06-07 11:00", "two", "2027-06-07 15:00"},
		"no zone is UTC":                {func() program.Program { p := shop(morning); p.Timezone = ""; return p }(), "2027-06-07 10:00", "base", "2027-06-07 11:00"},
		"before an interruption":        {interrupted(text), "2027-06-07 09:59", "base", "2027-06-07 10:00"},
		"an interruption":               {interrupted(text), "2027-06-07 10:00", "fire", "2027-06-07 10:05"},
		"after it":                      {interrupted(text), "2027-06-07 10:05", "base", ""},
		"of two, the later":             {interrupted(text, later(text, 2, "flood", 0)), "2027-06-07 10:02", "flood", "2027-06-07 10:05"},
		"a later one begins within":     {interrupted(text, later(text, 2, "flood", time.Minute)), "2027-06-07 10:00", "fire", "2027-06-07 10:01"},
		"then the earlier does not":     {interrupted(later(text, 2, "flood", 0), later(text, 1, "fire", time.Minute)), "2027-06-07 10:00", "flood", "2027-06-07 10:05"},
		"an interruption by nothing":    {interrupted(program.Interrupt{ID: 5, Playlist: 9, Begins: text.Begins, Ends: text.Ends}), "2027-06-07 10:02", "base", ""},
		"an interruption by a playlist": {interrupted(program.Interrupt{ID: 5, Playlist: 2, Begins: text.Begins, Ends: text.Ends}), "2027-06-07 10:02", "two", "2027-06-07 10:05"},
	} {
		t.Run(name, func(t *testing.T) {
			n := program.Resolve(c.p, bucharest(t, c.now))
			got, end := n.Text, ""
			if n.Playlist != nil {
				got += n.Playlist.Name
			}
			if !n.Until.IsZero() {
				end = n.Until.In(bucharest(t, c.now).Location()).Format("2006-01-02 15:04")
			}
			if got != c.want || end != c.end {
				t.Errorf("%q until %q, want %q until %q", got, end, c.want, c.end)
			}
		})
	}
}

func interrupted(i ...program.Interrupt) program.Program {
	p := shop()
	p.Interrupts = i
	return p
}

func later(i program.Interrupt, id int64, text string, by time.Duration) program.Interrupt {
	i.ID, i.Text, i.Begins = id, text, i.Begins.Add(by)
	return i
}

func TestZone(t *testing.T) {
	for name, want := range map[string]bool{
		"UTC": true, "Europe/Bucharest": true, "America/Argentina/Buenos_Aires": true,
		"": false, "Local": false, "Europe": false, "../../etc/passwd": false, "europe/nowhere": false,
	} {
		if zone, known := program.Zone(name); known != want || zone == nil || (!want && zone != time.UTC) {
			t.Errorf("%q: %v, %v", name, zone, known)
		}
	}
}
