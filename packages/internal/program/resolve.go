package program

import (
	"cmp"
	"slices"
	"time"
)

// Now is what a player shows.
type Now struct {
	// Playlist plays; nil when there is a Text, or nothing at all to show.
	Playlist *Playlist
	// Text of an interruption stands over everything.
	Text string
	// Interrupt and Rule are the ids of what decided; both 0: it is the base.
	Interrupt, Rule int64
	// Until is when this may change by itself; the zero time: never. Before it nothing changes.
	Until time.Time
}

// Resolve says what a player shows at now: the interruption with the highest id, else the rule with the highest priority,
// then the most special one, then the one with the highest id, else the base. What refers to a playlist that is empty or
// unknown is passed over, so that a mistake leaves no screen black. In a zone that is not known it reckons with UTC.
//
// A rule begins when the wall clock first reads its time or a later one, and ends likewise: over an hour that is skipped
// it is shorter, over one that comes twice longer, and never interrupted.
func Resolve(p Program, now time.Time) Now { return NewSchedule(p).At(now) }

// Schedule is a Program made ready for many questions. Nothing of the program may change meanwhile.
type Schedule struct {
	zone       *time.Location
	base       *Playlist
	rules      []rule // the one that goes first first
	interrupts []interrupt
}

type rule struct {
	Rule
	playlist         *Playlist
	first, last      day // last is 0 for an open end
	starts, finishes time.Duration
}

type interrupt struct {
	Interrupt
	playlist *Playlist
}

// NewSchedule returns the schedule of a program. What Validate would refuse has no effect.
func NewSchedule(p Program) *Schedule {
	s := &Schedule{}
	s.zone, _ = Zone(p.Timezone)
	playlists := map[int64]*Playlist{}
	for i := range p.Playlists {
		if l := &p.Playlists[i]; l.ID != 0 && len(l.Items) > 0 {
			playlists[l.ID] = l
		}
	}
	s.base = playlists[p.Base]
	for _, r := range p.Rules {
		list := playlists[r.Playlist]
		if ready, ok := newRule(r); ok && list != nil {
			ready.playlist = list
			s.rules = append(s.rules, ready)
		}
	}
	slices.SortStableFunc(s.rules, func(a, b rule) int { return compareRules(b.Rule, a.Rule) })
	for _, i := range p.Interrupts {
		if list := playlists[i.Playlist]; i.Begins.Before(i.Ends) && (list != nil) != (i.Text != "") {
			s.interrupts = append(s.interrupts, interrupt{i, list})
		}
	}
	slices.SortStableFunc(s.interrupts, func(a, b interrupt) int { return cmp.Compare(b.ID, a.ID) })
	return s
}

func newRule(r Rule) (rule, bool) {
	if r.check() != nil {
		return rule{}, false
	}
	ready := rule{
		Rule: r, starts: time.Duration(r.FromMinute) * time.Minute, finishes: time.Duration(r.ToMinute) * time.Minute,
	}
	if r.ToMinute <= r.FromMinute {
		ready.finishes += 24 * time.Hour
	}
	if r.FromDate != "" {
		ready.first, _ = parseDay(r.FromDate)
	}
	if r.ToDate != "" {
		ready.last, _ = parseDay(r.ToDate)
	}
	return ready, true
}

// compareRules is positive when a goes before b.
func compareRules(a, b Rule) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Special, b.Special), cmp.Compare(a.ID, b.ID))
}

// At is Resolve.
func (s *Schedule) At(now time.Time) Now {
	var until time.Time
	// An earlier one in the list goes before a later one, so only what comes before the first that applies can change it.
	for _, i := range s.interrupts {
		switch {
		case !now.Before(i.Ends):
		case now.Before(i.Begins):
			until = earlier(until, i.Begins)
		default:
			return Now{Playlist: i.playlist, Text: i.Text, Interrupt: i.ID, Until: earlier(until, i.Ends)}
		}
	}
	for _, r := range s.rules {
		begins, ends, ok := r.next(now, s.zone)
		switch {
		case !ok:
		case now.Before(begins):
			until = earlier(until, begins)
		default:
			return Now{Playlist: r.playlist, Rule: r.ID, Until: earlier(until, ends)}
		}
	}
	return Now{Playlist: s.base, Until: until}
}

// earlier is the earlier of two times, of which the zero time is the last.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// horizon is how many days next looks ahead: a rule begins on the same day of the week, even where a clock that is put
// forward swallows it once.
const horizon = 7*3 + 2

// next returns the times of the rule that are not over at now: those it is in, or the next ones; false when there are none.
func (r rule) next(now time.Time, zone *time.Location) (begins, ends time.Time, ok bool) {
	// It may have begun yesterday; one day more for zones whose days are not all 24 hours long.
	first := max(dayOf(now, zone)-2, r.first)
	for d := first; d < first+horizon && (r.last == 0 || d <= r.last); d++ {
		if !r.on(d) {
			continue
		}
		begins, ends = d.at(r.starts, zone), d.at(r.finishes, zone)
		if begins.Before(ends) && now.Before(ends) {
			return begins, ends, true
		}
	}
	return time.Time{}, time.Time{}, false
}

// on reports whether the rule begins on a day.
func (r rule) on(d day) bool {
	return d >= r.first && (r.last == 0 || d <= r.last) && r.Weekdays&(1<<d.weekday()) != 0
}
