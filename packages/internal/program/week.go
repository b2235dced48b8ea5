package program

import "time"

// Span is a part of a day in which a rule applies, on the wall clock.
type Span struct {
	Rule     int64
	Playlist int64
	Day      int // counts from 0 for the first day asked for
	// FromMinute (0 to 1439) and ToMinute (1 to 1440) are of this day.
	FromMinute, ToMinute int
	// Before and After say that the rule began the day before, and that it goes on the day after.
	Before, After bool
}

// Spans returns the parts of the days, from the date of first on, in which rules apply: for a calendar, which shows what
// people meant, so a day has 24 hours here whatever happens to the clock. Rules whose playlist is empty or not there are
// shown too. They come in the order of the rules, then of the days.
func Spans(p Program, first time.Time, days int) []Span {
	from := dayOf(time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC), time.UTC)
	var all []Span
	for _, r := range p.Rules {
		ready, ok := newRule(r)
		if !ok {
			continue
		}
		for n := range days {
			d := from + day(n)
			begins, ends := r.FromMinute, int(ready.finishes/time.Minute)
			const whole = 24 * 60
			// What is left of yesterday comes first.
			if ends > whole && ready.on(d-1) {
				all = append(all, Span{Rule: r.ID, Playlist: r.Playlist, Day: n, ToMinute: ends - whole, Before: true})
			}
			if ready.on(d) {
				all = append(all, Span{
					Rule: r.ID, Playlist: r.Playlist, Day: n, FromMinute: begins, ToMinute: min(ends, whole), After: ends > whole,
				})
			}
		}
	}
	return all
}

// Part is what plays in a part of a day.
type Part struct {
	Day                  int // counts from 0 for the first day asked for
	FromMinute, ToMinute int // on the wall clock, 0 to 1440
	Now                  Now
}

// maxParts bounds the parts of a day that Parts returns.
const maxParts = 200

// Parts returns what plays on the days, from the date of first on. Parts of less than a minute are left out. Where the
// clock is put back, two parts may share minutes.
func Parts(p Program, first time.Time, days int) []Part {
	s := NewSchedule(p)
	from := dayOf(time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC), time.UTC)
	var all []Part
	for n := range days {
		d := from + day(n)
		end := d.at(24*time.Hour, s.zone)
		t := d.at(0, s.zone)
		for range maxParts {
			if !t.Before(end) {
				break
			}
			now := s.At(t)
			until := earlier(now.Until, end)
			part := Part{Day: n, FromMinute: d.minute(t, s.zone), ToMinute: d.minute(until, s.zone), Now: now}
			last := len(all) - 1
			switch {
			case part.FromMinute >= part.ToMinute:
			case last >= 0 && all[last].Day == n && all[last].ToMinute == part.FromMinute && all[last].Now.same(now):
				all[last].ToMinute, all[last].Now.Until = part.ToMinute, now.Until
			default:
				all = append(all, part)
			}
			t = until
		}
	}
	return all
}

// minute is what a clock in the zone shows at t, in minutes of the day, 0 to 1440.
func (d day) minute(t time.Time, zone *time.Location) int {
	switch have := dayOf(t, zone); {
	case have < d:
		return 0
	case have > d:
		return 24 * 60
	}
	t = t.In(zone)
	return t.Hour()*60 + t.Minute()
}

// same reports whether two answers are the same but for their end.
func (n Now) same(o Now) bool {
	return n.Playlist == o.Playlist && n.Text == o.Text && n.Interrupt == o.Interrupt && n.Rule == o.Rule
}
