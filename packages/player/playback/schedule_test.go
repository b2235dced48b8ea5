package playback_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/program"
)

// two is a program whose base is red and blue, one second each, with a second playlist, green.
func two() program.Program {
	p := list("cut", still('r', time.Second), still('b', time.Second))
	g := list("cut", still('g', time.Second)).Playlists[0]
	g.ID, g.Name = 2, "green"
	p.Playlists = append(p.Playlists, g)
	return p
}

// TestInterrupt: an interruption begins at once, and when it ends, what it cut off begins anew.
func TestInterrupt(t *testing.T) {
	for name, i := range map[string]program.Interrupt{
		"by a playlist": {ID: 5, Playlist: 2}, "by a text": {ID: 5, Text: "g for go"},
	} {
		t.Run(name, func(t *testing.T) {
			p := two()
			r := start(t, p, setup{})
			r.step(1 + 60 + 20) // blue, for 20 refreshes
			i.Begins, i.Ends = r.wall().Add(-time.Hour), r.wall().Add(90*time.Second/60)
			p.Interrupts = []program.Interrupt{i}
			r.engine.SetProgram(p)
			r.step(20)
			if s := r.engine.State(); s.Interrupt != 5 || s.Item.Kind == "" {
				t.Errorf("state %+v", s)
			}
			r.step(70 + 60 + 40)
			// It takes a moment to be ready.
			var blue, green int
			if n, err := fmt.Sscanf(r.spans(), "r60 b%d g%d b60 r", &blue, &green); n != 2 || err != nil || blue < 20 || blue > 40 || blue+green < 108 || blue+green > 125 {
				t.Errorf("on the screen: %s (%v)", r.spans(), err)
			}
			if g := r.engine.State().Gaps; g.Late != 0 {
				t.Errorf("gaps %+v with %s", g, r.spans())
			}
		})
	}
}

// TestRules: a rule's playlist begins with the change of items after it, prepared ahead; then the base goes on.
func TestRules(t *testing.T) {
	p := two()
	// From 12:01, for a minute: 30.5 s of items before it, as they end half a second after.
	p.Rules = []program.Rule{{ID: 7, Playlist: 2, FromMinute: 12*60 + 1, ToMinute: 12*60 + 2, Weekdays: 127, Priority: 1}}
	p.Playlists[0].Items[0].DurationMS = 1500
	r := start(t, p, setup{})
	r.step(1 + 61*60)
	got := r.spans()
	if want := strings.Repeat("r90 b60 ", 24) + "g"; !strings.HasPrefix(got, want) {
		t.Errorf("on the screen: %s; want %s", got, want)
	}
	if s := r.engine.State(); s.Rule != 7 || s.Playlist != 2 || s.PlaylistName != "green" || s.Gaps.Late != 0 {
		t.Errorf("state %+v", s)
	}
	r.step(60 * 60)
	if s := r.engine.State(); s.Rule != 0 || s.Playlist != 1 {
		t.Errorf("state %+v", s)
	}
}

// TestPrograms: another program plays from the next change of items on; one that plays the same changes nothing; without
// anything to play the engine says so, and begins again when there is.
func TestPrograms(t *testing.T) {
	p := two()
	r := start(t, p, setup{})
	r.step(1 + 20)
	p.Revision, p.Playlists = 2, append([]program.Playlist(nil), p.Playlists...)
	r.engine.SetProgram(p)
	r.step(60)
	p.Base = 2
	r.engine.SetProgram(p)
	r.step(60)
	if got := r.spans(); !strings.HasPrefix(got, "r60 b60 g") {
		t.Errorf("on the screen: %s", got)
	}
	p.Base = 77
	r.engine.SetProgram(p)
	r.run("nothing plays", func() bool { return !r.engine.State().Playing })
	if last := r.hues(); last[len(last)-1] != 'g' {
		t.Errorf("the last picture does not stay: %s", last)
	}
	p.Base = 1
	r.engine.SetProgram(p)
	r.until("it plays again", r.engine.Settled)
	r.step(30)
	if got := r.hues(); got != "rbgr" || !r.engine.State().Playing {
		t.Errorf("on the screen: %s", got)
	}
}

// TestPatience: an item that lasts for hours does not keep another program away for as long.
func TestPatience(t *testing.T) {
	p := two()
	p.Playlists[0].Items[0].DurationMS = 24 * 3600 * 1000
	r := start(t, p, setup{})
	r.step(30)
	p.Base = 2
	r.engine.SetProgram(p)
	r.engine.Impatient()
	r.run("the other playlist plays", func() bool { return r.hues() == "rg" })
}

// TestVersions: in a new version of a playlist it goes on after the item that was on the screen, and a crossfade shows both.
func TestVersions(t *testing.T) {
	p := list("cut", still('r', time.Second), still('g', time.Second), still('b', time.Second))
	r := start(t, p, setup{})
	r.step(1 + 60 + 20)
	n := list("crossfade", still('y', time.Second), still('g', time.Second), still('m', time.Second))
	n.Playlists[0].Version = 2
	n.Playlists[0].Items[0].ID = 9
	r.engine.SetProgram(n)
	r.step(40 + 120)
	got := r.spans()
	// Half a second of mixtures each time.
	if !strings.HasPrefix(got, "r60 g6") || !strings.Contains(got, "+") {
		t.Errorf("on the screen: %s", got)
	}
	if h := strings.ReplaceAll(r.hues(), "+", ""); h != "rgmy" {
		t.Errorf("on the screen: %s", h)
	}
	if s := r.engine.State(); s.Version != 2 || s.Gaps.Late != 0 {
		t.Errorf("state %+v", s)
	}
}

// TestFallback: while nothing of what is due can be played, the base is; what is due comes as soon as it can.
func TestFallback(t *testing.T) {
	for name, change := range map[string]func(*program.Program){
		"rule": func(p *program.Program) {
			p.Rules = []program.Rule{{ID: 7, Playlist: 2, FromMinute: 0, ToMinute: 1440, Weekdays: 127, Priority: 1}}
		},
		"interruption": func(p *program.Program) {
			p.Interrupts = []program.Interrupt{{ID: 7, Playlist: 2, Begins: time.Unix(0, 0), Ends: time.Unix(1<<33, 0)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := two()
			p.Playlists[1].Items = []program.Item{still('x', time.Second), still('k', time.Second)}
			for i := range p.Playlists[1].Items {
				p.Playlists[1].Items[i].ID, p.Playlists[1].Items[i].Fit = int64(100+i), "fit"
			}
			change(&p)
			r := start(t, p, setup{})
			r.step(1 + 60 + 60 + 30)
			r.checkSpans("r60 b60 r30")
			s := r.engine.State()
			if len(s.Skipped) != 2 || s.Playlist != 1 || !s.Playing {
				t.Errorf("state %+v", s)
			}
			b, err := os.ReadFile(filepath.Join(r.dir, "g.png"))
			if err != nil {
				t.Fatal(err)
			}
			write(b)(r, filepath.Join(r.dir, "x.png"))
			r.engine.Pardon()
			r.run("what is due is on the screen", func() bool { return strings.HasSuffix(r.hues(), "g") })
			if s := r.engine.State(); s.Playlist != 2 {
				t.Errorf("state %+v", s)
			}
		})
	}
}
