package main_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/packages/internal/settings"
	player "porthole/packages/player"
	"porthole/packages/player/cache"
	"porthole/packages/player/clock"
	"porthole/packages/player/facts"
	"porthole/packages/player/link"
	"porthole/packages/player/stage"
)

// TestProgramSayings: while no program plays, the status screen says why and what to do.
func TestProgramSayings(t *testing.T) {
	const server = "https://signs.example.org"
	good := clock.State{Source: clock.System}
	for name, c := range map[string]struct {
		asked player.Asked
		show  settings.Show
		want  string
	}{
		"nobody asked for one": {player.NewAsked(false, link.State{Kind: link.Own, Connected: true}, cache.State{}, good), "", ""},
		"an empty one": {
			player.NewAsked(false, link.State{Kind: link.Own, Connected: true}, cache.State{}, good), settings.ShowProgram,
			"There is nothing to show now. In the console, give this screen a playlist with something in it.",
		},
		"another server's": {
			player.NewAsked(false, link.State{Kind: link.DigiServer, Server: server, Connected: true, Fingerprint: "AB:CD"}, cache.State{}, good), "",
			server + " has nothing for this screen now. The certificate of signs.example.org begins with AB:CD.",
		},
		"a code": {
			player.NewAsked(false, link.State{Kind: link.Porthole, PairingCode: "BCDF-2345", PairingURI: server + "/screens/pair"}, cache.State{}, good), "",
			"To connect this screen, open " + server + "/screens/pair and type the code BCDF-2345.",
		},
		"a problem": {
			player.NewAsked(false, link.State{Kind: link.Porthole, Server: server, Problem: "It is wrong.", Step: "Mend it."}, cache.State{}, good), "", "It is wrong. Mend it.",
		},
		"another certificate": {
			player.NewAsked(false, link.State{
				Kind: link.Porthole, Server: server, Problem: "It is another one", Step: "Look", Pending: "01", Fingerprint: "01:02:03:04:05:06:07:08:09:0A",
			}, cache.State{}, good), "",
			"It is another one. Look. The certificate of signs.example.org begins with 01:02:03:04:05:06:07:08; it is not the one that was known.",
		},
		"downloads": {
			player.NewAsked(false, link.State{Kind: link.Own, Connected: true}, cache.State{Missing: 3, MissingBytes: 12_300_000}, good), "",
			"What is to be shown is being downloaded: 3 files to go, 13 MB.",
		},
		"a full card": {
			player.NewAsked(false, link.State{Kind: link.Own, Connected: true}, cache.State{Missing: 1, MissingBytes: 1, Problem: "The card is full."}, good), "",
			"The card is full.",
		},
		"no time": {
			player.NewAsked(false, link.State{}, cache.State{}, clock.State{Source: clock.LastKnown, Now: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)}), "",
			"The time is not known: neither network nor server has told it. Schedules go on from the last known time, 3 November 2026.",
		},
		"the server's time": {
			player.NewAsked(false, link.State{}, cache.State{}, clock.State{Source: clock.Server}), "", "The time is the signage server's: no time server answers.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			direct(t, func(t *testing.T, d *player.Director, s *screen) {
				d.Facts(reachable)
				d.View(settings.Player{Settings: settings.PlayerSettings{Show: c.show}})
				d.Program(c.asked)
				if shows, _, messages := s.after(40 * time.Second); shows != "status" || messages != c.want {
					t.Errorf("%s, %q, want %q", shows, messages, c.want)
				}
			})
		})
	}
}

// TestProgramOnScreen: a program has the screen while it plays and is wanted, and the status screen is there otherwise.
func TestProgramOnScreen(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		statuses := func() int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.statuses
		}
		playing, over := player.NewAsked(true, link.State{}, cache.State{}, clock.State{}), player.NewAsked(false, link.State{}, cache.State{}, clock.State{})
		d.View(settings.Player{Settings: settings.PlayerSettings{Orientation: "portrait", Mode: "1280x720@50"}})
		s.after(time.Second)
		d.Program(playing)
		s.after(time.Second)
		before := statuses()
		if s.after(time.Hour); statuses() != before {
			t.Error("the status screen was drawn over a program")
		}
		if s.turn != 90 || s.mode != (display.Mode{Width: 1280, Height: 720, RefreshMilliHz: 50_000}) {
			t.Errorf("the screen is turned by %d, in the mode %v", s.turn, s.mode)
		}
		d.Program(playing.Problem("No new picture from Barn: it sends nothing."))
		if _, note, _ := s.after(time.Second); note != "No new picture from Barn: it sends nothing." {
			t.Errorf("note %q", note)
		}
		d.Program(playing)
		if _, note, _ := s.after(time.Second); note != "" {
			t.Errorf("note %q", note)
		}
		d.Program(over)
		if s.after(time.Second); statuses() != before+1 {
			t.Error("a program is over, and the status screen does not come")
		}
		d.Program(playing)
		s.after(time.Second)
		d.View(settings.Player{Settings: settings.PlayerSettings{Show: settings.ShowStatus}})
		if s.after(time.Second); statuses() != before+2 {
			t.Error("the status screen is wanted, and does not come")
		}
	})
}

// TestProgramFails: where nothing helps but a new process, the director ends with the reason.
func TestProgramFails(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		s.after(time.Second)
		d.Fail(errTest)
		before := d.Problems()
		s.after(time.Minute)
		s.mu.Lock()
		drawn := s.statuses
		s.mu.Unlock()
		s.after(time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.statuses != drawn {
			t.Errorf("the director goes on: %s", strings.Join(before, " "))
		}
	})
}

// reachable is a device in a network, with an owner.
var reachable = facts.Facts{
	Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}, Claim: facts.Claim{Known: true, Claimed: true},
}

// TestScreenHoursAndLog: the screen is on in its hours, and shows the log while that is wanted.
func TestScreenHoursAndLog(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		// The bubble's time begins on a Saturday at midnight UTC.
		d.Program(player.NewAsked(true, link.State{}, cache.State{}, clock.State{Source: clock.System, Now: time.Now()}))
		view := settings.Player{Timezone: "UTC", Settings: settings.PlayerSettings{Log: true, Hours: []settings.Hours{{Weekdays: 127, FromMinute: 480, ToMinute: 1200}}}}
		state := func(v settings.Player) (stage.Light, int) {
			d.View(v)
			s.after(time.Second)
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.light, len(s.log)
		}
		if light, lines := state(view); light != stage.SignalOff || lines != 1 {
			t.Errorf("at night: %q, %d lines of log", light, lines)
		}
		view.Settings.Off = settings.OffBlack
		if light, _ := state(view); light != stage.Black {
			t.Errorf("black at night: %q", light)
		}
		d.Program(player.NewAsked(true, link.State{}, cache.State{}, clock.State{Source: clock.System, Now: time.Now().Add(9 * time.Hour)}))
		view.Settings.Log = false
		if light, lines := state(view); light != stage.Lit || lines != 0 {
			t.Errorf("by day: %q, %d lines of log", light, lines)
		}
	})
}
