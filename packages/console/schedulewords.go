package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/program"
)

const (
	everyDay    = 0b1111111
	workingDays = 0b0011111
	weekend     = 0b1100000
)

var dayNames = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// priorities are the ones that the form offers; the numbers are program.Rule's.
var priorities = []struct {
	n    int
	text string
}{{1, "Low"}, {3, "Normal"}, {5, "High"}, {7, "Very high"}, {9, "Before everything"}}

const normalPriority = 3

// priorityText is the word for a priority; those that came another way have the next lower one's, with their number.
func priorityText(n int) string {
	text := ""
	for _, p := range priorities {
		if p.n == n {
			return p.text
		}
		if p.n < n {
			text = p.text
		}
	}
	return fmt.Sprintf("%s (%d)", text, n)
}

// clockText is a minute of the day as a clock shows it.
func clockText(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

func weekdaysText(days uint8) string {
	switch days & everyDay {
	case everyDay:
		return "every day"
	case workingDays:
		return "Monday to Friday"
	case weekend:
		return "Saturday and Sunday"
	}
	var names []string
	first, last := -1, -1
	for i, name := range dayNames {
		if days&(1<<i) != 0 {
			names = append(names, name)
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if n := len(names); n > 2 && last-first == n-1 {
		return names[0] + " to " + names[n-1]
	}
	return inWords(names)
}

// whenText says when a rule holds.
func whenText(r signage.Rule) string {
	text := weekdaysText(r.Weekdays)
	switch {
	case r.FromMinute == 0 && r.ToMinute == 1440:
		text += ", the whole day"
	case r.ToMinute <= r.FromMinute:
		text += fmt.Sprintf(", %s to %s on the next day", clockText(r.FromMinute), clockText(r.ToMinute))
	default:
		text += fmt.Sprintf(", %s to %s", clockText(r.FromMinute), clockText(r.ToMinute))
	}
	from, to := dateText(r.FromDate), dateText(r.ToDate)
	switch {
	case from != "" && from == to:
		text += ", only on " + from
	case from != "" && to != "":
		text += ", from " + from + " to " + to
	case from != "":
		text += ", from " + from + " on"
	case to != "":
		text += ", until " + to
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func dateText(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return ""
	}
	return t.Format("2 Jan 2006")
}

// scheduleFacts are what pages of the schedule need to name things.
type scheduleFacts struct {
	zone      *time.Location
	zoneName  string
	playlists []signage.Playlist
	groups    []signage.Group
	players   []signage.Player
	rules     []signage.Rule
}

func (c *console) scheduleFacts(ctx context.Context) (scheduleFacts, error) {
	var f scheduleFacts
	var err error
	if f.zoneName, err = c.signage.Timezone(ctx); err != nil {
		return f, err
	}
	f.zone, _ = program.Zone(f.zoneName)
	if f.playlists, err = c.signage.Playlists(ctx); err != nil {
		return f, err
	}
	if f.groups, err = c.signage.Groups(ctx); err != nil {
		return f, err
	}
	if f.players, err = c.signage.Players(ctx); err != nil {
		return f, err
	}
	f.rules, err = c.signage.Rules(ctx)
	return f, err
}

func (f scheduleFacts) playlist(id int64) (signage.Playlist, bool) {
	i := slices.IndexFunc(f.playlists, func(p signage.Playlist) bool { return p.ID == id })
	if i < 0 {
		return signage.Playlist{}, false
	}
	return f.playlists[i], true
}

func (f scheduleFacts) playlistName(id int64) string {
	p, _ := f.playlist(id)
	return p.Name
}

func (f scheduleFacts) rule(id int64) (signage.Rule, bool) {
	i := slices.IndexFunc(f.rules, func(r signage.Rule) bool { return r.ID == id })
	if i < 0 {
		return signage.Rule{}, false
	}
	return f.rules[i], true
}

// targetText names whom something is for.
func (f scheduleFacts) targetText(t signage.Target) string {
	for _, p := range f.players {
		if t.Player != 0 && p.ID == t.Player {
			return p.Name
		}
	}
	for _, g := range f.groups {
		if t.Group != 0 && g.ID == t.Group {
			return "group " + g.Name
		}
	}
	return "all screens"
}

// targetValue and targetOf are a target as forms and addresses have it.
func targetValue(t signage.Target) string {
	switch {
	case t.Player != 0:
		return "screen:" + strconv.FormatInt(t.Player, 10)
	case t.Group != 0:
		return "group:" + strconv.FormatInt(t.Group, 10)
	}
	return "all"
}

func targetOf(value string) (t signage.Target, ok bool) {
	kind, number, _ := strings.Cut(value, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case value == "all" || value == "":
		return t, true
	case err != nil || n <= 0:
		return t, false
	case kind == "group":
		t.Group = n
	case kind == "screen":
		t.Player = n
	default:
		return t, false
	}
	return t, true
}

func (f scheduleFacts) targetChoices(chosen string) []choice {
	list := []choice{{Value: "all", Text: "All screens"}}
	for _, g := range f.groups {
		list = append(list, choice{Value: targetValue(signage.Target{Group: g.ID}), Text: "Group " + g.Name + " (" + countText(g.Players, "screen", "screens") + ")"})
	}
	for _, p := range f.players {
		list = append(list, choice{Value: targetValue(signage.Target{Player: p.ID}), Text: "Screen " + p.Name})
	}
	for i := range list {
		list[i].Chosen = list[i].Value == chosen
	}
	return list
}

func (f scheduleFacts) playlistChoices(chosen int64) []choice {
	list := make([]choice, 0, len(f.playlists))
	for _, p := range f.playlists {
		text := p.Name
		if p.Version == 0 {
			text += " (not published yet)"
		}
		list = append(list, choice{Value: strconv.FormatInt(p.ID, 10), Text: text, Chosen: p.ID == chosen})
	}
	return list
}

// meet reports whether some screen is meant by both targets.
func (f scheduleFacts) meet(a, b signage.Target) bool {
	if a == b {
		return true
	}
	return slices.ContainsFunc(f.players, func(p signage.Player) bool { return concerns(a, p) && concerns(b, p) })
}

func special(t signage.Target) int {
	switch {
	case t.Player != 0:
		return 2
	case t.Group != 0:
		return 1
	}
	return 0
}

// before reports whether a goes before b where both hold, and why.
func before(a, b signage.Rule) (bool, string) {
	switch {
	case a.Priority != b.Priority:
		return a.Priority > b.Priority, "has the higher priority"
	case special(a.Target) != special(b.Target):
		return special(a.Target) > special(b.Target), "is for fewer screens, at the same priority"
	}
	return a.ID > b.ID, "is newer, at the same priority"
}

func programRule(r signage.Rule) program.Rule {
	return program.Rule{ID: r.ID, Name: r.Name, Playlist: r.Playlist, FromDate: r.FromDate, ToDate: r.ToDate, FromMinute: r.FromMinute,
		ToMinute: r.ToMinute, Weekdays: r.Weekdays, Priority: r.Priority, Special: special(r.Target)}
}

// maxConflicts is how many rules are named that stand in each other's way.
const maxConflicts = 4

// conflicts says where other rules hold at the same time, and who goes first. today is the date where the screens are.
func (f scheduleFacts) conflicts(r signage.Rule, today time.Time) []string {
	var list []string
	if !r.Enabled {
		return nil
	}
	for _, o := range f.rules {
		if o.ID == r.ID || !o.Enabled || !f.meet(r.Target, o.Target) {
			continue
		}
		when, ok := bothHold(r, o, today)
		if !ok {
			continue
		}
		if len(list) == maxConflicts {
			return append(list, "… and more.")
		}
		if first, why := before(r, o); first {
			list = append(list, fmt.Sprintf("Goes before “%s”, as it %s; for example %s.", ruleName(o), why, when))
		} else {
			_, why = before(o, r)
			list = append(list, fmt.Sprintf("“%s” goes before it, as that one %s; for example %s.", ruleName(o), why, when))
		}
	}
	return list
}

func ruleName(r signage.Rule) string {
	if r.Name == "" {
		return "Plan " + strconv.FormatInt(r.ID, 10)
	}
	return r.Name
}

// bothHold returns the first time from today on at which two rules hold.
func bothHold(a, b signage.Rule, today time.Time) (string, bool) {
	first := today
	for _, d := range []string{a.FromDate, b.FromDate} {
		if t, err := time.Parse(time.DateOnly, d); err == nil && t.After(first) {
			first = t
		}
	}
	// The pattern is a week's; one day more for what began the day before.
	spans := program.Spans(program.Program{Rules: []program.Rule{programRule(a), programRule(b)}}, first, 8)
	for _, s := range spans {
		for _, o := range spans {
			if s.Rule != a.ID || o.Rule != b.ID || s.Day != o.Day {
				continue
			}
			if from, to := max(s.FromMinute, o.FromMinute), min(s.ToMinute, o.ToMinute); from < to {
				return first.AddDate(0, 0, s.Day).Format("Mon 2 Jan") + ", " + clockText(from) + " to " + clockText(to), true
			}
		}
	}
	return "", false
}
