package display_test

import (
	"errors"
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/hw/display"
	"porthole/hw/hwtest"
	"porthole/hw/internal/drm"
)

// timing is a mode with its real figures: pixel clock in kHz, totals.
func timing(w, h, clock, htotal, vtotal int, typ, flags uint32) drm.ModeInfo {
	return drm.ModeInfo{
		Clock: uint32(clock), HDisplay: uint16(w), VDisplay: uint16(h), HTotal: uint16(htotal), VTotal: uint16(vtotal), Type: typ, Flags: flags,
	}
}

func TestModeChoice(t *testing.T) {
	var (
		p60   = timing(1920, 1080, 148500, 2200, 1125, drm.ModeTypePreferred, 0)
		p5994 = timing(1920, 1080, 148352, 2200, 1125, 0, 0)
		p50   = timing(1920, 1080, 148500, 2640, 1125, 0, 0)
		p24   = timing(1920, 1080, 74250, 2750, 1125, 0, 0)
		i50   = timing(1920, 1080, 74250, 2640, 1125, 0, drm.ModeFlagInterlace)
		uhd   = timing(3840, 2160, 297000, 4400, 2250, 0, 0)
		hd    = timing(1280, 720, 74250, 1650, 750, 0, 0)
		vga   = timing(640, 480, 25175, 800, 525, 0, 0)
		xga   = timing(1024, 768, 65000, 1344, 806, 0, 0)
		user  = timing(1280, 720, 74250, 1650, 750, drm.ModeTypeUserDef, 0)
		at50  = timing(1920, 1080, 148500, 2640, 1125, drm.ModeTypePreferred, 0)
		// A 4K television at a Pi 4 (297 MHz at most) and at a Pi 5 (594 MHz), and what else such displays offer.
		uhd30  = timing(3840, 2160, 297000, 4400, 2250, drm.ModeTypePreferred, 0)
		uhd60  = timing(3840, 2160, 594000, 4400, 2250, 0, 0)
		uhd25  = timing(3840, 2160, 297000, 5280, 2250, 0, 0)
		uhd60i = timing(3840, 2160, 297000, 4400, 2250, 0, drm.ModeFlagInterlace)
		dci24  = timing(4096, 2160, 297000, 5500, 2250, drm.ModeTypePreferred, 0)
		qhd    = timing(2560, 1440, 241500, 2720, 1481, 0, 0)
		qhd30  = timing(2560, 1440, 120750, 2720, 1481, drm.ModeTypePreferred, 0)
		wide   = timing(2560, 1080, 198000, 3000, 1100, 0, 0)
		plain  = timing(1920, 1080, 148500, 2200, 1125, 0, 0)
		p30    = timing(1920, 1080, 74250, 2200, 1125, drm.ModeTypePreferred, 0)
	)
	tv := []drm.ModeInfo{p60, uhd, i50, p24, p50, p5994, hd, vga}
	for _, c := range []struct {
		name   string
		modes  []drm.ModeInfo
		wanted display.Mode
		silent bool
		want   []string // the first ones
	}{
		{"preferred", tv, display.Mode{}, false, []string{"1920x1080 at 60 Hz", "1920x1080 at 59.94 Hz", "1920x1080 at 50 Hz", "1920x1080 at 24 Hz", "3840x2160 at 30 Hz"}},
		{"fastest at the preferred size", []drm.ModeInfo{at50, p5994, hd}, display.Mode{}, false, []string{"1920x1080 at 59.94 Hz"}},
		{"interlaced comes last", tv, display.Mode{}, false, []string{"1920x1080 at 60 Hz", "1920x1080 at 59.94 Hz", "1920x1080 at 50 Hz", "1920x1080 at 24 Hz", "3840x2160 at 30 Hz", "1280x720 at 60 Hz", "640x480 at 59.94 Hz", "1920x1080 at 50 Hz"}},
		{"wanted", tv, display.Mode{Width: 1280, Height: 720}, false, []string{"1280x720 at 60 Hz", "1920x1080 at 60 Hz"}},
		{"wanted with rate", tv, display.Mode{Width: 1920, Height: 1080, RefreshMilliHz: 59940}, false, []string{"1920x1080 at 59.94 Hz", "1920x1080 at 60 Hz"}},
		{"wanted interlaced", tv, display.Mode{Width: 1920, Height: 1080, RefreshMilliHz: 50000}, false, []string{"1920x1080 at 50 Hz"}},
		{"wanted is not offered", tv, display.Mode{Width: 800, Height: 600}, false, []string{"1920x1080 at 60 Hz"}},
		{"kernel command line", []drm.ModeInfo{p60, user}, display.Mode{}, false, []string{"1280x720 at 60 Hz"}},
		{"no preferred mode", []drm.ModeInfo{vga, hd, uhd}, display.Mode{}, false, []string{"3840x2160 at 30 Hz"}},
		{"4K at 30 Hz only", []drm.ModeInfo{uhd30, uhd25, uhd60i, wide, p24, plain, hd}, display.Mode{}, false, []string{"1920x1080 at 60 Hz", "1920x1080 at 24 Hz", "3840x2160 at 30 Hz", "3840x2160 at 25 Hz", "2560x1080 at 60 Hz"}},
		{"4K at 60 Hz", []drm.ModeInfo{uhd30, uhd60, plain}, display.Mode{}, false, []string{"3840x2160 at 60 Hz", "3840x2160 at 30 Hz", "1920x1080 at 60 Hz"}},
		{"4K at 30 Hz is wanted", []drm.ModeInfo{uhd30, plain}, display.Mode{Width: 3840, Height: 2160}, false, []string{"3840x2160 at 30 Hz", "1920x1080 at 60 Hz"}},
		{"4K at 30 Hz and a size between", []drm.ModeInfo{uhd30, plain, qhd}, display.Mode{}, false, []string{"2560x1440 at 59.95 Hz"}},
		{"4K at 30 Hz and nothing fast above 720p", []drm.ModeInfo{uhd30, p24, hd}, display.Mode{}, false, []string{"3840x2160 at 30 Hz"}},
		{"cinema 4K at 24 Hz", []drm.ModeInfo{dci24, uhd25, plain}, display.Mode{}, false, []string{"1920x1080 at 60 Hz"}},
		{"a slow size between", []drm.ModeInfo{qhd30, plain}, display.Mode{}, false, []string{"1920x1080 at 60 Hz"}},
		{"no larger than preferred", []drm.ModeInfo{qhd30, uhd60, plain}, display.Mode{}, false, []string{"1920x1080 at 60 Hz", "3840x2160 at 60 Hz"}},
		{"1080p at 30 Hz stays", []drm.ModeInfo{p30, hd}, display.Mode{}, false, []string{"1920x1080 at 30 Hz"}},
		{"no preferred mode, 4K at 30 Hz", []drm.ModeInfo{hd, uhd, plain}, display.Mode{}, false, []string{"1920x1080 at 60 Hz"}},
		{"silent", []drm.ModeInfo{vga, xga}, display.Mode{}, true, []string{"1920x1080 at 60 Hz", "1024x768 at 60 Hz", "640x480 at 59.94 Hz"}},
		{"silent, but the user knows", []drm.ModeInfo{vga, xga}, display.Mode{Width: 1024, Height: 768}, true, []string{"1024x768 at 60 Hz", "1920x1080 at 60 Hz"}},
		{"nothing", nil, display.Mode{}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range display.Candidates(c.modes, c.wanted, c.silent) {
				got = append(got, m.String())
			}
			if len(got) < len(c.want) {
				t.Fatalf("got %q, want %q first", got, c.want)
			}
			if diff := cmp.Diff(c.want, got[:len(c.want):len(c.want)]); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestModesThatDoNotWork(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(0, nil, hwtest.Mode{Width: 102, Height: 76, RefreshHz: 60}, hwtest.Mode{Width: 64, Height: 48, RefreshHz: 60})
	s := open(t, d, display.Options{})
	if i := s.Info(); i.Mode.Width != 1920 || i.Mode.RefreshMilliHz != 60_000 || !strings.Contains(i.Note, "no valid EDID") || i.Monitor != "" {
		t.Errorf("a display without EDID: %+v", i)
	}
	present(t, s, fill(s, red))
	wantPixels(t, "1080p", card.Screen(0), map[image.Point]color.RGBA{{0, 0}: red, {1919, 1079}: red})
	s.Close()

	card.Reject(func(m hwtest.Mode) bool { return m.Width > 100 })
	s = open(t, d, display.Options{Mode: display.Mode{Width: 102, Height: 76}})
	if i := s.Info(); i.Mode.Width != 64 || !strings.Contains(i.Note, "102x76 does not work: 64x48 at") {
		t.Errorf("a display whose better modes do not work: %+v", i)
	}
	present(t, s, fill(s, red))
	wantAll(t, "small", card.Screen(0), red)
	s.Close()

	card.Reject(func(hwtest.Mode) bool { return true })
	if _, err := display.Open(t.Context(), display.Options{Root: d.Root(), Sys: d.Sys()}); err == nil || errors.Is(err, display.ErrNoDevice) {
		t.Errorf("a display none of whose modes works: %v", err)
	}
	if files, mappings := d.Open(); files+mappings != 0 {
		t.Errorf("%d files, %d mappings left", files, mappings)
	}
}

// TestEDIDThatComesLate: a television that is just starting answers a second later, and nothing tells.
func TestEDIDThatComesLate(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(0, nil, hwtest.Mode{Width: 102, Height: 76, RefreshHz: 60})
	s := open(t, d, display.Options{})
	present(t, s, fill(s, red))
	card.Plug(0, edid(), plain)
	select {
	case <-s.Changes():
	case <-limited(t).Done():
		t.Fatal("the EDID was not read again")
	}
	if i := s.Info(); i.Mode.Width != 160 || i.Note != "" || i.Monitor != "SAM The Frame" {
		t.Errorf("the television is described as %+v", i)
	}
	wantAll(t, "in its own mode", card.Screen(0), red)
}

// TestPowerCycle: a television that is switched off and on, and does not answer for its EDID at first, gets the mode that it
// had, not what the kernel guesses for it. Another one at another plug does not.
func TestPowerCycle(t *testing.T) {
	d, card, s := vc4(t, 0, display.Options{})
	guess := []hwtest.Mode{{Width: 102, Height: 76, RefreshHz: 60}, {Width: 64, Height: 48, RefreshHz: 60}}
	present(t, s, fill(s, red))
	for range 3 {
		card.Unplug(0)
		hotplug(t, d, s)
		card.Plug(0, nil, guess...)
		hotplug(t, d, s)
		if i := s.Info(); !i.Connected || i.Mode.Width != 160 || !strings.Contains(i.Note, "no valid EDID") {
			t.Errorf("switched on again: %+v", i)
		}
		wantAll(t, "switched on again", card.Screen(0), red)
		card.Plug(0, edid(), plain)
		select {
		case <-s.Changes():
		case <-limited(t).Done():
			t.Fatal("the EDID was not read again")
		}
		if i := s.Info(); i.Mode.Width != 160 || i.Note != "" {
			t.Errorf("when it answers: %+v", i)
		}
		wantAll(t, "when it answers", card.Screen(0), red)
	}
	// What somebody asked for goes before what was.
	card.Plug(0, nil, guess...)
	hotplug(t, d, s)
	if err := s.SetMode(limited(t), display.Mode{Width: 64, Height: 48}); err != nil {
		t.Fatal(err)
	}
	<-s.Changes()
	if i := s.Info(); i.Mode.Width != 64 {
		t.Errorf("asked for another mode: %+v", i)
	}
	card.Unplug(0)
	card.Plug(1, nil, guess...)
	hotplug(t, d, s)
	if i := s.Info(); i.Connector != "HDMI-A-2" || i.Mode.Width != 64 {
		t.Errorf("a silent display at the other plug: %+v", i)
	}
}

func TestWantedModeAndConnector(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(0, edid(), plain)
	card.Plug(1, edid(), plain, larger)
	s := open(t, d, display.Options{Connector: "HDMI-A-2", Mode: display.Mode{Width: 320, Height: 180}})
	if i := s.Info(); i.Connector != "HDMI-A-2" || i.Mode.Width != 320 || i.Note != "" {
		t.Errorf("the wanted plug and mode: %+v", i)
	}
	present(t, s, fill(s, red))
	wantAll(t, "wanted", card.Screen(1), red)
	s.Close()
	s = open(t, d, display.Options{Connector: "HDMI-A-3"})
	if i := s.Info(); i.Connector != "HDMI-A-1" || !strings.Contains(i.Note, "no connector HDMI-A-3") {
		t.Errorf("a plug that is not there: %+v", i)
	}
}

func TestEDID(t *testing.T) {
	monitor, size, err := display.ParseEDID(hwtest.EDID("SAM", "The Frame", 1210, 680))
	if monitor != "SAM The Frame" || size != image.Pt(1210, 680) || err != nil {
		t.Errorf("got %q, %v, %v", monitor, size, err)
	}
	// The base block of a projector: no size, no name.
	plain := hwtest.EDID("EPS", "", 0, 0)
	plain[72+3], plain[127] = 0x10, plain[127]+0xfc-0x10
	if monitor, size, err := display.ParseEDID(plain); monitor != "EPS" || size != (image.Point{}) || err != nil {
		t.Errorf("without name and size: %q, %v, %v", monitor, size, err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"checksum": func(b []byte) []byte { b[40]++; return b },
		"header":   func(b []byte) []byte { b[0], b[127] = 1, b[127]-1; return b },
		"cut":      func(b []byte) []byte { return b[:127] },
		"empty":    func([]byte) []byte { return nil },
	} {
		if m, _, err := display.ParseEDID(damage(hwtest.EDID("SAM", "The Frame", 1210, 680))); err == nil || m != "" {
			t.Errorf("damaged %s: read as %q", name, m)
		}
	}
}

func FuzzEDID(f *testing.F) {
	f.Add(hwtest.EDID("SAM", "The Frame", 1210, 680))
	f.Add(hwtest.EDID("", "\x00\xff\n", 1, 65535))
	f.Add(append(hwtest.EDID("AAA", "1234567890123", 4095, 4095), make([]byte, 128)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= 128 { // let most inputs past header and checksum
			copy(p, []byte{0, 255, 255, 255, 255, 255, 255, 0})
			p[127] = 0
			for _, b := range p[:127] {
				p[127] -= b
			}
		}
		monitor, size, err := display.ParseEDID(p)
		if (err == nil) != (len(p) >= 128) {
			t.Errorf("%d bytes: %v", len(p), err)
		}
		if len(monitor) > 3+1+13 || strings.ContainsFunc(monitor, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("monitor %q", monitor)
		}
		if size.X < 0 || size.Y < 0 || size.X > 4095 || size.Y > 4095 {
			t.Errorf("size %v", size)
		}
	})
}
