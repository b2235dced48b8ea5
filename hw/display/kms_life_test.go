package display_test

import (
	"errors"
	"image"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"porthole/hw/display"
	"porthole/hw/hwtest"
	"porthole/hw/internal/sys"
	"porthole/hw/uevent"
)

func TestPlugIn(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	s := open(t, d, display.Options{})
	if i := s.Info(); i.Connected || i.Connector != "HDMI-A-1" || i.Mode.Width != 1920 || i.Mode.Height != 1080 {
		t.Errorf("with nothing plugged in the screen is described as %+v", i)
	}
	last := present(t, s, fill(s, green))
	f := fill(s, red)
	f.Base.Set(1919, 1079, blue)
	if v := present(t, s, f); v.Sequence <= last.Sequence {
		t.Errorf("frames for nobody are numbered %d, %d", last.Sequence, v.Sequence)
	}

	card.Plug(1, edid(), plain)
	hotplug(t, d, s)
	if i := s.Info(); !i.Connected || i.Connector != "HDMI-A-2" || i.Mode.Width != 160 || !i.VideoPlanes || i.Monitor != "SAM The Frame" {
		t.Errorf("with a television the screen is described as %+v", i)
	}
	wantPixels(t, "what was presented before", card.Screen(1), map[image.Point]color.RGBA{{0, 0}: red, {80, 45}: red})
	if _, err := s.Present(limited(t), f); !errors.Is(err, display.ErrSize) {
		t.Errorf("a frame for the former mode: %v", err)
	}
	present(t, s, fill(s, white))
	wantAll(t, "a frame for the new mode", card.Screen(1), white)

	card.Unplug(1)
	hotplug(t, d, s)
	if i := s.Info(); i.Connected || i.Mode.Width != 160 {
		t.Errorf("unplugged, the screen is described as %+v", i)
	}
	if card.Screen(1) != nil {
		t.Error("there is a signal for nobody")
	}
	f = fill(s, green)
	f.Video, f.VideoRect = solid(64, 48, 235, 128, 128), image.Rect(0, 0, 80, 90)
	present(t, s, f)
	card.Plug(1, edid(), plain)
	hotplug(t, d, s)
	wantPixels(t, "plugged in again", card.Screen(1), map[image.Point]color.RGBA{{0, 0}: white, {79, 89}: white, {80, 0}: green})
	for _, p := range card.Problems() {
		t.Error(p)
	}
}

func TestSecondTelevisionChangesNothing(t *testing.T) {
	d, card, s := vc4(t, 1, display.Options{})
	present(t, s, fill(s, red))
	card.Plug(0, edid(), plain)
	card.Plug(1, hwtest.EDID("LGE", "OLED", 1400, 800), larger)
	hotplug(t, d, s)
	if i := s.Info(); i.Connector != "HDMI-A-2" || i.Mode.Width != 320 {
		t.Errorf("with two televisions the screen is %s in %s", i.Connector, i.Mode)
	}
	wantAll(t, "the picture", card.Screen(1), red)
	card.Unplug(1)
	hotplug(t, d, s)
	if i := s.Info(); i.Connector != "HDMI-A-1" || card.Screen(1) != nil {
		t.Errorf("with the first one gone the screen is %s", i.Connector)
	}
	wantAll(t, "the picture on the other one", card.Screen(0), red)
}

func TestAnotherTelevision(t *testing.T) {
	d, card, s := vc4(t, 0, display.Options{})
	f := fill(s, red)
	f.Base.Set(0, 0, blue)
	present(t, s, f)
	card.Plug(0, hwtest.EDID("LGE", "OLED", 1400, 800), larger)
	hotplug(t, d, s)
	if i := s.Info(); i.Mode.Width != 320 || i.Monitor != "LGE OLED" {
		t.Errorf("the new television is described as %+v", i)
	}
	wantPixels(t, "on the new one", card.Screen(0), map[image.Point]color.RGBA{{0, 0}: blue, {1, 1}: blue, {2, 2}: red, {319, 179}: red})
	present(t, s, fill(s, green))
	wantAll(t, "next frame", card.Screen(0), green)
}

func TestBlankStaysThroughHotplug(t *testing.T) {
	d, card, s := vc4(t, 0, display.Options{})
	present(t, s, fill(s, red))
	if err := s.Blank(limited(t), true); err != nil {
		t.Fatal(err)
	}
	card.Plug(0, hwtest.EDID("LGE", "OLED", 1400, 800), larger)
	hotplug(t, d, s)
	if card.Screen(0) != nil {
		t.Error("a new television woke a screen that is off")
	}
	if err := s.Blank(limited(t), false); err != nil {
		t.Fatal(err)
	}
	card.Plug(0, edid(), plain)
	hotplug(t, d, s)
	wantAll(t, "a black screen on a new television", card.Screen(0), black)
	present(t, s, fill(s, green))
	wantAll(t, "woken", card.Screen(0), green)
}

func TestNothingPresentedNothingTouched(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(0, edid(), plain)
	card.Leave(0, larger)
	s := open(t, d, display.Options{})
	card.Plug(0, hwtest.EDID("LGE", "OLED", 1400, 800), larger)
	hotplug(t, d, s)
	wantAll(t, "before any frame", card.Screen(0), color.RGBA{128, 128, 128, 255})
}

func TestEventWithoutChange(t *testing.T) {
	d, card, s := vc4(t, 0, display.Options{})
	present(t, s, fill(s, red))
	before := len(card.Commits())
	card.Plug(0, edid(), plain) // the same one
	card.Plug(1, edid(), plain) // another, which is not wanted while the first is there
	for range 2 {
		d.Send(uevent.Event{Action: "change", Subsystem: "drm"})
		present(t, s, fill(s, green))
	}
	if got := len(card.Commits()) - before; got != 2 {
		t.Errorf("%d commits for two frames", got)
	}
	if i := s.Info(); i.Connector != "HDMI-A-1" {
		t.Errorf("the picture moved to %s", i.Connector)
	}
}

func TestClose(t *testing.T) {
	d, card, s := vc4(t, 0, display.Options{})
	f := fill(s, red)
	f.Video = solid(64, 48, 235, 128, 128)
	present(t, s, f)
	present(t, s, display.Frame{Video: solid(32, 32, 235, 128, 128)})
	if err := s.Blank(limited(t), false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if card.Screen(0) != nil {
		t.Error("the signal stays on")
	}
	fbs, buffers, blobs := card.Left()
	files, mappings := d.Open()
	if fbs+buffers+blobs+files+mappings != 0 {
		t.Errorf("left: %d framebuffers, %d buffers, %d blobs, %d files, %d mappings", fbs, buffers, blobs, files, mappings)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := s.Present(limited(t), display.Frame{}); !errors.Is(err, display.ErrClosed) {
		t.Errorf("present after close: %v", err)
	}
	if err := s.Blank(limited(t), false); !errors.Is(err, display.ErrClosed) {
		t.Errorf("blank after close: %v", err)
	}
}

func TestKeepFrameOverARestart(t *testing.T) {
	for _, old := range []bool{false, true} {
		d, card, s := vc4(t, 0, display.Options{KeepFrame: true})
		if old {
			card.OldKernel()
		}
		f := fill(s, red)
		f.Video, f.VideoRect = solid(64, 48, 235, 128, 128), image.Rect(0, 0, 80, 90)
		present(t, s, f)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		kept := card.Screen(0)
		if old != (kept == nil) {
			t.Errorf("old kernel %v: signal after close %v", old, kept != nil)
		}
		if !old {
			wantPixels(t, "after close", kept, map[image.Point]color.RGBA{{0, 0}: white, {159, 89}: red})
		}
		next := open(t, d, display.Options{})
		present(t, next, fill(next, green))
		wantAll(t, "after a restart", card.Screen(0), green)
		if fbs, _, _ := card.Left(); fbs != 2 {
			t.Errorf("%d framebuffers after the restart, want the two base buffers", fbs)
		}
	}
}

func TestKeepFrameOfAKilledProcess(t *testing.T) {
	for _, keep := range []bool{false, true} {
		d, card, s := vc4(t, 0, display.Options{KeepFrame: keep})
		f := fill(s, red)
		present(t, s, f)
		f.Video, f.VideoRect = solid(64, 48, 235, 128, 128), image.Rect(0, 0, 80, 90)
		present(t, s, f)
		// Only the video changes: the base is shown anew too.
		present(t, s, display.Frame{Video: solid(64, 48, 40, 128, 128), VideoRect: f.VideoRect})
		if fbs, _, _ := card.Left(); fbs > 4 {
			t.Errorf("%d framebuffers for two base and two video buffers", fbs)
		}
		card.Kill()
		kept := card.Screen(0)
		if keep != (kept != nil) {
			t.Errorf("keep %v: signal after a kill %v", keep, kept != nil)
		}
		if keep {
			wantPixels(t, "after a kill", kept, map[image.Point]color.RGBA{{0, 0}: {28, 28, 28, 255}, {159, 89}: red})
		}
		next := open(t, d, display.Options{KeepFrame: keep})
		present(t, next, fill(next, green))
		wantAll(t, "the next process", card.Screen(0), green)
	}
}

func TestAnotherOwner(t *testing.T) {
	d, card, first := vc4(t, 0, display.Options{})
	present(t, first, fill(first, red))
	if _, err := display.Open(t.Context(), display.Options{Root: d.Root(), Sys: d.Sys()}); !errors.Is(err, display.ErrBusy) {
		t.Errorf("opening an owned screen: %v", err)
	}
	wantAll(t, "the owner's picture", card.Screen(0), red)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, d, display.Options{})
	present(t, second, fill(second, green))
}

func TestNoDevice(t *testing.T) {
	if _, err := display.Open(t.Context(), display.Options{Root: t.TempDir()}); !errors.Is(err, display.ErrNoDevice) {
		t.Errorf("an empty machine: %v", err)
	}
	d := hwtest.NewDevices(t)
	hwtest.NewRenderOnly(d)
	if _, err := display.Open(t.Context(), display.Options{Root: d.Root(), Sys: d.Sys()}); !errors.Is(err, display.ErrNoDevice) {
		t.Errorf("a machine with a card without plugs: %v", err)
	}
	if files, _ := d.Open(); files != 0 {
		t.Errorf("%d files stay open", files)
	}
}

func TestNotOursToOpen(t *testing.T) {
	d := hwtest.NewDevices(t)
	hwtest.NewVC4(d)
	hwtest.NewFramebuffer(d, 160, 90, 32, 1)
	s := d.Sys()
	openNode := s.Open
	s.Open = func(path string, flag int) (*os.File, error) {
		if strings.Contains(path, "card") {
			return nil, &os.PathError{Op: "open", Path: path, Err: unix.EACCES}
		}
		return openNode(path, flag)
	}
	_, err := display.Open(t.Context(), display.Options{Root: d.Root(), Sys: s})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), filepath.Join(d.Root(), "dev/dri/card1")) {
		t.Errorf("a card that system has not handed over yet: %v", err)
	}
}

func TestWithoutUevents(t *testing.T) {
	d := hwtest.NewDevices(t)
	card := hwtest.NewVC4(d)
	card.Plug(0, edid(), plain)
	kernel := d.Sys()
	kernel.Uevents = func() (sys.Uevents, error) { return nil, unix.EPERM }
	s, err := display.Open(t.Context(), display.Options{Root: d.Root(), Sys: kernel})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	present(t, s, fill(s, red))
	if n := s.Info().Note; !strings.Contains(n, "not noticed") {
		t.Errorf("the note says %q", n)
	}
}
