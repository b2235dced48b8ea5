package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/player/link"
	"porthole/packages/player/playback"
	"porthole/packages/player/spool"
	"porthole/packages/player/trust"
)

// linked is another device's player, as far as its link goes.
type linked struct {
	*link.Link
	log      *testkit.Log
	programs chan program.Program
	stop     func()
}

type linkClock struct{}

func (linkClock) Now() time.Time                      { return time.Now() }
func (linkClock) FromServer(time.Time, time.Duration) {}

// newLinked runs a link whose state lies in dir.
func newLinked(t *testing.T, dir string, s settings.PlayerSettings) *linked {
	t.Helper()
	return newLinkedOn(t, dir, filepath.Join(dir, "none.sock"), s)
}

// newLinkedOn runs a link of the device whose console-internal.sock is given.
func newLinkedOn(t *testing.T, dir, console string, s settings.PlayerSettings) *linked {
	t.Helper()
	l := &linked{log: &testkit.Log{}, programs: make(chan program.Program, 100)}
	log := slog.New(slog.NewTextHandler(l.log, nil))
	reports := spool.New(spool.Config{Log: log, Dir: filepath.Join(dir, "spool")})
	l.Link = link.New(link.Config{
		Log: log, Dir: dir, Agent: "Porthole/test", Console: unixsock.Transport(console), Clock: linkClock{}, Spool: reports,
		Trust:   trust.Open(trust.Config{Log: log, Dir: dir}),
		Program: func(p program.Program) { l.programs <- p },
		Shot:    func() ([]byte, error) { return os.ReadFile(filepath.Join(dir, "screen.jpg")) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { l.Run(ctx) })
	work.Go(func() { reports.Run(ctx) })
	l.stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(func() {
		l.stop()
		for _, secret := range []string{"ABC123XYZ", "Bearer ", "/api/media/", "auth_code"} {
			if strings.Contains(l.log.String(), secret) {
				t.Errorf("%q is in the player's log", secret)
			}
		}
		if t.Failed() {
			t.Logf("link %+v\n%s", l.State(), l.log)
		}
	})
	s.RetryDelay = 1
	l.Set(s, "window-tv")
	return l
}

func (l *linked) next(t *testing.T) program.Program {
	t.Helper()
	select {
	case p := <-l.programs:
		return p
	case <-time.After(time.Minute):
		t.Fatal("no program comes")
		return program.Program{}
	}
}

func (l *linked) connected(t *testing.T) {
	t.Helper()
	eventually(t, "a link", func() error {
		if s := l.State(); !s.Connected || s.Problem != "" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// TestLink: a player's link to another Porthole: trusted without anybody, its program and media, reports, pictures of the
// screen; over restarts of either.
func TestLink(t *testing.T) {
	c := newShop(t)
	dir := t.TempDir()
	picture := plain(t, 200)
	if err := os.WriteFile(filepath.Join(dir, "screen.jpg"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
	kiosk := settings.PlayerSettings{Server: c.URL(""), Hostname: "kiosk", QuickConnectCode: code}
	l := newLinked(t, dir, kiosk)
	p := l.next(t)
	l.connected(t)
	if len(p.Playlists) != 1 || len(p.Playlists[0].Items) != 2 || p.PlayerName != "Screen kiosk" || p.Base == 0 {
		t.Fatalf("program %+v", p)
	}
	if s := l.State(); s.Trust != "pinned ca" || s.CA != authority(t, c) || s.Kind != link.Porthole {
		t.Errorf("state %+v", s)
	}
	for _, i := range p.Playlists[0].Items {
		l.media(t, i)
	}

	l.Report(playback.Event{Status: "error", Message: "clip seven is damaged", Time: time.Now()})
	c.kill(t, "console")
	l.Report(playback.Event{Status: "playing", Message: "menu after the restart", Time: time.Now()})
	eventually(t, "both reports on the screen's page", func() error {
		_, page, err := c.owner.Get(t.Context(), c.screen)
		for _, text := range []string{"clip seven is damaged", "menu after the restart"} {
			if err == nil && !strings.Contains(page, text) {
				err = errors.New(text + " is not there")
			}
		}
		if n := l.State().Spooled; err == nil && n != 0 {
			err = fmt.Errorf("%d reports wait", n)
		}
		return err
	})
	l.connected(t)
	// Looking at a picture asks for the next one.
	eventually(t, "a picture of the screen", func() error {
		status, got, err := c.owner.Get(t.Context(), c.screen+"/screen.jpg")
		if err == nil && (status != 200 || got != string(picture)) {
			err = fmt.Errorf("status %d, %d bytes", status, len(got))
		}
		return err
	})

	// Something is published while this player is off; the auth code outlives that.
	l.stop()
	c.add(t, "third.jpg", 250)
	c.publish(t)
	l = newLinked(t, dir, kiosk)
	if p := l.next(t); len(p.Playlists[0].Items) != 3 {
		t.Errorf("program %+v", p)
	}
	l.connected(t)
	if strings.Contains(l.log.String(), "getting another one") {
		t.Error("the auth code was lost")
	}
	c.add(t, "fourth.jpg", 90)
	c.publish(t)
	if p := l.next(t); len(p.Playlists[0].Items) != 4 {
		t.Errorf("program %+v", p)
	}
}

// authority is the fingerprint of the server's CA, as it says it of itself.
func authority(t *testing.T, c *shop) string {
	t.Helper()
	// A person who trusts nothing yet.
	u, err := c.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	var ca *x509.Certificate
	// A process that was killed may not be back yet.
	eventually(t, "the authority", func() error {
		_, page, err := u.Get(t.Context(), "/ca.pem")
		if err != nil {
			return err
		}
		block, _ := pem.Decode([]byte(page))
		if block == nil {
			return fmt.Errorf("no authority: %s", page)
		}
		ca, err = x509.ParseCertificate(block.Bytes)
		return err
	})
	return certs.Fingerprint(ca)
}

// media gets an item's medium whole, and the end of it.
func (l *linked) media(t *testing.T, i program.Item) {
	t.Helper()
	part, err := l.Get(t.Context(), i.URL, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, part.Body)
	part.Body.Close()
	if err != nil || hex.EncodeToString(h.Sum(nil)) != i.SHA256 || n != i.SizeBytes || part.Size != n {
		t.Errorf("%s: %d bytes, %v", i.FileName, n, err)
	}
	rest, err := l.Get(t.Context(), i.URL, n-10, part.Tag)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Body.Close()
	if tail, err := io.ReadAll(rest.Body); err != nil || len(tail) != 10 || rest.From != n-10 {
		t.Errorf("%s: %d bytes from %d, %v", i.FileName, len(tail), rest.From, err)
	}
}

// TestLinkPairs: a player without a code shows one, which somebody types at the server.
func TestLinkPairs(t *testing.T) {
	c := newShop(t)
	l := newLinked(t, t.TempDir(), settings.PlayerSettings{Server: c.URL("")})
	var s link.State
	eventually(t, "a code", func() error {
		if s = l.State(); s.PairingCode == "" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if s.PairingURI != c.URL("/screens/pair") || s.Cause != link.CauseAuth || !strings.Contains(s.Step, s.PairingCode) {
		t.Errorf("state %+v", s)
	}
	page, err := c.editor.Get(t.Context(), "/screens/pair?code="+s.PairingCode)
	if err != nil || !strings.Contains(page, "window-tv") {
		t.Errorf("the page does not say whose the code is: %v\n%s", err, page)
	}
	if _, _, err := c.editor.Post(t.Context(), "/screens/pair", url.Values{
		"code": {s.PairingCode}, "do": {"approve"}, "name": {"Window"}, "hostname": {"window-tv"}, "playlist": {strconv.FormatInt(c.playlist, 10)}, "group": {"0"},
		"orientation": {"landscape"}, "enabled": {"1"},
	}); err != nil {
		t.Fatal(err)
	}
	if p := l.next(t); p.PlayerName != "Window" || len(p.Playlists[0].Items) != 2 {
		t.Errorf("program %+v", p)
	}
	l.connected(t)
	if s := l.State(); s.PairingCode != "" {
		t.Errorf("state %+v", s)
	}
}

// TestLinkToItself: the device's own screen, by the socket.
func TestLinkToItself(t *testing.T) {
	c := newShop(t)
	l := newLinkedOn(t, t.TempDir(), unixsock.Path(filepath.Join(c.State, "run"), "console-internal"), settings.PlayerSettings{})
	eventually(t, "nothing to play", func() error {
		if s := l.State(); !s.Connected || s.Cause != link.CauseEmpty || s.Kind != link.Own {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	l.next(t)
	if _, _, err := c.editor.Post(t.Context(), "/settings/signage", url.Values{"timezone": {"Europe/Bucharest"}, "default_playlist": {strconv.FormatInt(c.playlist, 10)}}); err != nil {
		t.Fatal(err)
	}
	p := l.next(t)
	for len(p.Playlists) == 0 || p.Timezone == "UTC" {
		p = l.next(t) // the zone is news of its own
	}
	if len(p.Playlists) != 1 || len(p.Playlists[0].Items) != 2 {
		t.Fatalf("program %+v", p)
	}
	l.connected(t)
	l.media(t, p.Playlists[0].Items[0])
	c.kill(t, "console")
	l.Report(playback.Event{Status: "error", Message: "the own screen is damaged", Time: time.Now()})
	eventually(t, "the report to go", func() error {
		if n := l.State().Spooled; n != 0 {
			return fmt.Errorf("%d reports wait", n)
		}
		return nil
	})
	l.connected(t)
	c.add(t, "third.jpg", 250)
	c.publish(t)
	if p := l.next(t); len(p.Playlists[0].Items) != 3 {
		t.Errorf("program %+v", p)
	}
}

// TestLinkToAnotherServer: what answers at the server's address has another authority, as a device that was set up anew or
// somebody else's: nothing goes there until a person has approved it.
func TestLinkToAnotherServer(t *testing.T) {
	c := newShop(t)
	l := newLinked(t, t.TempDir(), settings.PlayerSettings{Server: c.URL(""), Hostname: "kiosk", QuickConnectCode: code})
	l.next(t)
	l.connected(t)
	before := l.State()
	for _, dir := range []string{"system/ca", "tls/device"} {
		files, err := filepath.Glob(filepath.Join(c.State, "perm", dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", dir, files, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.kill(t, "system")
	c.kill(t, "proxy")
	var s link.State
	eventually(t, "the link to stop", func() error {
		if s = l.State(); s.Cause != link.CauseTrust {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if s.Pending == "" || s.Pending == before.Fingerprint || s.PendingCA == "" || s.PendingCA == before.CA || s.Trust != "" || s.Connected {
		t.Errorf("state %+v", s)
	}
	if s.PendingCA != authority(t, c) {
		t.Error("the fingerprint cannot be compared with what the server shows")
	}
	if err := l.Approve(s.Pending); err != nil {
		t.Fatal(err)
	}
	l.connected(t)
	if s := l.State(); s.Pending != "" || s.Trust != "pinned ca" {
		t.Errorf("state %+v", s)
	}
}

// plain is a picture of one colour.
func plain(t *testing.T, y uint8) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 320, 180))
	for i := range m.Pix {
		m.Pix[i] = y
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
