package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/cache"
)

// TestPlaysFromDisk: what was fetched once plays without a server.
func TestPlaysFromDisk(t *testing.T) {
	s, dir := newServer(), t.TempDir()
	a, b := s.put("a.png", content(1, 100_000)), s.put("b.png", content(2, 300_000))
	p := newPlayer(t, dir, s)
	if _, ok := p.Current(); ok {
		t.Error("a program out of nowhere")
	}
	p.Want(show(7, a, text(9, "hello"), b, a))
	p.plays(7, a, text(9, ""), b, a)
	if st := p.State(); st.Revision != 7 || st.Coming != 0 || st.Files != 2 || st.Bytes != 400_000 || st.Missing != 0 || st.Problem != "" || st.Limit < 400_000 {
		t.Errorf("%+v", st)
	}
	p.stop()
	s.set(func() { s.errs["*"] = errors.New("no network") })
	again := newPlayer(t, dir, s)
	current, ok := again.Current()
	if !ok || current.Revision != 7 || len(idsOf(current)) != 4 {
		t.Errorf("%+v", current)
	}
	again.opens(current)
	if n := len(s.requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
	st, err := os.Stat(filepath.Join(dir, "media", a.SHA256))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	for _, bad := range []string{"", "../program.json", strings.Repeat("a", 64), strings.ToUpper(a.SHA256)} {
		if _, err := again.Open(bad); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestResume: a download goes on where it stopped, in the same run and over restarts, unless the file has changed.
func TestResume(t *testing.T) {
	const size = 100_000
	for name, c := range map[string]struct {
		hashed  bool
		between func(s *server, item *program.Item, dir string) // while the device is off
		offset  int64                                           // from which it goes on, -1: wherever
	}{
		"hash":          {true, func(*server, *program.Item, string) {}, 40_000},
		"hash, no tag":  {true, func(s *server, i *program.Item, _ string) { s.tags[i.URL] = "none" }, 40_000},
		"tag":           {false, func(*server, *program.Item, string) {}, 40_000},
		"no ranges":     {true, func(s *server, _ *program.Item, _ string) { s.whole = true }, 40_000},
		"changed":       {false, func(s *server, i *program.Item, _ string) { s.files[i.URL] = content(9, size) }, 40_000},
		"another hash":  {true, func(s *server, i *program.Item, _ string) { *i = s.put("m", content(9, size)) }, -1},
		"lost sidecar":  {true, func(_ *server, i *program.Item, d string) { os.Remove(filepath.Join(d, "parts", i.SHA256+".json")) }, 0},
		"lost bytes":    {true, func(_ *server, i *program.Item, d string) { os.Truncate(filepath.Join(d, "parts", i.SHA256), 30_000) }, 0},
		"broken bytes":  {true, func(_ *server, i *program.Item, d string) { scribble(filepath.Join(d, "parts", i.SHA256), 20_000) }, 40_000},
		"size not said": {true, func(s *server, _ *program.Item, _ string) { s.unsaid = true }, 40_000},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := newServer(), t.TempDir()
			item := s.put("m", content(1, size))
			if !c.hashed {
				item.SHA256, item.SizeBytes = "", 0
			}
			s.set(func() { s.cut = 40_000 })
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, dir, s)
				p.Want(show(1, item))
				p.wait("40,000 bytes", func() bool {
					return p.State().MissingBytes == max(item.SizeBytes, 40_000)-40_000 && len(s.requests()) > 0 && p.State().Fetching == ""
				})
				s.set(func() { s.cut = 0; s.asked = nil })
				p.stop()
				c.between(s, &item, dir)
				p = newPlayer(t, dir, s)
				if !c.hashed {
					p.Want(show(1, item))
				} else {
					p.Want(show(2, item))
				}
				p.wait("it plays", func() bool { now, ok := p.Current(); return ok && len(idsOf(now)) == 1 })
				p.stop()
				now, _ := p.Current()
				p.opens(now)
				if got := now.Playlists[0].Items[0].SHA256; got != hashOf(s.files[item.URL]) {
					t.Errorf("it has another content")
				}
			})
			if first := s.requests()[0]; c.offset >= 0 && first.offset != c.offset {
				t.Errorf("it goes on from %d, want %d", first.offset, c.offset)
			}
		})
	}
}

// scribble changes a byte of a file.
func scribble(path string, at int64) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		panic(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b, at); err != nil {
		panic(err)
	}
}

// TestPiecemeal: a network that breaks off each time brings everything in the end.
func TestPiecemeal(t *testing.T) {
	s := newServer()
	item := s.put("m", content(1, 1_000_000))
	s.set(func() { s.cut = 30_000 })
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, t.TempDir(), s)
		p.Want(show(1, item))
		p.plays(1, item)
		p.stop()
	})
	if n := len(s.requests()); n != 34 {
		t.Errorf("%d requests", n)
	}
}

// TestLeftOut: what cannot be had is left out with a reason, and comes when it can be had.
func TestLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		harm, heal func(s *server, item *program.Item)
		reason     string
		tries      int
	}{
		"gone": {
			func(s *server, i *program.Item) { s.errs[i.URL] = cache.ErrGone },
			func(s *server, i *program.Item) { delete(s.errs, i.URL) }, "does not have it any more", 1,
		},
		"another content": {
			func(s *server, i *program.Item) { s.files[i.URL] = content(9, 1000) },
			func(s *server, i *program.Item) { s.files[i.URL] = content(2, 1000) }, "another SHA-256", 3,
		},
		"another size": {
			func(s *server, i *program.Item) { s.files[i.URL] = content(2, 2000) },
			func(s *server, i *program.Item) { s.files[i.URL] = content(2, 1000) }, "another SHA-256", 3,
		},
		"empty": {
			func(s *server, i *program.Item) { s.files[i.URL] = nil },
			func(s *server, i *program.Item) { s.files[i.URL] = content(2, 1000) }, "empty", 1,
		},
		"no hash": {
			func(_ *server, i *program.Item) { i.SHA256 = "../../" + i.SHA256 }, nil, "no valid SHA-256", 0,
		},
		"no address": {
			func(_ *server, i *program.Item) { i.URL = "" }, nil, "no address", 0,
		},
		"more than it says": {
			func(s *server, _ *program.Item) { s.more = 100 },
			func(s *server, _ *program.Item) { s.more = 0 }, "changed", 15,
		},
		"the server fails": {
			func(s *server, i *program.Item) { s.errs[i.URL] = fmt.Errorf("%w: 500", cache.ErrServer) },
			func(s *server, i *program.Item) { delete(s.errs, i.URL) }, "500", 15,
		},
		"it ends at once": {
			func(s *server, _ *program.Item) { s.cut = 1; s.whole = true },
			func(s *server, _ *program.Item) { s.cut = 0 }, "", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			old, a, b := s.put("old", content(1, 1)), s.put("a", content(2, 1000)), s.put("b", content(3, 1))
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, t.TempDir(), s)
				p.Want(show(1, old))
				p.plays(1, old)
				c.harm(s, &a)
				p.Want(show(2, a, b))
				if c.reason != "" {
					p.plays(2, b)
					st := p.State()
					if len(st.Failed) != 1 || st.Failed[0].Name != "a" || !strings.Contains(st.Failed[0].Reason, c.reason) || st.Missing != 1 || st.Coming != 0 {
						t.Errorf("%+v", st)
					}
					n := 0
					for _, r := range s.requests() {
						if r.url == a.URL {
							n++
						}
					}
					if n != c.tries {
						t.Errorf("%d tries, want %d", n, c.tries)
					}
				}
				if c.heal == nil {
					p.stop()
					return
				}
				s.set(func() { c.heal(s, &a) })
				p.plays(2, a, b)
				if st := p.State(); len(st.Failed) != 0 || st.Missing != 0 || st.Problem != "" {
					t.Errorf("%+v", st)
				}
				p.stop()
			})
		})
	}
}

// TestUnreachable: without network the old program stays for as long as that takes.
func TestUnreachable(t *testing.T) {
	s := newServer()
	old, a, b := s.put("old", content(1, 1000)), s.put("a", content(2, 1000)), s.put("b", content(3, 1000))
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, t.TempDir(), s)
		p.Want(show(1, old))
		p.plays(1, old)
		s.set(func() { s.errs["*"] = errors.New("no route to host"); s.asked = nil })
		p.Want(show(2, a, b))
		<-time.After(24 * time.Hour)
		p.never(2)
		if st := p.State(); len(st.Failed) != 0 || st.Coming != 2 || !strings.Contains(st.Problem, "no route to host") {
			t.Errorf("%+v", st)
		}
		if n := len(s.requests()); n < 1000 || n > 7000 {
			t.Errorf("%d requests in a day", n)
		}
		s.set(func() { delete(s.errs, "*") })
		p.plays(2, a, b)
		if st := p.State(); st.Problem != "" {
			t.Errorf("%+v", st)
		}
		// One file on another computer that cannot be reached, while the server is there.
		c, d := s.put("c", content(4, 1000)), s.put("d", content(5, 1000))
		s.set(func() { s.errs[c.URL] = errors.New("no such host") })
		p.Want(show(3, c, d))
		p.plays(3, d)
		if st := p.State(); len(st.Failed) != 1 || !strings.Contains(st.Failed[0].Reason, "no such host") || st.Problem != "" {
			t.Errorf("%+v", st)
		}
		p.stop()
	})
}

// TestStall: a download that brings nothing is begun again.
func TestStall(t *testing.T) {
	s := newServer()
	a := s.put("a", content(1, 1000))
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, t.TempDir(), s)
		s.set(func() { s.block = make(chan struct{}) })
		p.Want(show(1, a))
		<-time.After(50 * time.Second)
		if n := len(s.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		p.wait("another try", func() bool { return len(s.requests()) > 1 })
		s.set(func() { s.block = nil })
		p.plays(1, a)
		p.stop()
	})
}

// TestNoDisk: what needs no files is shown even where nothing can be kept.
func TestNoDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer()
	a := s.put("a", content(1, 1000))
	p := newPlayer(t, filepath.Join(dir, "cache"), s)
	p.Want(show(1, text(1, "hello"), a))
	p.plays(1, text(1, ""))
	if st := p.State(); !strings.Contains(st.Problem, "cannot be kept") {
		t.Errorf("%+v", st)
	}
	if !bytes.Contains([]byte(p.log.String()), []byte("cannot keep")) {
		t.Error("nothing in the log")
	}
}
