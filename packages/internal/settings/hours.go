package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxHours bounds PlayerSettings.Hours: two a day.
const MaxHours = 14

const (
	everyDay = 1<<7 - 1
	aDay     = 24 * 60 // minutes
)

// dayNames are the days from Monday on, as bit 0 of Hours.Weekdays.
func dayNames() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

// checkHours completes hours and puts them in order; they stay as they were where something is wrong.
func checkHours(list []Hours) (out []Hours, reason string) {
	if len(list) > MaxHours {
		return list, fmt.Sprintf("may be %d at most", MaxHours)
	}
	for _, h := range list {
		if h.ToMinute == 0 {
			h.ToMinute = aDay
		}
		switch {
		case h.Weekdays == 0 || h.Weekdays > everyDay:
			return list, "need at least one day of the week"
		case h.FromMinute < 0 || h.FromMinute >= aDay || h.ToMinute < 0 || h.ToMinute > aDay:
			return list, "must be from 00:00 to 24:00"
		}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	slices.SortStableFunc(out, func(a, b Hours) int {
		return cmp.Or(cmp.Compare(firstDay(a), firstDay(b)), cmp.Compare(a.FromMinute, b.FromMinute))
	})
	return out, ""
}

func firstDay(h Hours) int {
	for i := range 7 {
		if h.Weekdays&(1<<i) != 0 {
			return i
		}
	}
	return 7
}

// ParseHours reads hours as "mon-fri 08:00-20:00; sat 10:00-02:00": each has the days on which it begins, of which there
// may be several with spaces or commas between, and from when to when; an end before the beginning is on the next day.
// Without days it is every day. It returns a reason for people where that cannot be read.
func ParseHours(text string) (list []Hours, reason string) {
	const example = `; write it like "mon-fri 08:00-20:00; sat 10:00-16:00"`
	for part := range strings.SplitSeq(strings.ToLower(text), ";") {
		fields := strings.FieldsFunc(part, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' })
		if len(fields) == 0 {
			continue
		}
		h, ok := parseSpan(fields[len(fields)-1])
		if !ok {
			return nil, "has no time where one is needed" + example
		}
		for _, d := range fields[:len(fields)-1] {
			days, ok := parseDays(d)
			if !ok {
				return nil, "has no day of the week where one is needed; they are " + strings.Join(dayNames(), ", ") + example
			}
			h.Weekdays |= days
		}
		if h.Weekdays == 0 {
			h.Weekdays = everyDay
		}
		list = append(list, h)
		if len(list) > MaxHours {
			break
		}
	}
	if len(list) == 0 {
		return nil, "holds no hours" + example
	}
	return checkHours(list)
}

func parseSpan(text string) (h Hours, ok bool) {
	from, to, _ := strings.Cut(text, "-")
	h.FromMinute, ok = parseClock(from)
	if !ok || h.FromMinute == aDay {
		return h, false
	}
	h.ToMinute, ok = parseClock(to)
	return h, ok
}

// parseClock reads 00:00 to 24:00 as minutes.
func parseClock(text string) (minutes int, ok bool) {
	hour, minute, ok := strings.Cut(text, ":")
	h, errH := strconv.ParseUint(hour, 10, 8)
	m, errM := strconv.ParseUint(minute, 10, 8)
	if !ok || errH != nil || errM != nil || len(hour) > 2 || len(minute) != 2 || h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, false
	}
	return int(h*60 + m), true
}

// parseDays reads "mon" or "fri-mon"; whole names of days are understood.
func parseDays(text string) (days uint8, ok bool) {
	from, to, several := strings.Cut(text, "-")
	a, ok := parseDay(from)
	if !ok {
		return 0, false
	}
	b := a
	if several {
		if b, ok = parseDay(to); !ok {
			return 0, false
		}
	}
	for d := a; ; d = (d + 1) % 7 {
		days |= 1 << d
		if d == b {
			return days, true
		}
	}
}

func parseDay(text string) (day int, ok bool) {
	for i, full := range []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"} {
		if len(text) >= 3 && strings.HasPrefix(full, text) {
			return i, true
		}
	}
	return 0, false
}

// FormatHours writes hours as ParseHours reads them.
func FormatHours(list []Hours) string {
	var out []string
	for _, h := range list {
		out = append(out, strings.TrimSpace(formatDays(h.Weekdays)+" "+clock(h.FromMinute)+"-"+clock(h.ToMinute)))
	}
	return strings.Join(out, "; ")
}

// formatDays names days, in runs where they follow each other; nothing for every day.
func formatDays(days uint8) string {
	if days == everyDay {
		return ""
	}
	names := dayNames()
	var out []string
	for i := 0; i < 7; i++ {
		if days&(1<<i) == 0 {
			continue
		}
		end := i
		for end < 6 && days&(1<<(end+1)) != 0 {
			end++
		}
		switch end - i {
		case 0:
			out = append(out, names[i])
		case 1:
			out = append(out, names[i], names[end])
		default:
			out = append(out, names[i]+"-"+names[end])
		}
		i = end
	}
	return strings.Join(out, " ")
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
