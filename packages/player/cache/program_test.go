package cache_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/cache"
)

// TestAsAWhole: the old program stays until everything of the new one is here, and the newest wins.
func TestAsAWhole(t *testing.T) {
	s := newServer()
	a, b, c, d := s.put("a", content(1, 1000)), s.put("b", content(2, 1000)), s.put("c", content(3, 1000)), s.put("d", content(4, 1000))
	p := newPlayer(t, t.TempDir(), s)
	p.Want(show(1, a))
	p.plays(1, a)
	gate := make(chan struct{})
	s.set(func() { s.block = gate })
	p.Want(show(2, b, c))
	p.wait("b comes", func() bool { return p.State().Fetching == "b" })
	if st := p.State(); st.Revision != 1 || st.Coming != 2 || st.Missing != 2 || st.MissingBytes != 2000 || st.Size != 1000 {
		t.Errorf("%+v", st)
	}
	p.Want(show(3, a, d))
	p.Want(show(3, a, d))
	p.wait("b is given up for d", func() bool { return p.State().Fetching == "d" })
	s.set(func() { s.block = nil })
	close(gate)
	p.plays(3, a, d)
	p.never(2)
	// A wrong program changes nothing and is told.
	wrong := show(4, b)
	wrong.Playlists[0].Transition = "wipe"
	p.Want(wrong)
	if st := p.State(); st.Revision != 3 || !strings.Contains(st.Problem, "wipe") {
		t.Errorf("%+v", st)
	}
	// Back to what is here, with all of it: at once, from the disk.
	n := len(s.requests())
	p.Want(show(5, d, a))
	p.plays(5, d, a)
	if len(s.requests()) != n || p.State().Problem != "" {
		t.Errorf("%v, %+v", s.requests()[n:], p.State())
	}
}

// TestFirstProgram: with nothing to show before, whatever is here of the first program is shown.
func TestFirstProgram(t *testing.T) {
	s := newServer()
	a, b := s.put("a", content(1, 1000)), s.put("b", content(2, 1000))
	s.set(func() { s.errs[b.URL] = errors.New("no network") })
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, t.TempDir(), s)
		p.Want(show(1, a, b))
		p.plays(1, a)
		if st := p.State(); st.Coming != 1 || st.Missing != 1 {
			t.Errorf("%+v", st)
		}
		s.set(func() { delete(s.errs, b.URL) })
		p.plays(1, a, b)
		p.stop()
	})
}

// TestNothingNew: a program of which nothing can be had does not take the old one's place.
func TestNothingNew(t *testing.T) {
	s := newServer()
	old, a := s.put("old", content(1, 1000)), s.put("a", content(2, 1000))
	s.set(func() { s.errs[a.URL] = cache.ErrGone })
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, t.TempDir(), s)
		p.Want(show(1, old))
		p.plays(1, old)
		p.Want(show(2, a))
		p.wait("a reason", func() bool { return strings.Contains(p.State().Problem, "the old one goes on") })
		<-time.After(3 * time.Hour)
		p.never(2)
		s.set(func() { delete(s.errs, a.URL) })
		p.plays(2, a)
		// But one that has nothing does: somebody wanted that.
		p.Want(show(3))
		p.plays(3)
		p.stop()
	})
}

// TestInterrupt: what is urgent does not wait for a video.
func TestInterrupt(t *testing.T) {
	s := newServer()
	old, big, alarm := s.put("old", content(1, 1000)), s.put("big", content(2, 1000)), s.put("alarm", content(3, 1000))
	s.set(func() { s.errs[big.URL] = errors.New("slow") })
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := newPlayer(t, dir, s)
		p.Want(show(1, old))
		p.plays(1, old)
		next := show(2, big)
		next.Playlists = append(next.Playlists, program.Playlist{ID: 5, Name: "alarm", Transition: "cut", Items: []program.Item{alarm}})
		next.Interrupts = []program.Interrupt{
			{ID: 1, Text: "Fire", Ends: time.Now().Add(time.Hour)},
			{ID: 2, Playlist: 5, Ends: time.Now().Add(time.Hour)},
			{ID: 3, Playlist: 1, Ends: time.Now().Add(time.Hour)},
		}
		p.Want(next)
		p.plays(1, old, alarm)
		now, _ := p.Current()
		if len(now.Interrupts) != 2 || program.Resolve(now, time.Now()).Playlist.ID != 5 {
			t.Errorf("%+v", now.Interrupts)
		}
		// It survives a restart, and ends when it is taken back.
		p.stop()
		p = newPlayer(t, dir, s)
		if again, _ := p.Current(); len(again.Interrupts) != 2 {
			t.Errorf("%+v", again.Interrupts)
		}
		next.Interrupts, next.Revision = nil, 3
		p.Want(next)
		p.wait("the interruptions end", func() bool { now, _ := p.Current(); return len(now.Interrupts) == 0 })
		p.stop()
	})
}

// TestRestless: a server that sends another program every minute does not keep a bad medium from being left out.
func TestRestless(t *testing.T) {
	s := newServer()
	old, a, b := s.put("old", content(1, 1000)), s.put("a", content(2, 1000)), s.put("b", content(3, 1000))
	s.set(func() { s.errs[a.URL] = cache.ErrServer })
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, t.TempDir(), s)
		p.Want(show(1, old))
		p.plays(1, old)
		for n := range int64(60) {
			next := show(2, a, b)
			next.Screenshot = n
			p.Want(next)
			<-time.After(time.Minute)
		}
		p.plays(2, b)
		// The next one tries it before it is taken without.
		s.set(func() { delete(s.errs, a.URL) })
		p.Want(show(3, a, b))
		p.plays(3, a, b)
		if p.wasReady(3, b) {
			t.Error("it was taken without a")
		}
		p.stop()
	})
}

// TestSameAgain: a restart and the same program again change nothing on the disk, and nobody is told.
func TestSameAgain(t *testing.T) {
	s, dir := newServer(), t.TempDir()
	a := s.put("a", content(1, 1000))
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, dir, s)
		p.Want(show(1, a))
		p.plays(1, a)
		p.stop()
		before, err := os.Stat(filepath.Join(dir, "program.json"))
		if err != nil {
			t.Fatal(err)
		}
		p = newPlayer(t, dir, s)
		again := show(1, a)
		again.Time = time.Now()
		p.Want(again)
		<-time.After(time.Hour)
		p.stop()
		after, err := os.Stat(filepath.Join(dir, "program.json"))
		if err != nil || len(p.ready) != 0 || !os.SameFile(before, after) {
			t.Errorf("%d times ready, %v", len(p.ready), err)
		}
	})
}
