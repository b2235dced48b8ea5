package vmtest_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"strings"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/hw/hwtest/vm"
)

var (
	red    = color.RGBA{255, 0, 0, 255}
	yellow = color.RGBA{255, 255, 0, 255}
	cyan   = color.RGBA{0, 255, 255, 255}
	black  = color.RGBA{0, 0, 0, 255}
)

func info(t *testing.T, answer string) display.Info {
	t.Helper()
	var i display.Info
	if err := json.Unmarshal([]byte(answer), &i); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	return i
}

// counter checks that frames are counted upwards, and never back in time.
type counter struct {
	t        *testing.T
	sequence uint64
	at       time.Duration
}

func (c *counter) take(answer string, frames int) {
	c.t.Helper()
	shown := strings.Fields(answer)
	if len(shown) != frames {
		c.t.Errorf("%d frames shown, want %d", len(shown), frames)
	}
	for _, s := range shown {
		var sequence uint64
		var us int64
		if _, err := fmt.Sscanf(s, "%d@%d", &sequence, &us); err != nil {
			c.t.Fatalf("%q: %v", s, err)
		}
		at := time.Duration(us) * time.Microsecond
		if sequence <= c.sequence || at <= c.at {
			c.t.Errorf("frame %d at %v came after frame %d at %v", sequence, at, c.sequence, c.at)
		}
		c.sequence, c.at = sequence, at
	}
}

// wantFields expects the guest's picture: four fields, the first in one colour, and black corners.
func wantFields(t *testing.T, what string, got image.Image, w, h int, first color.RGBA) {
	t.Helper()
	if got.Bounds() != image.Rect(0, 0, w, h) {
		t.Errorf("%s: the screen has %v, want %d×%d", what, got.Bounds(), w, h)
		return
	}
	for p, c := range map[image.Point]color.RGBA{
		{1, 0}: first, {w/2 - 1, h/2 - 1}: first, {w / 2, 0}: {0, 255, 0, 255}, {w - 2, h/2 - 1}: {0, 255, 0, 255},
		{0, h / 2}: {0, 0, 255, 255}, {w/2 - 1, h - 1}: {0, 0, 255, 255}, {w / 2, h / 2}: {255, 255, 255, 255},
		{0, 0}: black, {w - 1, 0}: black, {0, h - 1}: black, {w - 1, h - 1}: black,
	} {
		wantPixel(t, what, got, p, c)
	}
}

func wantPixel(t *testing.T, what string, got image.Image, p image.Point, c color.RGBA) {
	t.Helper()
	g := color.RGBAModel.Convert(got.At(p.X, p.Y)).(color.RGBA)
	near := func(a, b byte) bool { return max(a, b)-min(a, b) < 9 } // 16-bit screens hold fewer colours
	if !near(g.R, c.R) || !near(g.G, c.G) || !near(g.B, c.B) {
		t.Errorf("%s: pixel %v is %v, want %v", what, p, g, c)
	}
}

func wantBlack(t *testing.T, what string, got image.Image) {
	t.Helper()
	b := got.Bounds()
	for _, p := range []image.Point{{1, 1}, {b.Dx() / 3, b.Dy() / 3}, {b.Dx() - 2, b.Dy() - 2}, {b.Dx() / 4, b.Dy() / 4 * 3}} {
		wantPixel(t, what, got, p, black)
	}
}

func isAllBlack(m image.Image) bool {
	b := m.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			if r, g, b, _ := m.At(x, y).RGBA(); r|g|b != 0 {
				return false
			}
		}
	}
	return true
}

// TestKMS drives the kernel of the virtual machine image through virtio-gpu.
func TestKMS(t *testing.T) {
	dir := t.TempDir()
	m := vm.Start(t, vm.Config{
		Arch: "amd64", Kernel: vm.AMD64, Init: "./guest",
		Append: "drm_kms_helper.fbdev_emulation=0", // no text console takes the screen back
		Args:   []string{"-vga", "none", "-device", "virtio-gpu-pci,xres=800,yres=600", "-vnc", "unix:" + dir + "/vnc"},
	})
	m.Expect("answer: ready")
	count := &counter{t: t}

	i := info(t, m.Ask("open"))
	if i.Kind != display.KindPrimary || i.Driver != "virtio_gpu" || i.Connector != "Virtual-1" || !i.Connected || i.VideoPlanes ||
		i.Monitor != "RHT QEMU Monitor" || i.Mode.Width != 800 || i.Mode.Height != 600 || !i.Mode.Preferred || len(i.Modes) < 5 || i.SizeMM.X == 0 {
		t.Errorf("the screen is described as %+v", i)
	}
	count.take(m.Ask("show red 30"), 30)
	wantFields(t, "first", m.Screen(), 800, 600, red)
	for _, how := range []string{"black", "off"} {
		m.Ask("blank " + how)
		screen := m.Screen()
		wantBlack(t, how, screen)
		if got := isAllBlack(screen); got != (how == "black") {
			t.Errorf("%s: all black is %v; without a signal QEMU says so on its screen", how, got)
		}
		count.take(m.Ask("show yellow 2"), 2)
		wantFields(t, "after "+how, m.Screen(), 800, 600, yellow)
	}

	// The program dies; the next one gets the screen.
	m.Ask("kill")
	m.Ask("start")
	m.Ask("open keep")
	count.take(m.Ask("show cyan 5"), 5)
	wantFields(t, "after SIGKILL", m.Screen(), 800, 600, cyan)

	// Another display, none, and one again.
	v := vm.DialVNC(t, dir+"/vnc")
	v.Resize(1024, 768)
	if i := info(t, m.Ask("change")); i.Mode.Width != 1024 || i.Mode.Height != 768 {
		t.Errorf("after a hotplug the screen is described as %+v", i)
	}
	wantPixel(t, "the last frame on another display", m.Screen(), image.Pt(100, 100), cyan)
	count.take(m.Ask("show red 3"), 3)
	wantFields(t, "on another display", m.Screen(), 1024, 768, red)
	v.Resize(0, 0)
	if i := info(t, m.Ask("change")); i.Connected {
		t.Errorf("unplugged, the screen is described as %+v", i)
	}
	count.take(m.Ask("show yellow 3"), 3)
	v.Resize(640, 480)
	if i := info(t, m.Ask("change")); !i.Connected || i.Mode.Width != 640 {
		t.Errorf("plugged in again, the screen is described as %+v", i)
	}
	wantPixel(t, "the frame that waited", m.Screen(), image.Pt(100, 100), yellow)
	count.take(m.Ask("show yellow 3"), 3)

	// A program that ends well leaves its picture until the next one's.
	m.Ask("close")
	wantFields(t, "after the end", m.Screen(), 640, 480, yellow)
	m.Ask("open")
	count.take(m.Ask("show red 1"), 1)
	wantFields(t, "taken over", m.Screen(), 640, 480, red)
	m.Ask("close")
	wantBlack(t, "given back", m.Screen())
}

// TestFramebufferOfAPi drives the kernel of the Pi image through the firmware's framebuffer: QEMU knows no other
// display of a Pi.
func TestFramebufferOfAPi(t *testing.T) {
	m := vm.Start(t, vm.Config{
		Arch: "arm64", Kernel: vm.RPi, Init: "./guest",
		Append: "dwc_otg.fiq_fsm_enable=0 vt.global_cursor_default=0 consoleblank=0",
	})
	m.Expect("answer: ready")
	count := &counter{t: t}
	i := info(t, m.Ask("open"))
	if i.Kind != display.KindFramebuffer || i.Driver != "BCM2708 FB" || !i.Connected || i.Mode.Width < 320 {
		t.Errorf("the screen is described as %+v", i)
	}
	w, h := i.Mode.Width, i.Mode.Height
	count.take(m.Ask("show red 3"), 3)
	wantFields(t, "first", m.Screen(), w, h, red)
	m.Ask("blank black")
	wantBlack(t, "black", m.Screen())
	count.take(m.Ask("show yellow 2"), 2)
	m.Ask("blank off")
	m.Ask("kill")
	m.Ask("start")
	m.Ask("open")
	count = &counter{t: t} // counted by the program itself
	count.take(m.Ask("show cyan 2"), 2)
	wantFields(t, "after SIGKILL", m.Screen(), w, h, cyan)
}
