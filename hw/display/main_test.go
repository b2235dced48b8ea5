package display_test

import (
	"context"
	"image"
	"image/color"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/hw/display"
	"porthole/hw/hwtest"
	"porthole/hw/uevent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	red    = color.RGBA{255, 0, 0, 255}
	green  = color.RGBA{0, 255, 0, 255}
	blue   = color.RGBA{0, 0, 255, 255}
	white  = color.RGBA{255, 255, 255, 255}
	black  = color.RGBA{0, 0, 0, 255}
	plain  = hwtest.Mode{Width: 160, Height: 90, RefreshHz: 60, Preferred: true}
	larger = hwtest.Mode{Width: 320, Height: 180, RefreshHz: 50, Preferred: true}
)

func edid() []byte { return hwtest.EDID("SAM", "The Frame", 1210, 680) }

// open opens the screen of fake devices and closes it when the test ends.
func open(t *testing.T, d *hwtest.Devices, opts display.Options) display.Screen {
	t.Helper()
	opts.Root, opts.Sys = d.Root(), d.Sys()
	s, err := display.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// vc4 is a Pi with a television at plug n and a screen opened on it.
func vc4(t *testing.T, n int, opts display.Options) (*hwtest.Devices, *hwtest.Card, display.Screen) {
	t.Helper()
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(n, edid(), plain)
	s := open(t, d, opts)
	t.Cleanup(func() {
		for _, p := range card.Problems() {
			t.Error(p)
		}
	})
	return d, card, s
}

// limited bounds a call that must not hang.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func present(t *testing.T, s display.Screen, f display.Frame) display.Vblank {
	t.Helper()
	v, err := s.Present(limited(t), f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fill is a picture in one colour with the size of the screen's mode.
func fill(s display.Screen, c color.Color) display.Frame {
	m := s.Info().Mode
	img := display.NewImage(image.Rect(0, 0, m.Width, m.Height))
	img.Set(0, 0, c)
	for n := 4; n < len(img.Pix); n *= 2 {
		copy(img.Pix[n:], img.Pix[:n])
	}
	return display.Frame{Base: img}
}

// wantPixels compares some pixels of what a display shows; a nil screen has no signal.
func wantPixels(t *testing.T, what string, got *image.RGBA, want map[image.Point]color.RGBA) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: the display gets no signal", what)
		return
	}
	for p, c := range want {
		g := got.RGBAAt(p.X, p.Y)
		if !near(g.R, c.R) || !near(g.G, c.G) || !near(g.B, c.B) {
			t.Errorf("%s: pixel %v is %v, want %v", what, p, g, c)
		}
	}
}

// near allows for rounding.
func near(a, b byte) bool { return max(a, b)-min(a, b) < 4 }

func all(got *image.RGBA, c color.RGBA) map[image.Point]color.RGBA {
	want := make(map[image.Point]color.RGBA)
	if got != nil {
		for y := range got.Rect.Dy() {
			for x := range got.Rect.Dx() {
				want[image.Pt(x, y)] = c
			}
		}
	}
	return want
}

// wantAll expects a whole screen in one colour.
func wantAll(t *testing.T, what string, got *image.RGBA, c color.RGBA) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: the display gets no signal", what)
		return
	}
	for i := 0; i < len(got.Pix); i += 4 {
		if p := got.Pix[i:][:4]; !near(p[0], c.R) || !near(p[1], c.G) || !near(p[2], c.B) {
			t.Errorf("%s: pixel %d is %v, want %v", what, i/4, p, c)
			return
		}
	}
}

// hotplug tells the program that something happened at the plugs, and waits until it has seen it.
func hotplug(t *testing.T, d *hwtest.Devices, s display.Screen) {
	t.Helper()
	d.Send(uevent.Event{Action: "change", Subsystem: "drm", Vars: map[string]string{"HOTPLUG": "1"}})
	select {
	case <-s.Changes():
	case <-limited(t).Done():
		t.Fatal("the screen did not notice")
	}
}
