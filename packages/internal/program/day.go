package program

import "time"

// day is a date of the calendar: days since 1 January of the year 1, which is day 1 and a Monday.
type day int

const secondsPerDay = 24 * 60 * 60

// epochDay is the day of Unix time 0.
const epochDay = 719163

func parseDay(date string) (day, error) {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return 0, err
	}
	return dayOf(t, time.UTC), nil
}

// dayOf is the date that a calendar in the zone shows at t.
func dayOf(t time.Time, zone *time.Location) day {
	_, offset := t.In(zone).Zone()
	seconds := t.Unix() + int64(offset)
	d := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		d--
	}
	return day(d + epochDay)
}

// weekday counts from 0 for Monday.
func (d day) weekday() int { return ((int(d)-1)%7 + 7) % 7 }

// String is the date as YYYY-MM-DD.
func (d day) String() string { return d.midnight().Format(time.DateOnly) }

// midnight is when the day begins, in UTC.
func (d day) midnight() time.Time { return time.Unix((int64(d)-epochDay)*secondsPerDay, 0).UTC() }

// at returns the first moment at which clock and calendar in the zone read the day and a time of it, or later. Where the
// clock is put forward over that time it is the moment of the change; where the time comes twice it is the first.
func (d day) at(clock time.Duration, zone *time.Location) time.Time {
	reads := d.midnight().Add(clock)
	// time.Date promises nothing for times that do not exist or exist twice, so look at each offset from UTC in turn.
	// Offsets lie between -26 and 26 hours (RFC 9636 section 3.2).
	t := reads.Add(-28 * time.Hour).In(zone)
	for {
		_, offset := t.Zone()
		from, to := t.ZoneBounds()
		moment := reads.Add(-time.Duration(offset) * time.Second).In(zone)
		if !from.IsZero() && moment.Before(from) {
			moment = from
		}
		if to.IsZero() || moment.Before(to) {
			return moment
		}
		t = to
	}
}
