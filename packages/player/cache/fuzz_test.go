package cache_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/cache"
)

// FuzzFolder puts anything in the places of the cache's own files: it starts, what it opens is what was asked for, and the
// next program comes.
func FuzzFolder(f *testing.F) {
	s := newServer()
	whole, part := s.put("whole", content(1, 3000)), s.put("part", content(2, 3000))
	moving := unhashed(s.put("moving", content(3, 3000)))
	envelope := func(b []byte) []byte {
		e, err := json.Marshal(map[string]any{"sha256": hashOf(b), "program": json.RawMessage(b)})
		if err != nil {
			f.Fatal(err)
		}
		return e
	}
	good, err := json.Marshal(show(1, whole, moving))
	if err != nil {
		f.Fatal(err)
	}
	side := []byte(`{"url":"` + part.URL + `","tag":"\"` + part.SHA256 + `\"","size":3000,"done":1000}`)
	from := []byte(`{"url":"` + moving.URL + `","tag":"x","size":3000,"sha256":"` + hashOf(content(3, 3000)) + `"}`)
	f.Add(envelope(good), envelope(good), side, from, content(2, 1000), content(1, 3000))
	f.Add(good, envelope([]byte(`{"playlists":[{"id":1}]}`)), []byte(`{"size":-1,"done":5}`), []byte(`{"url":"x"}`), []byte{}, []byte{})
	f.Add([]byte(`{"sha256":"","program":null}`), []byte{}, []byte(`{"size":3000,"done":3000}`), side, content(2, 3000), content(1, 2999))
	f.Fuzz(func(t *testing.T, now, old, side, from, partial, media []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{
			"program.json": now, "program.old.json": old, "parts/" + part.SHA256: partial, "parts/" + part.SHA256 + ".json": side,
			"urls/" + cache.AddressKey(moving.URL) + ".json": from, "media/" + whole.SHA256: media,
			"media/" + hashOf(content(3, 3000)): media,
		} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPlayer(t, dir, s)
			if now, ok := p.Current(); ok {
				if err := now.Validate(); err != nil {
					t.Error(err)
				}
				for _, l := range now.Playlists {
					for _, i := range l.Items {
						if i.Kind != "image" && i.Kind != "video" {
							continue
						}
						if file, err := p.Open(i.SHA256); err != nil {
							t.Errorf("%s: %v", i.SHA256, err)
						} else {
							file.Close()
						}
					}
				}
			}
			p.Want(show(1<<40, whole, part, moving))
			plays := func() bool { now, _ := p.Current(); return now.Revision == 1<<40 && len(idsOf(now)) == 3 }
			p.wait("it plays", plays)
			// A file that has only the right size is found out by the check of all files.
			<-time.After(time.Hour)
			p.wait("it plays", plays)
			now, _ := p.Current()
			p.opens(now)
			p.stop()
		})
	})
}

// FuzzSource is a server that answers with anything: what is played in the end is what was meant.
func FuzzSource(f *testing.F) {
	b := content(1, 2000)
	item := program.Item{ID: 1, Kind: "video", FileName: "v", URL: "https://server/v", SHA256: hashOf(b), SizeBytes: 2000, Fit: "fit"}
	f.Add(b[:500], int64(0), int64(2000), "a", b[500:], int64(500), int64(2000), "a")
	f.Add(b[:500], int64(0), int64(-1), "", b[400:], int64(400), int64(-5), "")
	f.Add(b, int64(5), int64(1), "a", b, int64(-1), int64(1<<62), "b")
	f.Fuzz(func(t *testing.T, first []byte, from1, size1 int64, tag1 string, second []byte, from2, size2 int64, tag2 string) {
		for _, hashed := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				i := item
				if !hashed {
					i = unhashed(i)
				}
				n := 0
				s := newServer()
				s.files[i.URL] = b
				source := sourceFunc(func(url string, offset int64, tag string) (*cache.Part, error) {
					n++
					switch n {
					case 1:
						return &cache.Part{Body: io.NopCloser(bytes.NewReader(first)), From: from1, Size: size1, Tag: tag1}, nil
					case 2:
						return &cache.Part{Body: io.NopCloser(bytes.NewReader(second)), From: from2, Size: size2, Tag: tag2}, nil
					}
					return s.Get(t.Context(), url, offset, tag)
				})
				dir := t.TempDir()
				p := newPlayer(t, dir, source, func(c *cache.Config) { c.Limit = 1 << 20 })
				p.Want(show(1, i))
				p.wait("something plays", func() bool { now, _ := p.Current(); return len(idsOf(now)) == 1 })
				p.stop()
				now, _ := p.Current()
				p.opens(now)
				if hashed && now.Playlists[0].Items[0].SHA256 != item.SHA256 {
					t.Error("another content")
				}
				again := cache.New(cache.Config{Log: slog.New(slog.DiscardHandler), Dir: dir, Now: time.Now})
				if now, _ := again.Current(); len(idsOf(now)) != 1 {
					t.Error("it is not kept")
				}
			})
		}
	})
}
