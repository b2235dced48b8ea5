package cache_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/testkit"
	"porthole/packages/player/cache"
)

// TestDiskFull has a file system of 24 MB and 64 files.
func TestDiskFull(t *testing.T) {
	disk, inside := testkit.SmallDisk(t, "size=24m,nr_inodes=64")
	if !inside {
		return
	}
	const mb = 1 << 20
	s, dir := newServer(), filepath.Join(disk, "cache")
	reserve := func(c *cache.Config) { c.Limit, c.Reserve = 0, 2*mb }
	p := newPlayer(t, dir, s, reserve)
	if st := p.State(); st.Limit > 22*mb || st.Limit < 21*mb {
		t.Errorf("limit %d", st.Limit)
	}
	filler := filepath.Join(disk, "filler")
	a, b, c := s.put("a", content(1, 5*mb)), s.put("b", content(2, 5*mb)), s.put("c", content(3, 9*mb))
	p.Want(show(1, b))
	p.plays(1, b)

	// What nobody needs does not take others' space.
	p.Want(show(1, a))
	p.plays(1, a)
	if n := len(p.files("media")); n != 2 {
		t.Errorf("%d files while there is space", n)
	}
	fill(t, filler, 10*mb)
	p.Want(show(1, a, text(9, "hello")))
	p.plays(1, a, text(9, ""))
	p.wait("b goes", func() bool { return len(p.files("media")) == 1 })
	os.Remove(filler)

	// Something else fills the disk: what is coming does not fit, what plays goes on, and says why.
	fill(t, filler, 14*mb)
	p.Want(show(2, a, b))
	p.plays(2, a)
	leftOut := func(reason string) {
		t.Helper()
		p.wait("left out: "+reason, func() bool {
			st := p.State()
			return len(st.Failed) == 1 && strings.Contains(st.Failed[0].Reason, reason)
		})
	}
	leftOut("There is no space for it: 2.2 MB are missing")
	os.Remove(filler)
	p.Want(show(3, b, a)) // or half a minute later, by itself
	p.plays(3, b, a)

	// It fills while a download runs, faster than anybody looks: the kernel's own word for it.
	gate := make(chan struct{})
	s.set(func() { s.block = gate })
	p.Want(show(4, a, c))
	p.wait("c comes", func() bool { return p.State().Fetching == "c" })
	fill(t, filler, 11*mb)
	s.set(func() { s.block = nil })
	close(gate)
	p.plays(4, a)
	leftOut("no space")
	os.Remove(filler)
	p.Want(show(5, a, b))
	p.plays(5, a, b)

	// No room for another file: the program plays all the same, and is kept as soon as that is possible.
	var more []string
	for i := 0; ; i++ {
		name := filepath.Join(disk, fmt.Sprint("more", i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			break
		}
		more = append(more, name)
	}
	p.Want(show(6, a, b, text(9, "hello")))
	p.plays(6, a, b, text(9, ""))
	if st := p.State(); !strings.Contains(st.Problem, "The disk is full") {
		t.Errorf("%+v", st)
	}
	stored := cache.New(cache.Config{Log: slog.New(slog.DiscardHandler), Dir: dir, Now: time.Now})
	if now, ok := stored.Current(); !ok || now.Revision != 5 || !slices.Equal(idsOf(now), []int64{a.ID, b.ID}) {
		t.Errorf("on the disk: %+v", now)
	}
	for _, name := range more {
		os.Remove(name)
	}
	p.Want(show(7, a, text(9, "hello again")))
	p.plays(7, a, text(9, ""))
	p.wait("no problem", func() bool { return p.State().Problem == "" })
	p.stop()
	p = newPlayer(t, dir, s, reserve)
	if now, _ := p.Current(); now.Revision != 7 {
		t.Errorf("%+v", now)
	}
}

func fill(t *testing.T, name string, size int) {
	t.Helper()
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
}
