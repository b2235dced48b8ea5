package display_test

import (
	"errors"
	"image"
	"image/color"
	"testing"

	"golang.org/x/sys/unix"

	"porthole/hw/display"
	"porthole/hw/hwtest"
)

// TestVeil: a picture over all others is transparent to the degree that was asked for, is read once, and costs no drawing.
func TestVeil(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	if !s.Info().Veils {
		t.Fatal("planes with alpha are not used")
	}
	present(t, s, fill(s, red))
	f := fill(s, blue)
	f.Video, f.VideoRect = solid(64, 48, 235, 128, 128), image.Rect(0, 0, 80, 90)
	f.Veil, f.VeilShare = fill(s, red).Base, 256
	f.Veil.Set(3, 2, green)
	present(t, s, f)
	hidden := all(card.Screen(0), red)
	hidden[image.Pt(3, 2)] = green
	wantPixels(t, "hidden", card.Screen(0), hidden)
	f.Base = nil
	for share, want := range map[int][2]color.RGBA{
		192: {{255, 64, 64, 255}, {191, 0, 64, 255}}, 128: {{255, 128, 128, 255}, {128, 0, 128, 255}}, 1: {{254, 254, 254, 255}, {1, 0, 254, 255}},
	} {
		f.VeilShare = share
		present(t, s, f)
		wantPixels(t, "seen through", card.Screen(0), map[image.Point]color.RGBA{{0, 0}: want[0], {79, 89}: want[0], {80, 0}: want[1], {159, 89}: want[1]})
	}
	// The same one again is not read, another one is, also while the first is on the screen.
	copy(f.Veil.Pix, fill(s, green).Base.Pix)
	f.VeilShare = 256
	present(t, s, f)
	wantPixels(t, "the same veil", card.Screen(0), hidden)
	f.Veil = fill(s, green).Base
	present(t, s, f)
	wantAll(t, "another veil", card.Screen(0), green)
	f.Veil, f.VeilShare = nil, 0
	present(t, s, f)
	wantPixels(t, "without", card.Screen(0), map[image.Point]color.RGBA{{0, 0}: white, {80, 0}: blue})
	if fbs, _, _ := card.Left(); fbs > 5 {
		t.Errorf("%d framebuffers for two base, two video buffers and a veil", fbs)
	}
	if len(card.Commits()) != 8 {
		t.Errorf("%d commits for 8 frames", len(card.Commits()))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if fbs, buffers, blobs := card.Left(); fbs+buffers+blobs != 0 {
		t.Errorf("left behind: %d framebuffers, %d buffers, %d blobs", fbs, buffers, blobs)
	}
}

func TestVeilThatTheHardwareCannotShow(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	present(t, s, fill(s, green))
	f := fill(s, red)
	f.Veil, f.VeilShare = fill(s, blue).Base, 100
	card.FailCommits(unix.ENOSPC)
	if _, err := s.Present(limited(t), f); !errors.Is(err, display.ErrVeil) {
		t.Errorf("a veil that is refused: %v", err)
	}
	f.VeilShare = 0
	if _, err := s.Present(limited(t), f); !errors.Is(err, display.ErrVeil) {
		t.Errorf("a veil without a share: %v", err)
	}
	f.Veil, f.VeilShare = display.NewImage(image.Rect(0, 0, 10, 10)), 100
	if _, err := s.Present(limited(t), f); !errors.Is(err, display.ErrSize) {
		t.Errorf("a veil of another size: %v", err)
	}
	wantAll(t, "after refused veils", card.Screen(0), green)

	d := hwtest.NewDevices(t)
	virtio := hwtest.NewVirtio(d)
	virtio.Plug(0, edid(), plain)
	one := open(t, d, display.Options{})
	if one.Info().Veils {
		t.Error("a card with one plane promises veils")
	}
	if _, err := one.Present(limited(t), display.Frame{Veil: fill(one, red).Base, VeilShare: 9}); !errors.Is(err, display.ErrVeil) {
		t.Errorf("a veil without a plane: %v", err)
	}
}

// TestVeilAndAnotherTelevision: half of a fade does not stay on a display that is plugged in then.
func TestVeilAndAnotherTelevision(t *testing.T) {
	d, card, s := vc4(t, 0, display.Options{KeepFrame: true})
	f := fill(s, red)
	f.Veil, f.VeilShare = fill(s, blue).Base, 200
	present(t, s, f)
	card.Plug(0, hwtest.EDID("LGE", "OLED", 1400, 800), larger)
	hotplug(t, d, s)
	wantAll(t, "what was coming", card.Screen(0), red)
	if _, err := s.Present(limited(t), f); !errors.Is(err, display.ErrSize) {
		t.Errorf("a fade for the former mode: %v", err)
	}
	f = fill(s, green)
	f.Veil, f.VeilShare = fill(s, white).Base, 256
	present(t, s, f)
	wantAll(t, "a fade on the new one", card.Screen(0), white)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "a program that ends in mid-fade", card.Screen(0), white)
}

// TestSetMode: the mode changes while the picture stays, a hotplug keeps it, and one that is not to be had is said.
func TestSetMode(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	modes := []hwtest.Mode{plain, {Width: 320, Height: 180, RefreshHz: 50}, {Width: 320, Height: 180, RefreshHz: 60}}
	card.Plug(0, edid(), modes...)
	s := open(t, d, display.Options{})
	present(t, s, fill(s, red))
	set := func(m display.Mode) display.Info {
		t.Helper()
		before := len(card.Commits())
		was := s.Info().Mode
		if err := s.SetMode(limited(t), m); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Changes():
		case <-limited(t).Done():
			t.Fatal("the change of mode is not told")
		}
		if i := s.Info(); i.Mode == was && len(card.Commits()) != before {
			t.Errorf("the screen flickered for the mode it has, %s", was)
		}
		return s.Info()
	}
	if i := set(display.Mode{Width: 320, Height: 180, RefreshMilliHz: 50_000}); i.Mode.Width != 320 || i.Mode.RefreshMilliHz > 51_000 || i.Note != "" {
		t.Errorf("asked for 320x180 at 50 Hz: %s, %q", i.Mode, i.Note)
	}
	wantAll(t, "the picture in another mode", card.Screen(0), red)
	present(t, s, fill(s, green))

	card.Unplug(0)
	hotplug(t, d, s)
	card.Plug(0, edid(), modes...)
	hotplug(t, d, s)
	if i := s.Info(); i.Mode.Width != 320 || i.Mode.RefreshMilliHz > 51_000 {
		t.Errorf("after a hotplug the mode is %s", i.Mode)
	}
	wantAll(t, "after a hotplug", card.Screen(0), green)

	if i := set(display.Mode{Width: 4096, Height: 2160}); i.Mode.Width != 160 || i.Note != "The display does not offer 4096x2160: 160x90 at 59.98 Hz is used." {
		t.Errorf("asked for what there is not: %s, %q", i.Mode, i.Note)
	}
	if i := set(display.Mode{}); i.Mode.Width != 160 || i.Note != "" {
		t.Errorf("asked for nothing: %s, %q", i.Mode, i.Note)
	}
	card.Reject(func(m hwtest.Mode) bool { return m.Width == 320 })
	if i := set(display.Mode{Width: 320, Height: 180}); i.Mode.Width != 160 || i.Note == "" {
		t.Errorf("asked for a mode that the hardware refuses: %s, %q", i.Mode, i.Note)
	}
	wantAll(t, "after a refused mode", card.Screen(0), green)
	for _, p := range card.Problems() {
		t.Error(p)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMode(limited(t), display.Mode{}); !errors.Is(err, display.ErrClosed) {
		t.Errorf("a mode for a closed screen: %v", err)
	}
}
