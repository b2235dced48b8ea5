package power_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/settings"
	"porthole/packages/player/power"
)

const weekdays, weekend, everyDay = 0b0011111, 0b1100000, 0b1111111

func at(t *testing.T, zone, clock string) time.Time {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	v, err := time.ParseInLocation("Mon 2006-01-02 15:04:05", clock, l)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestHours(t *testing.T) {
	const berlin = "Europe/Berlin"
	shop := []settings.Hours{{Weekdays: weekdays, FromMinute: 8 * 60, ToMinute: 20 * 60}, {Weekdays: weekend, FromMinute: 10 * 60, ToMinute: 16 * 60}}
	bar := []settings.Hours{{Weekdays: 0b0110000, FromMinute: 20 * 60, ToMinute: 3 * 60}} // the nights after Friday and Saturday
	halves := []settings.Hours{
		{Weekdays: everyDay, FromMinute: 0, ToMinute: 12 * 60}, {Weekdays: everyDay, FromMinute: 11 * 60, ToMinute: 0},
	}
	split := []settings.Hours{
		{Weekdays: everyDay, FromMinute: 8 * 60, ToMinute: 12 * 60}, {Weekdays: everyDay, FromMinute: 12 * 60, ToMinute: 18 * 60},
	}
	for _, tt := range []struct {
		what  string
		hours []settings.Hours
		now   string
		on    bool
		next  string // empty: never
	}{
		{"no hours", nil, "Mon 2026-03-02 03:00:00", true, ""},
		{"before opening", shop, "Mon 2026-03-02 07:59:59", false, "Mon 2026-03-02 08:00:00"},
		{"opening", shop, "Mon 2026-03-02 08:00:00", true, "Mon 2026-03-02 20:00:00"},
		{"the last second", shop, "Mon 2026-03-02 19:59:59", true, "Mon 2026-03-02 20:00:00"},
		{"closing", shop, "Mon 2026-03-02 20:00:00", false, "Tue 2026-03-03 08:00:00"},
		{"before the weekend", shop, "Fri 2026-03-06 20:00:00", false, "Sat 2026-03-07 10:00:00"},
		{"after midnight", bar, "Sat 2026-03-07 02:59:59", true, "Sat 2026-03-07 03:00:00"},
		{"the night after Sunday", bar, "Mon 2026-03-09 01:00:00", false, "Fri 2026-03-13 20:00:00"},
		{"all day in two parts", halves, "Mon 2026-03-02 11:30:00", true, ""},
		{"hours that touch", split, "Mon 2026-03-02 09:00:00", true, "Mon 2026-03-02 18:00:00"},
		{"clocks put forward", []settings.Hours{{Weekdays: everyDay, FromMinute: 150, ToMinute: 240}}, "Sun 2026-03-29 03:00:00", true, "Sun 2026-03-29 04:00:00"},
		{"a whole day", []settings.Hours{{Weekdays: 1, FromMinute: 0, ToMinute: 1440}}, "Mon 2026-03-02 23:59:59", true, "Tue 2026-03-03 00:00:00"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			now := at(t, berlin, tt.now)
			s := power.At(settings.PlayerSettings{Hours: tt.hours}, berlin, now.UTC(), true)
			var next time.Time
			if tt.next != "" {
				next = at(t, berlin, tt.next)
			}
			if s.On != tt.on || !s.Next.Equal(next) || s.Note != "" {
				t.Errorf("%s: %+v, want on %v until %v", now, s, tt.on, next)
			}
			if (s.Off != "") == s.On || !s.On && s.Off != settings.OffSignal {
				t.Errorf("what it does: %q", s.Off)
			}
		})
	}
	s := power.At(settings.PlayerSettings{Hours: shop, Off: settings.OffBlack}, berlin, at(t, berlin, "Mon 2026-03-02 03:00:00"), true)
	if s.On || s.Off != settings.OffBlack {
		t.Errorf("black was asked for: %+v", s)
	}
}

// TestInDoubtOn: whatever is wrong, the screen is on and it is said why.
func TestInDoubtOn(t *testing.T) {
	never := []settings.Hours{{Weekdays: 1, FromMinute: 60, ToMinute: 61}}
	now := at(t, "Europe/Berlin", "Wed 2026-03-04 03:00:00")
	for what, tt := range map[string]struct {
		hours []settings.Hours
		zone  string
		sure  bool
		note  string
	}{
		"the clock is not sure":  {never, "Europe/Berlin", false, "right time"},
		"no zone":                {never, "", true, "time zone"},
		"a zone that is none":    {never, "Mars/Olympus", true, "time zone"},
		"no day of the week":     {[]settings.Hours{{FromMinute: 60, ToMinute: 61}}, "Europe/Berlin", true, "not valid"},
		"a day has 1440 minutes": {[]settings.Hours{{Weekdays: 1, FromMinute: 60, ToMinute: 1441}}, "Europe/Berlin", true, "not valid"},
		"one of two is wrong":    {append(never, settings.Hours{Weekdays: 128, ToMinute: 5}), "Europe/Berlin", true, "not valid"},
	} {
		if s := power.At(settings.PlayerSettings{Hours: tt.hours}, tt.zone, now, tt.sure); !s.On || s.Off != "" || !strings.Contains(s.Note, tt.note) {
			t.Errorf("%s: %+v", what, s)
		}
	}
	if s := power.At(settings.PlayerSettings{Hours: never}, "Europe/Berlin", now, true); s.On {
		t.Errorf("with nothing wrong: %+v", s)
	}
}

// TestMinutes compares with the wall clock, minute by minute, on days without a change of it.
func TestMinutes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		h := settings.Hours{Weekdays: uint8(1 + r.IntN(127)), FromMinute: r.IntN(1440), ToMinute: r.IntN(1441)}
		to := h.ToMinute
		if to <= h.FromMinute && to != 0 || to == 0 && h.FromMinute == 0 {
			to += 1440
		} else if to == 0 {
			to = 1440
		}
		now := at(t, "UTC", "Mon 2026-03-02 00:00:00").Add(time.Duration(r.IntN(7*1440)) * time.Minute)
		on := func(now time.Time) bool {
			minute, day := now.Hour()*60+now.Minute(), (int(now.Weekday())+6)%7
			today := h.Weekdays&(1<<day) != 0 && minute >= h.FromMinute && minute < to
			yesterday := h.Weekdays&(1<<((day+6)%7)) != 0 && minute+1440 < to
			return today || yesterday
		}
		s := power.At(settings.PlayerSettings{Hours: []settings.Hours{h}}, "UTC", now, true)
		if s.On != on(now) {
			t.Fatalf("%+v at %v: %+v", h, now.Format("Mon 15:04"), s)
		}
		if s.Next.IsZero() {
			for m := range 8 * 1440 {
				if on(now.Add(time.Duration(m)*time.Minute)) != s.On {
					t.Fatalf("%+v at %v never changes, it says", h, now.Format("Mon 15:04"))
				}
			}
			continue
		}
		for m := now; m.Before(s.Next); m = m.Add(time.Minute) {
			if on(m) != s.On {
				t.Fatalf("%+v at %v changes at %v, not %v", h, now.Format("Mon 15:04"), m, s.Next)
			}
		}
		if on(s.Next) == s.On {
			t.Fatalf("%+v at %v does not change at %v", h, now.Format("Mon 15:04"), s.Next)
		}
	}
}

func FuzzAt(f *testing.F) {
	f.Add(uint8(1), 0, 0, uint8(64), 1439, 1, int64(1_800_000_000), "Europe/Berlin")
	f.Add(uint8(127), 600, 300, uint8(0), -1, 99999, int64(-1), "")
	f.Fuzz(func(t *testing.T, days uint8, from, to int, days2 uint8, from2, to2 int, unix int64, zone string) {
		now := time.Unix(unix%(1<<36), 0)
		hours := []settings.Hours{{Weekdays: days, FromMinute: from, ToMinute: to}, {Weekdays: days2, FromMinute: from2, ToMinute: to2}}
		s := power.At(settings.PlayerSettings{Hours: hours}, zone, now, true)
		if !s.Next.IsZero() && !s.Next.After(now) || s.On != (s.Off == "") {
			t.Errorf("at %v: %+v", now, s)
		}
	})
}
