package vm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/integration/stack"
	"porthole/integration/vm"
)

// signageCuts is how often TestSignagePowerCuts cuts the power; `make soak` does it more often.
var signageCuts = flag.Int("cuts", 4, "how often TestSignagePowerCuts cuts the power")

// promise is an upload and what the device has said of it.
type promise struct {
	name, path string
	content    []byte
	// kept is how much of it was acknowledged; all of it: it is complete. medium is what it became, 0 if nobody heard.
	kept   int
	medium int64
}

// shop is somebody who works on signage while the power is cut.
type shop struct {
	disk string
	e    *stack.Editor

	mu sync.Mutex // guards what follows: what the device has acknowledged
	// playlists are their ids by name, texts what was put into each.
	playlists map[string]int64
	texts     map[int64][]string
	uploads   []*promise
}

// TestSignagePowerCuts: while somebody uploads media and edits playlists the power is cut, again and again. What was
// acknowledged is there afterwards, byte for byte; what was not goes on or is gone; and the database is whole.
func TestSignagePowerCuts(t *testing.T) {
	s := &shop{disk: newDisk(t, theVMImage(t), 8<<30), playlists: map[string]int64{}, texts: map[int64][]string{}}
	for cut := range *signageCuts + 1 {
		m := startVM(t, s.disk)
		if cut == 0 {
			u := logIn(t, m)
			s.e = &stack.Editor{HTTP: u.c}
		}
		s.e.Base = "https://" + m.Addr(443)
		s.awake(t)
		s.check(t, m)
		if t.Failed() {
			return
		}
		t.Logf("after %d power cuts all is there: %d playlists, %d uploads", cut, len(s.playlists), len(s.uploads))
		if cut == *signageCuts {
			switchOff(t, m)
			break
		}
		s.work(t, m, cut)
	}
}

// awake waits until the console answers; the session is still good.
func (s *shop) awake(t *testing.T) {
	t.Helper()
	eventually(t, "open the console's page of playlists", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askOnce)
		defer cancel()
		_, err := s.e.Get(ctx, "/playlists")
		return err
	})
}

// work uploads and edits until enough was acknowledged and the power is cut, at a moment that nobody chose.
func (s *shop) work(t *testing.T, m *vm.Machine, cut int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	working, stop := context.WithCancel(ctx)
	defer stop()
	edits, uploads := make(chan struct{}, 1000), make(chan struct{}, 1000)
	failures := make(chan error, 2)
	go func() { failures <- s.edit(working, cut, edits) }()
	go func() { failures <- s.upload(working, t, cut, uploads) }()
	for _, seen := range []chan struct{}{edits, edits, edits, uploads, uploads} {
		select {
		case <-seen:
		case err := <-failures:
			t.Fatalf("before the power was cut: %v", err)
		case <-ctx.Done():
			t.Fatal("nothing was acknowledged")
		}
	}
	moment := time.NewTimer(rand.N(3 * time.Second))
	defer moment.Stop()
	select {
	case <-moment.C:
	case err := <-failures:
		t.Fatalf("before the power was cut: %v", err)
	}
	m.Kill()
	stop()
	for range 2 {
		if err := <-failures; stack.StatusOf(err) != 0 {
			t.Errorf("while the power was cut: %v", err)
		}
	}
	s.e.HTTP.CloseIdleConnections()
}

// edit makes a playlist, puts texts into it and publishes it, until the device is gone.
func (s *shop) edit(ctx context.Context, cut int, done chan<- struct{}) error {
	for n := 0; ; n++ {
		name := fmt.Sprintf("list %d-%d", cut, n)
		id, err := s.e.NewPlaylist(ctx, name)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.playlists[name] = id
		s.mu.Unlock()
		for i := range 8 {
			text := fmt.Sprintf("text %d-%d-%d.", cut, n, i)
			if err := s.e.AddText(ctx, id, text); err != nil {
				return err
			}
			s.mu.Lock()
			s.texts[id] = append(s.texts[id], text)
			s.mu.Unlock()
			done <- struct{}{}
		}
		if err := s.e.Publish(ctx, id); err != nil {
			return err
		}
	}
}

// upload uploads pictures in parts, until the device is gone.
func (s *shop) upload(ctx context.Context, t *testing.T, cut int, done chan<- struct{}) error {
	for n := 0; ; n++ {
		p := &promise{name: fmt.Sprintf("picture-%d-%d.png", cut, n), content: noise(t, 150+rand.IntN(200))}
		var err error
		if p.path, err = s.e.Create(ctx, p.name, len(p.content)); err != nil {
			return err
		}
		s.mu.Lock()
		s.uploads = append(s.uploads, p)
		s.mu.Unlock()
		for at := 0; at < len(p.content); {
			part := p.content[at:min(len(p.content), at+64<<10)]
			if at, err = s.e.Send(ctx, p.path, at, part); err != nil {
				return err
			}
			s.mu.Lock()
			p.kept = at
			s.mu.Unlock()
		}
		medium, err := s.e.Finished(ctx, p.path)
		if err != nil {
			return err
		}
		s.mu.Lock()
		p.medium = medium
		s.mu.Unlock()
		done <- struct{}{}
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
func (s *shop) check(t *testing.T, m *vm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, id := range s.playlists {
		page, err := s.e.Get(ctx, fmt.Sprintf("/playlists/%d", id))
		if err != nil || !strings.Contains(page, name) {
			t.Errorf("playlist %q: %v", name, err)
			continue
		}
		for _, text := range s.texts[id] {
			if !strings.Contains(page, text) {
				t.Errorf("playlist %q has lost %q", name, text)
			}
		}
	}
	for _, p := range s.uploads {
		if p.medium == 0 {
			s.goOn(ctx, t, p)
		}
	}
	kept := media(t, m)
	for _, p := range s.uploads {
		sum := sha256.Sum256(p.content)
		switch {
		case p.path == "":
		case kept[p.name] != hex.EncodeToString(sum[:]):
			t.Errorf("upload %s, of which %d of %d bytes were acknowledged, is kept as %q", p.name, p.kept, len(p.content), kept[p.name])
		case p.medium != 0:
			if b, err := s.e.File(ctx, p.medium); err != nil || !bytes.Equal(b, p.content) {
				t.Errorf("the file of %s: %d bytes of %d, %v", p.name, len(b), len(p.content), err)
			}
		}
	}
}

// goOn finishes an upload that the power cut. One that was acknowledged as complete may have become a medium meanwhile;
// one that was not may be gone, and is not asked for again.
func (s *shop) goOn(ctx context.Context, t *testing.T, p *promise) {
	t.Helper()
	at, err := s.e.Offset(ctx, p.path)
	switch {
	case stack.StatusOf(err) == http.StatusNotFound && p.kept == len(p.content):
		return // what it became is looked for by its name
	case stack.StatusOf(err) == http.StatusNotFound:
		t.Logf("the upload of %s is gone after %d of %d bytes", p.name, p.kept, len(p.content))
		p.path = ""
		return
	case err != nil:
		t.Errorf("ask for the upload of %s: %v", p.name, err)
		return
	case at < p.kept:
		t.Errorf("of %s %d bytes were acknowledged, and %d are kept", p.name, p.kept, at)
	}
	for at < len(p.content) {
		if at, err = s.e.Send(ctx, p.path, at, p.content[at:]); err != nil {
			t.Errorf("go on with the upload of %s: %v", p.name, err)
			return
		}
	}
	p.kept = at
	if p.medium, err = s.e.Finished(ctx, p.path); err != nil {
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
