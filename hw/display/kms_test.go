package display_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/hw/display"
	"porthole/hw/hwtest"
)

func TestFirstFrameReplacesWhatWasThere(t *testing.T) {
	d := hwtest.NewDevices(t)
	hwtest.NewRenderOnly(d) // the Pi's 3D unit is another card, without plugs
	card := hwtest.NewVC4(d)
	card.Plug(1, edid(), plain, larger)
	card.Leave(0, larger)
	card.Leave(1, larger)
	s := open(t, d, display.Options{})

	i := s.Info()
	if i.Kind != display.KindPlanes || i.Driver != "vc4" || i.Connector != "HDMI-A-2" || !i.Connected || !i.VideoPlanes || i.Note != "" {
		t.Errorf("the screen is described as %+v", i)
	}
	if i.Monitor != "SAM The Frame" || i.SizeMM != image.Pt(1210, 680) {
		t.Errorf("the television is %q of %v mm", i.Monitor, i.SizeMM)
	}
	if i.Mode.Width != 160 || i.Mode.Height != 90 || i.Mode.RefreshMilliHz < 59_900 || i.Mode.RefreshMilliHz > 60_100 || len(i.Modes) != 2 {
		t.Errorf("mode %+v of %d", i.Mode, len(i.Modes))
	}
	wantAll(t, "before the first frame", card.Screen(1), color.RGBA{128, 128, 128, 255})

	f := fill(s, red)
	f.Base.Set(0, 0, green)
	f.Base.Set(159, 89, blue)
	present(t, s, f)
	want := all(card.Screen(1), red)
	want[image.Pt(0, 0)], want[image.Pt(159, 89)] = green, blue
	wantPixels(t, "first frame", card.Screen(1), want)
	if card.Screen(0) != nil {
		t.Error("the other plug still shows what another program left")
	}
}

func TestFlipsAreCountedByTheHardware(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	begin := monotonic(t)
	last := present(t, s, fill(s, red))
	if last.Time < begin || last.Time > monotonic(t) {
		t.Errorf("the first frame came at %v, before it was presented at %v", last.Time, begin)
	}
	for i, c := range []color.RGBA{green, blue, white, black} {
		v := present(t, s, fill(s, c))
		if v.Sequence != last.Sequence+1 || v.Time < last.Time || v.Time <= 0 {
			t.Errorf("frame %d came at %+v after %+v", i, v, last)
		}
		last = v
		wantAll(t, "frame", card.Screen(0), c)
	}
	for i, c := range card.Commits() {
		if c.Modeset != (i == 0) || !c.Event {
			t.Errorf("commit %d is %+v: only the first one sets the mode", i, c)
		}
	}
}

func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// solid is a video in one colour, with a wider stride than needed.
func solid(w, h int, y, u, v byte) *display.YUV {
	m := &display.YUV{YStride: w + 32, UVStride: (w+1)/2 + 16, Width: w, Height: h}
	m.Y, m.U, m.V = make([]byte, m.YStride*h), make([]byte, m.UVStride*((h+1)/2)), make([]byte, m.UVStride*((h+1)/2))
	for _, p := range []struct {
		pix []byte
		v   byte
	}{{m.Y, y}, {m.U, u}, {m.V, v}} {
		for i := range p.pix {
			p.pix[i] = p.v
		}
	}
	return m
}

func TestVideoIsScaledByThePlane(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	f := fill(s, blue)
	f.Video, f.VideoRect = solid(64, 48, 63, 102, 240), image.Rect(40, 20, 120, 70)
	f.Video.BT709 = true
	present(t, s, f)
	inside, outside := []image.Point{{40, 20}, {119, 69}, {80, 45}}, []image.Point{{39, 20}, {120, 69}, {0, 0}, {159, 89}}
	check := func(what string, in, out color.RGBA) {
		t.Helper()
		want := make(map[image.Point]color.RGBA)
		for _, p := range inside {
			want[p] = in
		}
		for _, p := range outside {
			want[p] = out
		}
		wantPixels(t, what, card.Screen(0), want)
	}
	check("red video", red, blue)

	// Only the video changes: the base stays. Limited range BT.601 green.
	present(t, s, display.Frame{Video: solid(64, 48, 145, 54, 34), VideoRect: f.VideoRect})
	check("green video", green, blue)
	// Another size, an odd one, in full range.
	full := solid(33, 19, 40, 128, 128)
	full.FullRange = true
	present(t, s, display.Frame{Video: full, VideoRect: f.VideoRect})
	check("dark grey video of another size", color.RGBA{40, 40, 40, 255}, blue)
	full = solid(33, 19, 235, 128, 128)
	// Partly beyond the edge.
	present(t, s, display.Frame{Video: full, VideoRect: image.Rect(-80, -45, 80, 45)})
	wantPixels(t, "video at the edge", card.Screen(0), map[image.Point]color.RGBA{{0, 0}: white, {79, 44}: white, {80, 45}: blue})
	// Everywhere.
	present(t, s, display.Frame{Video: full})
	wantAll(t, "full-screen video", card.Screen(0), white)
	// No video any more.
	present(t, s, display.Frame{})
	wantAll(t, "no video", card.Screen(0), blue)
	if fbs, _, _ := card.Left(); fbs > 4 {
		t.Errorf("%d framebuffers for two base and two video buffers", fbs)
	}
}

func TestVideoThatTheHardwareCannotShow(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	present(t, s, fill(s, green))
	huge := solid(7700, 2, 0, 128, 128)
	if _, err := s.Present(limited(t), display.Frame{Video: huge}); !errors.Is(err, display.ErrVideo) {
		t.Errorf("a video wider than the hardware takes: %v", err)
	}
	cut := solid(64, 48, 0, 128, 128)
	cut.U = cut.U[:100]
	if _, err := s.Present(limited(t), display.Frame{Video: cut}); !errors.Is(err, display.ErrVideo) {
		t.Errorf("a video with too little in it: %v", err)
	}
	card.FailCommits(unix.ERANGE)
	if _, err := s.Present(limited(t), display.Frame{Video: solid(64, 48, 255, 128, 128)}); !errors.Is(err, display.ErrVideo) {
		t.Errorf("a video that the plane refuses: %v", err)
	}
	wantAll(t, "after refused videos", card.Screen(0), green)
	present(t, s, fill(s, red))
	wantAll(t, "the next frame", card.Screen(0), red)
}

func TestOnePlane(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVirtio(d)
	card.Plug(0, edid(), plain)
	s := open(t, d, display.Options{})
	if i := s.Info(); i.Kind != display.KindPrimary || i.VideoPlanes || i.Connector != "Virtual-1" {
		t.Errorf("the screen is described as %+v", i)
	}
	present(t, s, fill(s, red))
	if _, err := s.Present(limited(t), display.Frame{Video: solid(64, 48, 0, 128, 128)}); !errors.Is(err, display.ErrVideo) {
		t.Errorf("video without a plane: %v", err)
	}
	wantAll(t, "frame", card.Screen(0), red)
}

func TestPlanesThatDoNotScaleAreNotForVideo(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(0, edid(), plain)
	card.NoYUVScaling()
	if i := open(t, d, display.Options{}).Info(); i.Kind != display.KindPrimary || i.VideoPlanes {
		t.Errorf("the screen is described as %+v", i)
	}
}

func TestPreferOnePlane(t *testing.T) {
	_, _, s := vc4(t, 0, display.Options{Prefer: display.KindPrimary})
	if i := s.Info(); i.Kind != display.KindPrimary || i.VideoPlanes {
		t.Errorf("the screen is described as %+v", i)
	}
}

func TestFrameOfAnotherSize(t *testing.T) {
	_, _, s := vc4(t, 0, display.Options{})
	small := display.NewImage(image.Rect(0, 0, 100, 90))
	if _, err := s.Present(limited(t), display.Frame{Base: small}); !errors.Is(err, display.ErrSize) {
		t.Errorf("a frame of another size: %v", err)
	}
	cut := fill(s, red)
	cut.Base.Pix = cut.Base.Pix[:1000]
	if _, err := s.Present(limited(t), cut); !errors.Is(err, display.ErrSize) {
		t.Errorf("a frame with too little in it: %v", err)
	}
	// Part of a larger picture is fine: its lines are further apart.
	m := display.NewImage(image.Rect(0, 0, 400, 300))
	present(t, s, display.Frame{Base: m.SubImage(image.Rect(100, 100, 260, 190)).(*display.Image)})
}

func TestBlank(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	f := fill(s, red)
	f.Video = solid(64, 48, 235, 128, 128)
	present(t, s, f)
	if err := s.Blank(limited(t), false); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "blanked", card.Screen(0), black)
	present(t, s, display.Frame{})
	wantAll(t, "woken with the base of before", card.Screen(0), red)
	if err := s.Blank(limited(t), true); err != nil {
		t.Fatal(err)
	}
	if card.Screen(0) != nil {
		t.Error("there still is a signal")
	}
	if err := s.Blank(limited(t), false); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "black after no signal", card.Screen(0), black)
	if err := s.Blank(limited(t), true); err != nil {
		t.Fatal(err)
	}
	present(t, s, fill(s, green))
	wantAll(t, "woken", card.Screen(0), green)
}

func TestLostFlip(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	present(t, s, fill(s, red))
	card.HoldFlips(true)
	if _, err := s.Present(limited(t), fill(s, green)); !errors.Is(err, display.ErrNoFlip) {
		t.Errorf("a flip that is never confirmed: %v", err)
	}
	card.DropFlips()
	card.HoldFlips(false)
	present(t, s, fill(s, blue))
	wantAll(t, "after a lost flip", card.Screen(0), blue)
}

func TestCancelledPresentKeepsItsBuffersUntilTheFlip(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	last := present(t, s, fill(s, red))
	card.HoldFlips(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Present(ctx, fill(s, green)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a present that takes too long: %v", err)
	}
	if _, err := s.Present(ctx, fill(s, blue)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a present behind it: %v", err)
	}
	wantAll(t, "while waiting", card.Screen(0), green)
	card.HoldFlips(false)
	if v := present(t, s, fill(s, blue)); v.Sequence != last.Sequence+2 {
		t.Errorf("the frame after came at %d, want %d", v.Sequence, last.Sequence+2)
	}
	wantAll(t, "after waiting", card.Screen(0), blue)
}

func TestBusyKernel(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	present(t, s, fill(s, red))
	card.FailCommits(unix.EBUSY, unix.EBUSY)
	present(t, s, fill(s, green))
	wantAll(t, "frame", card.Screen(0), green)
}

func TestDriverWithoutVblankIsPaced(t *testing.T) {
	_, card, s := vc4(t, 0, display.Options{})
	card.NoVblank()
	last, begin := present(t, s, fill(s, red)), time.Now()
	for range 5 {
		v := present(t, s, fill(s, green))
		if v.Sequence <= last.Sequence || v.Time <= last.Time {
			t.Errorf("%+v after %+v", v, last)
		}
		last = v
	}
	if d := time.Since(begin); d < 4*time.Second/60 {
		t.Errorf("5 frames at 60 Hz took %v only", d)
	}
}
