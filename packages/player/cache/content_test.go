package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/cache"
)

// unhashed is an item as the original server has it.
func unhashed(i program.Item) program.Item {
	i.SHA256, i.SizeBytes = "", 0
	return i
}

// TestWithoutHash: a server that does not say what its media contain is asked again, for one byte.
func TestWithoutHash(t *testing.T) {
	s, dir := newServer(), t.TempDir()
	a, b := unhashed(s.put("a", content(1, 5000))), unhashed(s.put("b", content(2, 5000)))
	old := hashOf(s.files[a.URL])
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, dir, s)
		p.Want(show(1, a))
		p.plays(1, a)
		now, _ := p.Current()
		if i := now.Playlists[0].Items[0]; i.SHA256 != old || i.SizeBytes != 5000 {
			t.Errorf("%+v", i)
		}
		p.stop()
		// From the disk, without network.
		s.set(func() { s.errs["*"] = errors.New("no network"); s.asked = nil })
		p = newPlayer(t, dir, s)
		now, _ = p.Current()
		p.opens(now)
		if n := len(idsOf(now)); n != 1 {
			t.Errorf("%d items", n)
		}
		// The same again: one byte. Another tag: all of it. No file: what is here.
		s.set(func() { delete(s.errs, "*"); s.asked = nil })
		p.Want(show(2, a, b))
		p.plays(2, a, b)
		if r := s.requests(); len(r) != 2 || r[0].offset+r[1].offset != 4999 {
			t.Errorf("%v", r)
		}
		s.set(func() { s.files[a.URL] = content(3, 7000); s.asked = nil })
		p.Want(show(3, a))
		p.plays(3, a)
		now, _ = p.Current()
		if i := now.Playlists[0].Items[0]; i.SHA256 != hashOf(content(3, 7000)) || len(s.requests()) != 1 {
			t.Errorf("%+v, %v", i, s.requests())
		}
		s.set(func() { s.errs["*"] = cache.ErrGone })
		p.Want(show(4, b, a))
		p.plays(4, b, a)
		// A server that resumes what has changed all the same.
		s.set(func() {
			delete(s.errs, "*")
			s.files[b.URL] = content(4, 6000)
			s.tags[b.URL] = `"other"`
		})
		careless := sourceFunc(func(url string, offset int64, _ string) (*cache.Part, error) {
			return s.Get(t.Context(), url, offset, "")
		})
		p.stop()
		p = newPlayer(t, dir, careless)
		p.Want(show(5, b))
		p.plays(5, b)
		now, _ = p.Current()
		if i := now.Playlists[0].Items[0]; i.SHA256 != hashOf(content(4, 6000)) {
			t.Errorf("%+v", i)
		}
		p.stop()
	})
}

// TestSpace: what no program needs goes when there is no more space, that which was not played for the longest time first.
func TestSpace(t *testing.T) {
	s, dir := newServer(), t.TempDir()
	var items []program.Item
	for n := range 8 {
		items = append(items, s.put(string(rune('a'+n)), content(uint64(n), 1000)))
	}
	limit := func(c *cache.Config) { c.Limit = 4500 }
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, dir, s, limit)
		for n := range 4 {
			p.Want(show(int64(n+1), items[n]))
			p.plays(int64(n+1), items[n])
			<-time.After(2 * time.Hour)
		}
		if st := p.State(); st.Files != 4 || st.Limit != 4500 {
			t.Errorf("%+v", st)
		}
		p.stop()
		p = newPlayer(t, dir, s, limit)
		p.Want(show(5, items[0], items[3])) // a is played anew, from the disk
		p.plays(5, items[0], items[3])
		p.Want(show(6, items[3], items[4], items[5]))
		p.plays(6, items[3], items[4], items[5])
		has := func(want ...int) {
			t.Helper()
			var hashes []string
			for _, n := range want {
				hashes = append(hashes, items[n].SHA256)
			}
			slices.Sort(hashes)
			if got := p.files("media"); !slices.Equal(got, hashes) {
				t.Errorf("%v, want %v: %v", got, want, hashes)
			}
		}
		has(0, 3, 4, 5)
		// Never what is playing or coming: d, e and f stay while g and h come, for which there is only room for one.
		p.Want(show(7, items[6], items[7], items[3]))
		// And h as soon as the old one has gone.
		p.plays(7, items[6], items[7], items[3])
		if !p.wasReady(7, items[6], items[3]) || !strings.Contains(p.log.String(), "500 bytes are missing") {
			t.Errorf("h had room\n%s", p.log)
		}
		p.stop()
	})
}

// TestTooLarge: what can never fit is left out and costs nothing else its place.
func TestTooLarge(t *testing.T) {
	s := newServer()
	old, unused, small, huge := s.put("old", content(1, 1000)), s.put("unused", content(2, 1000)), s.put("small", content(3, 2500)), s.put("huge", content(4, 9000))
	for name, change := range map[string]func(){
		"said in the program": func() {},
		"said by the server":  func() { huge.SizeBytes = 0 },
		"never said":          func() { s.set(func() { s.unsaid = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			change()
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, t.TempDir(), s, func(c *cache.Config) { c.Limit = 5000 })
				p.Want(show(1, unused))
				p.plays(1, unused)
				p.Want(show(2, old))
				p.plays(2, old)
				p.Want(show(3, huge, small, old))
				p.plays(3, small, old)
				if n := len(p.files("parts")); n != 0 {
					t.Errorf("%d parts", n)
				}
				st := p.State()
				if len(st.Failed) != 1 || !strings.Contains(st.Failed[0].Reason, "no space") || !strings.Contains(st.Failed[0].Reason, "SD card") || st.Bytes > 5000 {
					t.Errorf("%+v", st)
				}
				if !s.unsaid && st.Files != 3 {
					t.Errorf("%d files: something went for nothing", st.Files)
				}
				p.stop()
			})
		})
	}
}

// TestHungry: a program that does not fit beside the old one comes all the same, and the screen is not empty meanwhile, if
// that is possible.
func TestHungry(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		keep bool
	}{"beside one": {3500, true}, "alone": {4500, false}} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			a, b, big := s.put("a", content(1, 1000)), s.put("b", content(2, 1000)), s.put("big", content(3, c.size))
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, t.TempDir(), s, func(c *cache.Config) { c.Limit = 5000 })
				p.Want(show(1, a, text(9, "hello"), b))
				p.plays(1, a, text(9, ""), b)
				<-time.After(2 * time.Hour)
				if f, err := p.Open(b.SHA256); err != nil {
					t.Error(err)
				} else {
					f.Close()
				}
				p.Want(show(2, big))
				p.plays(2, big)
				p.stop()
				if !p.wasReady(1, text(9, ""), b) || p.wasReady(2) == c.keep {
					t.Errorf("only b: %v, nothing: %v", p.wasReady(1, text(9, ""), b), p.wasReady(2))
				}
			})
		})
	}
}

// TestDamage: a file that is not what it was is not played, and fetched again.
func TestDamage(t *testing.T) {
	s := newServer()
	a, b, c := s.put("a", content(1, 200_000)), s.put("b", content(2, 1000)), s.put("c", content(3, 1000))
	for name, harm := range map[string]func(path string){
		"shorter": func(path string) { os.Truncate(path, 100) },
		"longer":  func(path string) { os.Truncate(path, 1<<20) },
		"changed": func(path string) { scribble(path, 150_000) },
		"gone":    func(path string) { os.Remove(path) },
	} {
		for _, running := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "media", a.SHA256)
				synctest.Test(t, func(t *testing.T) {
					p := newPlayer(t, dir, s)
					p.Want(show(1, a, b))
					p.plays(1, a, b)
					s.set(func() { s.errs["*"] = errors.New("no network") })
					if !running {
						p.stop()
					}
					harm(path)
					if running {
						if f, err := p.Open(a.SHA256); err == nil {
							f.Close()
						}
					} else {
						p = newPlayer(t, dir, s)
					}
					// At once by its size, within a minute by its content.
					p.wait("it is not played", func() bool {
						now, _ := p.Current()
						return slices.Equal(idsOf(now), []int64{b.ID}) && (!running || p.wasReady(1, b))
					})
					if f, err := p.Open(a.SHA256); err == nil {
						f.Close()
						t.Error("it is opened")
					}
					if st := p.State(); name == "changed" && !strings.Contains(st.Problem, "damaged") {
						t.Errorf("%+v", st)
					}
					s.set(func() { delete(s.errs, "*") })
					p.plays(1, a, b)
					if st := p.State(); st.Problem != "" {
						t.Errorf("%+v", st)
					}
					p.stop()
				})
			})
		}
	}
	t.Run("while nobody needed it", func(t *testing.T) {
		dir := t.TempDir()
		p := newPlayer(t, dir, s)
		p.Want(show(1, b))
		p.plays(1, b)
		p.Want(show(2, c))
		p.plays(2, c)
		p.stop()
		scribble(filepath.Join(dir, "media", b.SHA256), 500)
		p = newPlayer(t, dir, s)
		p.Want(show(3, b, c))
		p.plays(3, b, c)
	})
}

// TestDamagedProgram: the one before plays, or none; and what does not belong there is in nobody's way.
func TestDamagedProgram(t *testing.T) {
	s, dir := newServer(), t.TempDir()
	a, b := s.put("a", content(1, 1000)), s.put("b", content(2, 1000))
	p := newPlayer(t, dir, s)
	p.Want(show(1, a))
	p.plays(1, a)
	p.Want(show(2, b))
	p.plays(2, b)
	p.stop()
	for _, name := range []string{"media/stray", "parts/stray", "parts/" + a.SHA256 + ".json", "urls/stray", "urls/x.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scribble(filepath.Join(dir, "program.json"), 120)
	p = newPlayer(t, dir, s)
	now, ok := p.Current()
	if !ok || now.Revision != 1 || !strings.Contains(p.State().Problem, "damaged") {
		t.Errorf("%+v, %+v", now, p.State())
	}
	p.opens(now)
	// The damaged one does not take the good one's place as the old one.
	p.Want(show(3, a))
	p.plays(3, a)
	p.stop()
	scribble(filepath.Join(dir, "program.json"), 120)
	p = newPlayer(t, dir, s)
	if now, _ := p.Current(); now.Revision != 1 {
		t.Errorf("revision %d", now.Revision)
	}
	p.stop()
	scribble(filepath.Join(dir, "program.old.json"), 120)
	p = newPlayer(t, dir, s)
	if _, ok := p.Current(); ok || p.State().Problem == "" {
		t.Errorf("%+v", p.State())
	}
	p.Want(show(4, a, b))
	p.plays(4, a, b)
	p.wait("no problem any more", func() bool { return p.State().Problem == "" })
	if n := len(s.requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// sourceFunc is a source.
type sourceFunc func(url string, offset int64, tag string) (*cache.Part, error)

func (f sourceFunc) Get(_ context.Context, url string, offset int64, tag string) (*cache.Part, error) {
	return f(url, offset, tag)
}
