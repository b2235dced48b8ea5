// Package power decides when the screen is on. In doubt it is: a dark screen by mistake is what nobody forgives.
package power

import (
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
)

// State is whether the screen is on, for player.sock.
type State struct {
	On bool `json:"on"`
	// Off is what the screen does while it is not on: "signal" or "black".
	Off settings.Off `json:"off,omitempty"`
	// Next is when it changes by itself, zero for never.
	Next time.Time `json:"next,omitzero"`
	// Note says in a sentence why the screen's hours are not followed, or is empty.
	Note string `json:"note,omitempty"`
}

// maxChanges bounds how many beginnings and ends of hours are looked at for the next change: a few weeks' worth, after which
// all hours have come again.
const maxChanges = 500

// At says whether the screen is on at a time, by the hours of the settings in an IANA time zone. Sure says that the clock is
// right: without that, without a zone, or with hours that make no sense, the screen is on.
func At(s settings.PlayerSettings, zone string, now time.Time, sure bool) State {
	if len(s.Hours) == 0 {
		return State{On: true}
	}
	if _, ok := program.Zone(zone); !ok {
		return State{On: true, Note: "The screen stays on: its hours need the device's time zone. Choose it in the console."}
	}
	hours, ok := schedule(s.Hours, zone)
	if !ok {
		return State{On: true, Note: "The screen stays on: its hours are not valid. Enter them again in the console."}
	}
	if !sure {
		return State{On: true, Note: "The screen stays on: its hours wait for the right time."}
	}
	state := State{On: hours.At(now).Rule != 0, Next: next(hours, now)}
	if state.On {
		return state
	}
	state.Off = s.Off
	if state.Off != settings.OffBlack {
		state.Off = settings.OffSignal
	}
	return state
}

// schedule makes a program of hours: a rule applies while the screen is on.
func schedule(hours []settings.Hours, zone string) (*program.Schedule, bool) {
	const list = 1
	p := program.Program{Timezone: zone, Playlists: []program.Playlist{{ID: list, Name: "on", Items: make([]program.Item, 1)}}}
	for i, h := range hours {
		if h.Weekdays == 0 || h.Weekdays > 0x7f || h.FromMinute < 0 || h.FromMinute > 1439 || h.ToMinute < 0 || h.ToMinute > 1440 {
			return nil, false
		}
		r := program.Rule{
			ID: int64(i + 1), Name: "on", Playlist: list, Weekdays: h.Weekdays, FromMinute: h.FromMinute, ToMinute: h.ToMinute, Priority: 1,
		}
		if r.ToMinute == 0 {
			r.ToMinute = 1440 // midnight
		}
		p.Rules = append(p.Rules, r)
	}
	return program.NewSchedule(p), true
}

// next is when the screen changes: not where one pair of hours begins before another ends.
func next(s *program.Schedule, now time.Time) time.Time {
	on := s.At(now).Rule != 0
	for range maxChanges {
		now = s.At(now).Until
		if now.IsZero() || (s.At(now).Rule != 0) != on {
			return now
		}
	}
	return time.Time{}
}
