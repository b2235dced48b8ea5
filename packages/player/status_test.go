package main_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/internal/settings"
)

// TestStatusScreen: the screen says at once what is known, more as it is learnt, and the claim code only while there is
// no owner. It is read by a QR code reader on screens of every shape.
func TestStatusScreen(t *testing.T) {
	for _, size := range [][2]int{{1280, 720}, {800, 480}, {720, 1280}} {
		t.Run("", func(t *testing.T) {
			d := newDevice(t, display.OpenOffscreen(size[0], size[1])).start()
			// Nobody else runs.
			want := render.Status{Name: "kernel-name", URL: "https://192.168.178.20/"}
			d.shows("what the kernel knows", want)
			m, _ := d.screen.Last()
			if got := qr(t, m); got != want.URL {
				t.Errorf("the QR code leads to %q, want %q", got, want.URL)
			}
			d.keep("first")

			d.system()
			want.Fingerprint = "AB:12:CD:34:EF:56:07:89"
			d.shows("the fingerprint", want)
			c := d.console(settings.Player{Hostname: "shop"})
			want.Name, want.ClaimCode = "shop", claimCode
			d.shows("name and claim code", want)
			m, _ = d.screen.Last()
			if got := qr(t, m); got != want.URL {
				t.Errorf("with a claim code, the QR code leads to %q, want %q", got, want.URL)
			}
			d.keep("unclaimed")

			c.claim()
			want.ClaimCode = ""
			d.shows("no claim code once it is claimed", want)
			d.keep("claimed")
			if s := d.status(); s.Showing != "status" || s.Display["kind"] != "offscreen" || s.Camera != nil || len(s.Problems) != 0 {
				t.Errorf("player.sock says %+v", s)
			}
		})
	}
}

// TestProblems: what is wrong with the card or porthole.toml is said on the screen.
func TestProblems(t *testing.T) {
	d := newDevice(t, display.OpenOffscreen(1280, 720))
	const storage = "The storage on the card is damaged and could not be repaired."
	if err := os.MkdirAll(d.options.Env.RunDir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(d.options.Env.RunDir, "perm-status.json")
	if err := os.WriteFile(file, []byte(`{"state":"failed","problem":"`+storage+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
	want := render.Status{Name: "kernel-name", Addresses: []string{"192.168.178.20"}, Unreachable: true, Messages: []string{storage}}
	d.shows("the damaged storage", want)
	d.keep("unreachable")
	c := d.console(settings.Player{Hostname: "porthole", Notices: []string{"line 3: hostname: use lowercase letters"}})
	c.claim()
	want.Name = "porthole"
	want.Messages = []string{storage, "porthole.toml, line 3: hostname: use lowercase letters"}
	d.shows("the refused line", want)
	d.keep("two")
	if s := d.status(); len(s.Problems) != 2 || s.Problems[0] != storage {
		t.Errorf("player.sock says %q", s.Problems)
	}
	var many []string
	for range 40 {
		many = append(many, "line 7: camera.url: must start with rtsp://, so that it can be read; the camera is left out")
	}
	c.change(func(v *settings.Player) { v.Notices = many })
	d.eventually("many refused lines are counted", func() bool {
		p := d.status().Problems
		return len(p) == 6 && strings.HasPrefix(p[5], "porthole.toml: 36 more lines")
	})
	d.keep("many")
	c.change(func(v *settings.Player) { v.Notices = nil })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want = render.Status{Name: "porthole", URL: "https://192.168.178.20/"}
	d.shows("that all is well", want)
}

// TestNoNetwork: without an address there is no QR code, and the screen is there all the same.
func TestNoNetwork(t *testing.T) {
	d := newDevice(t, display.OpenOffscreen(1280, 720))
	d.options.Addresses = func() ([]netip.Addr, error) { return nil, nil }
	d.options.Hostname = func() (string, error) { return "(none)", nil }
	d.start()
	d.shows("the name every device has", render.Status{Name: "porthole"})
	d.keep("")
}

// TestIdentifyOnScreen: the screen shows its name while it is asked to, and then what it did before.
func TestIdentifyOnScreen(t *testing.T) {
	for _, size := range [][2]int{{1280, 720}, {720, 1280}} {
		d := newDevice(t, display.OpenOffscreen(size[0], size[1]))
		c := d.console(settings.Player{Hostname: "shop"})
		c.claim()
		d.start()
		want := render.Status{Name: "shop", URL: "https://192.168.178.20/"}
		d.shows("its status", want)
		const name = "Shop window, left"
		c.change(func(v *settings.Player) {
			v.Identify = settings.Identify{Text: name, Until: time.Now().Add(time.Minute)}
		})
		d.showsUnder("its name over it", want, func(m *render.Image) { render.Banner(m, name) })
		d.keep("identify")
		c.change(func(v *settings.Player) { v.Identify.Until = time.Now() })
		d.shows("its status again", want)
		d.stop()
	}
}
