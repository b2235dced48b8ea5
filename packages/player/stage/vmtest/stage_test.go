package vmtest_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"strings"
	"testing"
	"time"

	"porthole/hw/hwtest/vm"
)

// field is the colour of a field of the guest's chart.
func field(i, j int) color.RGBA {
	return color.RGBA{uint8(40 + 60*i), uint8(40 + 60*j), uint8(30 + 50*((i+2*j)%4)), 255}
}

// fieldAt says which field lies in column i of row j of a screen with an orientation.
func fieldAt(orientation string, i, j int) color.RGBA {
	switch orientation {
	case "portrait": // turned clockwise: the top is at the right
		return field(j, 3-i)
	case "landscape-flipped":
		return field(3-i, 3-j)
	case "portrait-flipped":
		return field(3-j, i)
	}
	return field(i, j)
}

// wantChart expects the guest's chart on the whole screen, with a share of 256 of it over a colour.
func wantChart(t *testing.T, what string, got image.Image, orientation string, share int, under color.RGBA) {
	t.Helper()
	b := got.Bounds()
	for j := range 4 {
		for i := range 4 {
			p := image.Pt(b.Min.X+(2*i+1)*b.Dx()/8, b.Min.Y+(2*j+1)*b.Dy()/8)
			c := fieldAt(orientation, i, j)
			mix := func(over, under uint8) uint8 { return uint8((int(over)*share + int(under)*(256-share)) / 256) }
			wantPixel(t, what, got, p, color.RGBA{mix(c.R, under.R), mix(c.G, under.G), mix(c.B, under.B), 255})
		}
	}
}

func wantPixel(t *testing.T, what string, got image.Image, p image.Point, c color.RGBA) {
	t.Helper()
	g := color.RGBAModel.Convert(got.At(p.X, p.Y)).(color.RGBA)
	near := func(a, b byte) bool { return max(a, b)-min(a, b) < 9 }
	if !near(g.R, c.R) || !near(g.G, c.G) || !near(g.B, c.B) {
		t.Errorf("%s: pixel %v is %v, want %v", what, p, g, c)
	}
}

// ink is the part of the screen that is much brighter than its corner: what is written there.
func ink(m image.Image) (box image.Rectangle) {
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if r, g, _, _ := m.At(x, y).RGBA(); r>>8 > 120 && g>>8 > 120 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

// told is what the test reads of a stage.Report.
type told struct {
	Screen struct {
		Driver, Note  string
		Width, Height int
	} `json:"display"`
}

func report(t *testing.T, answer string) (r told) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer), &r); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	return r
}

// TestStage shows on a real kernel's display what a screen shows: turned, fading, in other modes, dark, on other displays.
func TestStage(t *testing.T) {
	dir := t.TempDir()
	m := vm.Start(t, vm.Config{
		Arch: "amd64", Kernel: vm.AMD64, Init: "./guest", Append: "drm_kms_helper.fbdev_emulation=0",
		Args: []string{"-vga", "none", "-device", "virtio-gpu-pci,xres=800,yres=600", "-vnc", "unix:" + dir + "/vnc"},
	})
	m.Expect("answer: ready")
	if r := report(t, m.Ask("open")); r.Screen.Driver != "virtio_gpu" || r.Screen.Width != 800 {
		t.Fatalf("the screen: %+v", r.Screen)
	}
	red, blue := color.RGBA{200, 0, 0, 255}, color.RGBA{0, 0, 200, 255}

	// Everything turns.
	m.Ask("show chart")
	for _, orientation := range []string{"landscape-flipped", "portrait", "portrait-flipped", "landscape"} {
		m.Ask("orient " + orientation)
		for _, what := range []string{"film", "chart"} {
			m.Ask("show " + what)
			wantChart(t, what+" in "+orientation, m.Screen(), orientation, 256, red)
		}
		m.Ask("banner Lobby")
		for _, what := range []string{"text", "log", "status"} {
			m.Ask("show " + what)
			// A line of text is broad where it can be read.
			box := ink(m.Screen())
			if upright := !strings.HasPrefix(orientation, "portrait"); box.Empty() || (box.Dx() > box.Dy()) != upright && what != "status" {
				t.Errorf("%s in %s is written in %v", what, orientation, box)
			}
		}
		m.Ask("show chart")
		m.Ask("banner")
	}

	// One item gives way to another; in the end only that is there.
	for _, what := range []string{"chart", "film"} {
		m.Ask("show red")
		m.Ask(fmt.Sprintf("fade %s 128", what))
		wantChart(t, "half of "+what, m.Screen(), "landscape", 128, red)
		m.Ask("show blue")
		m.Ask(fmt.Sprintf("fade %s 256", what))
		wantChart(t, "all of "+what, m.Screen(), "landscape", 256, blue)
	}

	// Another display, another mode, no display and one again: the wanted mode stays.
	v := vm.DialVNC(t, dir+"/vnc")
	v.Resize(1024, 768)
	m.Ask(`await "width":1024`)
	m.Ask("mode 800 600")
	if r := report(t, m.Ask(`await "width":800`)); r.Screen.Height != 600 || r.Screen.Note != "" {
		t.Errorf("in another mode: %+v", r.Screen)
	}
	m.Ask("show chart")
	screen := m.Screen()
	if screen.Bounds().Dx() != 800 {
		t.Errorf("the machine's screen has %v", screen.Bounds())
	}
	wantChart(t, "in another mode", screen, "landscape", 256, red)
	v.Resize(0, 0)
	m.Ask(`await "connected":false`)
	v.Resize(640, 480)
	if r := report(t, m.Ask(`await "connected":true`)); r.Screen.Width != 800 {
		t.Errorf("plugged in again: %+v", r.Screen)
	}
	wantChart(t, "plugged in again", m.Screen(), "landscape", 256, red)
	m.Ask("show film")
	wantChart(t, "the next after that", m.Screen(), "landscape", 256, red)
	m.Ask("mode 123 45")
	if r := report(t, m.Ask("await does not offer 123x45")); r.Screen.Width != 640 {
		t.Errorf("a mode that there is not: %+v", r.Screen)
	}
	m.Ask("mode 0 0")
	if r := report(t, m.Ask(`await "width":640`)); r.Screen.Height != 480 {
		t.Errorf("the display's own mode: %+v", r.Screen)
	}

	// Dark, and there again.
	m.Ask("show chart")
	for _, how := range []string{"black", "signal"} {
		m.Ask("light " + how)
		until(t, m, "the screen is dark: "+how, func(got image.Image) bool { return dark(got) })
		m.Ask("light")
		until(t, m, "the screen is on again after "+how, func(got image.Image) bool { return !dark(got) })
		wantChart(t, "after "+how, m.Screen(), "landscape", 256, red)
	}
}

// dark tells whether no field of the chart is seen. Without a signal, QEMU says so in the middle.
func dark(m image.Image) bool {
	b := m.Bounds()
	for j := range 4 {
		r, g, bl, _ := m.At(b.Min.X+b.Dx()/8, b.Min.Y+(2*j+1)*b.Dy()/8).RGBA()
		if r|g|bl != 0 {
			return false
		}
	}
	return true
}

// until looks at the screen until it is as it should be.
func until(t *testing.T, m *vm.Machine, what string, ok func(image.Image) bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(m.Screen()); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not after a minute: %s", what)
		}
	}
}
