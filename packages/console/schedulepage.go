package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/program"
)

func (c *console) scheduleRoutes() []route {
	return []route{
		{"GET /schedule", editor, c.schedulePage},
		{"GET /schedule/rules/new", editor, c.newRulePage},
		{"POST /schedule/rules/new", editor, c.newRule},
		{"GET /schedule/rules/{id}", editor, c.rulePage},
		{"POST /schedule/rules/{id}", editor, c.saveRule},
		{"GET /schedule/rules/{id}/delete", editor, c.dropRulePage},
		{"POST /schedule/rules/{id}/delete", editor, c.dropRule},
		{"GET /interrupt", editor, c.interruptPage},
		{"POST /interrupt", editor, c.interrupt},
		{"POST /interrupt/{id}/end", editor, c.endInterrupt},
	}
}

// scheduleView is the page of the schedule: a week of the calendar, and the rules.
type scheduleView struct {
	For                  []choice
	Target, Date         string
	Week, Zone           string
	Prev, Next, Today    string
	PrevMonth, NextMonth string
	Days                 []calendarDay
	Hours                []hourMark
	Rules                []ruleRow
	AskFor               []choice
	AskAt                string
	Answer               *scheduleAnswer
	Playlists            bool
}

type hourMark struct{ Class, Text string }

type calendarDay struct {
	Name, Date string
	Today      bool
	Lanes      int
	Blocks     []calendarBlock
	NowClass   string
}

// calendarBlock is a part of a day in which a rule holds.
type calendarBlock struct {
	Rule                        int64
	Name, Playlist, Times, Whom string
	Class                       string
	// Hidden says which parts are not seen, and why; Veils are drawn over them.
	Hidden, Veils []string
}

type ruleRow struct {
	ID                         int64
	Colour                     int
	Name, Playlist, When, Whom string
	Priority                   string
	State                      state
	Conflicts                  []string
}

// scheduleAnswer says what plays where at some time, and why.
type scheduleAnswer struct {
	What, Why, Until string
	Link             string
}

// The calendar's grid has rows of a quarter of an hour; see signage.css.
const (
	rowsPerHour = 4
	rowsPerDay  = 24 * rowsPerHour
	maxLanes    = 6
)

func (c *console) schedulePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, err := c.scheduleView(r, time.Now())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "schedule", page{Title: "Schedule", User: id, Body: v})
}

// dateOf is the date at t where the screens are, as midnight UTC.
func (f scheduleFacts) dateOf(t time.Time) time.Time {
	y, m, d := t.In(f.zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// monday is the first day of the week of a date.
func monday(date time.Time) time.Time {
	return date.AddDate(0, 0, -(int(date.Weekday())+6)%7)
}

func (c *console) scheduleView(r *http.Request, now time.Time) (scheduleView, error) {
	var v scheduleView
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		return v, err
	}
	q := r.URL.Query()
	target, ok := targetOf(q.Get("for"))
	if !ok || !f.known(target) {
		target = signage.Target{}
	}
	today := f.dateOf(now)
	date, err := time.Parse(time.DateOnly, q.Get("date"))
	if err != nil || date.Year() < 2000 || date.Year() > 2200 {
		date = today
	}
	first := monday(date)
	last := first.AddDate(0, 0, 6)
	v.Target, v.Date, v.Zone, v.Playlists = targetValue(target), date.Format(time.DateOnly), f.zoneName, len(f.playlists) > 0
	v.For = f.targetChoices(v.Target)
	v.Week = first.Format("2 January") + " to " + last.Format("2 January 2006")
	link := func(d time.Time) string {
		u := url.Values{"date": {d.Format(time.DateOnly)}}
		if v.Target != "all" {
			u.Set("for", v.Target)
		}
		return "/schedule?" + u.Encode()
	}
	v.Prev, v.Next, v.Today = link(first.AddDate(0, 0, -7)), link(first.AddDate(0, 0, 7)), link(today)
	v.PrevMonth, v.NextMonth = link(date.AddDate(0, -1, 1-date.Day())), link(date.AddDate(0, 1, 1-date.Day()))
	p, err := c.calendarProgram(r.Context(), f, target, now)
	if err != nil {
		return v, err
	}
	v.Days = f.calendar(p, first, target)
	f.markNow(v.Days, first, now)
	for h := range 24 {
		v.Hours = append(v.Hours, hourMark{fmt.Sprintf("r%d", h*rowsPerHour), clockText(h * 60)})
	}
	for _, rule := range f.rules {
		if target == (signage.Target{}) || f.meet(target, rule.Target) {
			v.Rules = append(v.Rules, f.row(rule, today))
		}
	}
	return v, c.ask(r, f, &v, target, now)
}

// known reports whether the target exists.
func (f scheduleFacts) known(t signage.Target) bool {
	return (t.Group == 0 || slices.ContainsFunc(f.groups, func(g signage.Group) bool { return g.ID == t.Group })) &&
		(t.Player == 0 || slices.ContainsFunc(f.players, func(p signage.Player) bool { return p.ID == t.Player }))
}

// calendarProgram is the program whose rules are drawn: a screen's, a group's, or all rules there are.
func (c *console) calendarProgram(ctx context.Context, f scheduleFacts, t signage.Target, now time.Time) (program.Program, error) {
	switch {
	case t.Player != 0:
		return c.signage.Program(ctx, t.Player, now)
	case t.Group != 0:
		return c.signage.Preview(ctx, signage.Player{Group: t.Group}, now)
	}
	p := program.Program{Timezone: f.zoneName}
	for _, r := range f.rules {
		if r.Enabled {
			p.Rules = append(p.Rules, programRule(r))
		}
	}
	return p, nil
}

// calendar draws a week of a program.
func (f scheduleFacts) calendar(p program.Program, first time.Time, target signage.Target) []calendarDay {
	days := make([]calendarDay, 7)
	var parts []program.Part
	if target != (signage.Target{}) {
		// For one screen or group it is known what is seen; all rules together hide nothing from each other.
		p.Interrupts = nil
		parts = program.Parts(p, first, 7)
	}
	spans := program.Spans(p, first, 7)
	for n := range days {
		date := first.AddDate(0, 0, n)
		d := calendarDay{Name: dayNames[n], Date: date.Format("2 Jan"), Lanes: 1}
		var own []program.Span
		for _, s := range spans {
			if s.Day == n {
				own = append(own, s)
			}
		}
		slices.SortStableFunc(own, func(a, b program.Span) int {
			if a.FromMinute != b.FromMinute {
				return a.FromMinute - b.FromMinute
			}
			return b.ToMinute - a.ToMinute
		})
		var lanes []int
		for i, s := range own {
			// What nothing overlaps may take the whole width.
			alone := !slices.ContainsFunc(own, func(o program.Span) bool {
				return o != own[i] && o.FromMinute < s.ToMinute && s.FromMinute < o.ToMinute
			})
			lane := -1
			if !alone {
				if lane = slices.IndexFunc(lanes, func(end int) bool { return end <= s.FromMinute }); lane < 0 {
					lane = len(lanes)
					lanes = append(lanes, 0)
				}
				lanes[lane] = s.ToMinute
			}
			d.Blocks = append(d.Blocks, f.block(s, min(lane, maxLanes-1), parts))
		}
		d.Lanes = min(max(len(lanes), 1), maxLanes)
		days[n] = d
	}
	return days
}

func (f scheduleFacts) block(s program.Span, lane int, parts []program.Part) calendarBlock {
	r, _ := f.rule(s.Rule)
	b := calendarBlock{Rule: s.Rule, Name: ruleName(r), Playlist: f.playlistName(s.Playlist), Whom: f.targetText(r.Target)}
	from, to := clockText(s.FromMinute), clockText(s.ToMinute)
	switch {
	case s.Before && s.After, s.FromMinute == 0 && s.ToMinute == 1440:
		b.Times = "the whole day"
	case s.Before:
		b.Times = "until " + to
	case s.After:
		b.Times = "from " + from + ", goes on"
	default:
		b.Times = from + "–" + to
	}
	row, rows := rowsOf(s.FromMinute, s.ToMinute)
	b.Class = fmt.Sprintf("r%d s%d c%d", row, rows, colourOf(s.Playlist))
	if lane < 0 {
		b.Class += " wide"
	} else {
		b.Class += fmt.Sprintf(" k%d", lane)
	}
	if list, ok := f.playlist(s.Playlist); parts != nil && ok && (list.Version == 0 || list.Items == 0) {
		b.Class += " unseen-all"
		b.Hidden = []string{"not seen: the playlist is not published"}
		return b
	}
	for _, p := range parts {
		from, to := max(p.FromMinute, s.FromMinute), min(p.ToMinute, s.ToMinute)
		if p.Day != s.Day || p.Now.Rule == s.Rule || from >= to {
			continue
		}
		other, ok := f.rule(p.Now.Rule)
		if !ok {
			continue
		}
		b.Hidden = append(b.Hidden, fmt.Sprintf("%s–%s: “%s” goes before it", clockText(from), clockText(to), ruleName(other)))
		first, n := rowsOf(from, to)
		b.Veils = append(b.Veils, fmt.Sprintf("r%d s%d", first-row, n))
	}
	return b
}

// rowsOf are the calendar's rows of a part of a day: the first one and how many.
func rowsOf(from, to int) (row, rows int) {
	row = from * rowsPerHour / 60
	return row, max((to*rowsPerHour+59)/60-row, 1)
}

// markNow draws the line of the present time.
func (f scheduleFacts) markNow(days []calendarDay, first, now time.Time) {
	n := int(f.dateOf(now).Sub(first).Hours() / 24)
	if n < 0 || n >= len(days) {
		return
	}
	t := now.In(f.zone)
	days[n].Today = true
	days[n].NowClass = "r" + strconv.Itoa(min((t.Hour()*60+t.Minute())*rowsPerHour/60, rowsPerDay-1))
}

func (f scheduleFacts) row(r signage.Rule, today time.Time) ruleRow {
	v := ruleRow{ID: r.ID, Colour: colourOf(r.Playlist), Name: ruleName(r), Playlist: f.playlistName(r.Playlist), When: whenText(r),
		Whom: f.targetText(r.Target), Priority: priorityText(r.Priority), State: state{"on", toneGood}, Conflicts: f.conflicts(r, today)}
	p, _ := f.playlist(r.Playlist)
	switch date := today.Format(time.DateOnly); {
	case !r.Enabled:
		v.State = state{"switched off", toneMuted}
	case r.ToDate != "" && r.ToDate < date:
		v.State = state{"over", toneMuted}
	case p.Version == 0:
		v.State = state{"the playlist is not published", toneBad}
	case r.FromDate > date:
		v.State = state{"to come", toneBusy}
	}
	return v
}

// ask answers what plays on a screen at some time, by default now.
func (c *console) ask(r *http.Request, f scheduleFacts, v *scheduleView, target signage.Target, now time.Time) error {
	q := r.URL.Query()
	chosen := v.Target
	if asked, ok := targetOf(q.Get("on")); ok && q.Get("on") != "" && f.known(asked) {
		target, chosen = asked, q.Get("on")
	}
	v.AskFor = f.targetChoices(chosen)
	v.AskFor[0].Text = "A screen of no group"
	at, err := time.ParseInLocation("2006-01-02T15:04", q.Get("at"), f.zone)
	if err != nil || at.Year() < 2000 || at.Year() > 2200 {
		at = now.In(f.zone)
	}
	v.AskAt = at.Format("2006-01-02T15:04")
	var p program.Program
	base := ""
	switch {
	case target.Player != 0:
		p, err = c.signage.Program(r.Context(), target.Player, at)
		base = "nothing is planned for " + f.targetText(target) + " then; it is what plays there otherwise"
	default:
		p, err = c.signage.Preview(r.Context(), signage.Player{Group: target.Group}, at)
		base = "nothing is planned for it then; it is what plays otherwise"
	}
	if err != nil {
		return err
	}
	v.Answer = f.answer(p, at, base)
	return nil
}

func (f scheduleFacts) answer(p program.Program, at time.Time, base string) *scheduleAnswer {
	n := program.Resolve(p, at)
	a := &scheduleAnswer{What: "Nothing", Why: "nothing is planned then, and no playlist is chosen for the screen, its group or all screens"}
	if n.Playlist != nil {
		a.What, a.Link, a.Why = "“"+n.Playlist.Name+"”", playlistPath(n.Playlist.ID), base
	}
	if n.Text != "" {
		a.What = "The text “" + firstLine(n.Text) + "”"
	}
	switch rule, ok := f.rule(n.Rule); {
	case n.Interrupt != 0:
		a.Why = "somebody interrupted the screens"
	case ok:
		a.Why = fmt.Sprintf("the plan “%s” holds, with the priority “%s”", ruleName(rule), priorityText(rule.Priority))
		for _, o := range p.Rules {
			if other, ok := f.rule(o.ID); ok && o.ID != rule.ID && holdsAt(o, at, f.zone) {
				_, why := before(rule, other)
				a.Why += fmt.Sprintf("; it goes before “%s” because it %s", ruleName(other), why)
			}
		}
	}
	if !n.Until.IsZero() {
		a.Until = n.Until.In(f.zone).Format("Mon 2 Jan 15:04")
	}
	return a
}

// holdsAt reports whether a rule holds at a time.
func holdsAt(r program.Rule, at time.Time, zone *time.Location) bool {
	t := at.In(zone)
	y, m, d := t.Date()
	minute := t.Hour()*60 + t.Minute()
	for _, s := range program.Spans(program.Program{Rules: []program.Rule{r}}, time.Date(y, m, d, 0, 0, 0, 0, time.UTC), 1) {
		if s.FromMinute <= minute && minute < s.ToMinute {
			return true
		}
	}
	return false
}
