package vm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"porthole/integration/stack"
	"porthole/integration/vm"
)

// promise is an upload and what the device has said of it.
type promise struct {
	name, path string
	content    []byte
	// kept is how much of it was acknowledged; all of it: it is complete. medium is what it became, 0 if nobody heard.
	kept   int
	medium int64
}

// claims are what a device has acknowledged.
type claims struct {
	// playlists are their ids by name, texts what was put into each; cameras are their addresses by id; uploads are by name.
	playlists map[string]int64
	texts     map[int64][]string
	cameras   map[string]string
	uploads   map[string]*promise
	// renewed is the last certificate of each pair.
	renewed map[string]int64
}

// shop is somebody who works on a device that is being recorded, and notes what it acknowledges.
type shop struct {
	e *stack.Editor
	// now is how long the recording is.
	now func() (int64, error)

	mu    sync.Mutex
	lines []line // guarded by mu
	err   error  // guarded by mu; why something could not be noted
}

// line is one thing that was acknowledged, and how long the recording was when the answer had come.
type line struct {
	at int64
	do func(*claims)
}

// note is called when an answer has come.
func (s *shop) note(do func(*claims)) {
	at, err := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
	s.lines = append(s.lines, line{at, do})
}

// upTo returns what was acknowledged before a cut that leaves so many requests on the medium.
func (s *shop) upTo(r *vm.Recording, flushed int) claims {
	c := claims{playlists: map[string]int64{}, texts: map[int64][]string{}, cameras: map[string]string{}, uploads: map[string]*promise{}, renewed: map[string]int64{}}
	for _, l := range s.lines {
		if r.Durable(l.at) <= flushed {
			l.do(&c)
		}
	}
	return c
}

// edit makes a playlist, puts texts into it and publishes it, and adds a camera, until the device is gone.
func (s *shop) edit(ctx context.Context, done chan<- struct{}) error {
	for n := 0; ; n++ {
		name := fmt.Sprintf("list %d.", n)
		id, err := s.e.NewPlaylist(ctx, name)
		if err != nil {
			return err
		}
		s.note(func(c *claims) { c.playlists[name] = id })
		for i := range 8 {
			text := fmt.Sprintf("text %d-%d.", n, i)
			if err := s.e.AddText(ctx, id, text); err != nil {
				return err
			}
			s.note(func(c *claims) { c.texts[id] = append(c.texts[id], text) })
			tell(ctx, done)
		}
		if err := s.e.Publish(ctx, id); err != nil {
			return err
		}
		camera, address := fmt.Sprintf("yard-%d", n), fmt.Sprintf("rtsp://192.0.2.1/%d", rand.Uint64())
		if _, _, err := s.e.Post(ctx, "/settings/cameras/new", url.Values{"id": {camera}, "name": {camera}, "url": {address}}); err != nil {
			return err
		}
		s.note(func(c *claims) { c.cameras[camera] = address })
	}
}

func tell(ctx context.Context, done chan<- struct{}) {
	select {
	case done <- struct{}{}:
	case <-ctx.Done():
	}
}

// upload uploads pictures in parts, until the device is gone.
func (s *shop) upload(ctx context.Context, t *testing.T, done chan<- struct{}) error {
	for n := 0; ; n++ {
		name, content := fmt.Sprintf("picture-%d.png", n), noise(t, 150+rand.IntN(200))
		path, err := s.e.Create(ctx, name, len(content))
		if err != nil {
			return err
		}
		s.note(func(c *claims) { c.uploads[name] = &promise{name: name, path: path, content: content} })
		for at := 0; at < len(content); {
			if at, err = s.e.Send(ctx, path, at, content[at:min(len(content), at+64<<10)]); err != nil {
				return err
			}
			s.note(func(c *claims) { c.uploads[name].kept = at })
		}
		medium, err := s.e.Finished(ctx, path)
		if err != nil {
			return err
		}
		s.note(func(c *claims) { c.uploads[name].medium = medium })
		tell(ctx, done)
	}
}

// noise is a PNG of which nothing can be guessed.
func noise(t *testing.T, side int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, noisePicture(side)); err != nil {
		t.Error(err)
	}
	return b.Bytes()
}

func noisePicture(side int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		n := rand.Uint32()
		img.Set(i%side, i/side, color.RGBA{uint8(n), uint8(n >> 8), uint8(n >> 16), 255})
	}
	return img
}

// check compares what is there with what was acknowledged.
func (c claims) check(t *testing.T, m *vm.Machine, e *stack.Editor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, id := range c.playlists {
		page, err := e.Get(ctx, fmt.Sprintf("/playlists/%d", id))
		if err != nil || !strings.Contains(page, name) {
			t.Errorf("playlist %q: %v", name, err)
			continue
		}
		for _, text := range c.texts[id] {
			if !strings.Contains(page, text) {
				t.Errorf("playlist %q has lost %q", name, text)
			}
		}
	}
	for id, address := range c.cameras {
		if page, err := e.Get(ctx, "/settings/cameras/"+id); err != nil || !strings.Contains(page, address) {
			t.Errorf("camera %s has lost its address %s: %v", id, address, err)
		}
	}
	for _, p := range c.uploads {
		if p.medium == 0 {
			p.goOn(ctx, t, e)
		}
	}
	kept := media(t, m)
	for _, p := range c.uploads {
		sum := sha256.Sum256(p.content)
		switch {
		case p.path == "":
		case kept[p.name] != hex.EncodeToString(sum[:]):
			t.Errorf("upload %s, of which %d of %d bytes were acknowledged, is kept as %q", p.name, p.kept, len(p.content), kept[p.name])
		case p.medium != 0:
			if b, err := e.File(ctx, p.medium); err != nil || !bytes.Equal(b, p.content) {
				t.Errorf("the file of %s: %d bytes of %d, %v", p.name, len(b), len(p.content), err)
			}
		}
	}
}

// goOn finishes an upload that the power cut. One that was acknowledged as complete may have become a medium meanwhile;
// one that was not may be gone, and is not asked for again.
func (p *promise) goOn(ctx context.Context, t *testing.T, e *stack.Editor) {
	t.Helper()
	at, err := e.Offset(ctx, p.path)
	switch {
	case stack.StatusOf(err) == http.StatusNotFound && p.kept == len(p.content):
		return // what it became is looked for by its name
	case stack.StatusOf(err) == http.StatusNotFound && p.kept > 0:
		t.Errorf("the upload of %s is gone, of which %d of %d bytes were acknowledged", p.name, p.kept, len(p.content))
		return
	case stack.StatusOf(err) == http.StatusNotFound:
		t.Logf("the upload of %s is gone before anything of it was acknowledged", p.name)
		p.path = ""
		return
	case err != nil:
		t.Errorf("ask for the upload of %s: %v", p.name, err)
		return
	case at < p.kept:
		t.Errorf("of %s %d bytes were acknowledged, and %d are kept", p.name, p.kept, at)
	}
	for at < len(p.content) {
		if at, err = e.Send(ctx, p.path, at, p.content[at:]); err != nil {
			t.Errorf("go on with the upload of %s: %v", p.name, err)
			return
		}
	}
	p.kept = at
	if p.medium, err = e.Finished(ctx, p.path); err != nil {
		t.Errorf("finish the upload of %s: %v", p.name, err)
	}
}

// look reads a database as another program would.
const look = `
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(json.dumps({"check": [r[0] for r in db.execute("PRAGMA integrity_check")] + [str(r) for r in db.execute("PRAGMA foreign_key_check")],
                  "media": dict(db.execute("SELECT name, sha256 FROM media"))}))
`

// media copies the device's database, checks it, and returns the media in it by name. The console may write while it is
// copied: a copy that is torn is made again; a database that is damaged stays so.
func media(t *testing.T, m *vm.Machine) (kept map[string]string) {
	t.Helper()
	dir := t.TempDir()
	eventually(t, "find the database whole", func(ctx context.Context) error {
		db := filepath.Join(dir, "porthole.db")
		for _, suffix := range []string{"", "-wal"} {
			content, err := m.Agent().ReadFile(ctx, "/perm/console/porthole.db"+suffix)
			if err != nil {
				return err
			}
			if err := os.WriteFile(db+suffix, []byte(content), 0o600); err != nil {
				return err
			}
		}
		if err := os.Remove(db + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		out, err := exec.CommandContext(ctx, "python3", "-c", look, db).Output()
		if err != nil {
			return fmt.Errorf("look into the database with python3: %w", err)
		}
		var found struct {
			Check []string
			Media map[string]string
		}
		if err := json.Unmarshal(out, &found); err != nil {
			return err
		}
		if len(found.Check) != 1 || found.Check[0] != "ok" {
			return fmt.Errorf("integrity_check says %q", found.Check)
		}
		kept = found.Media
		return nil
	})
	return kept
}
