package main_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

// bars are the colours at the lower edge of the demo camera's picture, left to right: white, yellow, cyan, green, magenta,
// red, blue, all of 75 %. The clip's matrix is not quite the one it names: these are the colours in the middle.
var bars = [][3]int{{191, 191, 191}, {191, 185, 0}, {0, 182, 192}, {0, 176, 0}, {198, 15, 194}, {200, 9, 0}, {0, 6, 196}}

// hasDemo reports whether the demo camera's picture fills r of m, by its colour bars.
func hasDemo(m image.Image, r image.Rectangle) bool { return hasBars(m, r, 0) }

// hasBars looks at the bars on the right only, from one on.
func hasBars(m image.Image, r image.Rectangle, first int) bool {
	for i, want := range bars {
		if i < first {
			continue
		}
		// The bars share three quarters of the width.
		x := r.Min.X + r.Dx()*(2*i+1)*3/(4*14) + r.Dx()/8
		y := r.Min.Y + r.Dy()*700/720
		red, green, blue, _ := m.At(x, y).RGBA()
		for j, got := range []uint32{red, green, blue} {
			if off := int(got>>8) - want[j]; off < -24 || off > 24 {
				return false
			}
		}
	}
	return true
}

// ownDemo is the settings of an owned device that shows the demo camera.
func ownDemo() settings.Player {
	return settings.Player{
		Hostname: "porthole", Cameras: []settings.CameraRef{{ID: "demo", Name: "Garden"}, {ID: "other", Name: "Street"}},
		Settings: settings.PlayerSettings{Show: settings.ShowCamera, Camera: "demo"},
	}
}

func (d *device) demoFills(r image.Rectangle) {
	d.t.Helper()
	d.eventually("the demo camera is on the screen", func() bool { m, _ := d.screen.Last(); return hasDemo(m, r) })
}

// moves waits until the picture of the camera differs from what it is now, above its lower corner, where notes are.
func (d *device) moves() {
	d.t.Helper()
	first, _ := d.screen.Last()
	d.eventually("the picture moves", func() bool {
		m, _ := d.screen.Last()
		part := image.Rect(0, 0, m.Rect.Dx(), m.Rect.Dy()*5/6)
		return !samePixels(m.SubImage(part).(*display.Image), first.SubImage(part).(*display.Image))
	})
}

// TestCamera: the camera is on the screen; while it is gone the last picture stays, with a word on why; then it goes on.
func TestCamera(t *testing.T) {
	for name, open := range map[string]func(w, h int) *display.Offscreen{"one plane": display.OpenOffscreen, "video planes": display.OpenOffscreenPlanes} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t, open(1280, 720))
			all := image.Rect(0, 0, 1280, 720)
			camera := d.cameras("demo")
			d.console(ownDemo()).claim()
			d.start()
			d.demoFills(all)
			d.moves()
			d.keep("live")
			s := d.status()
			if s.Showing != "camera" || s.Camera == nil || s.Camera.Codec != "h264" || s.Camera.Width != 1280 || s.Camera.Problem != "" {
				t.Errorf("player.sock says %+v, %+v", s, s.Camera)
			}
			d.eventually("nothing is wrong", func() bool { return len(d.status().Problems) == 0 })

			camera.stopCamera()
			d.eventually("it is said that the camera stands still", func() bool {
				p := d.status().Problems
				return len(p) == 1 && strings.HasPrefix(p[0], "No new picture from Garden")
			})
			d.eventually("a note is on the last picture", func() bool {
				m, _ := d.screen.Last()
				return hasBars(m, all, 3) && noted(m)
			})
			d.keep("gone")

			camera.start(d, strings.TrimSuffix(strings.TrimPrefix(camera.url, "rtsp://"), "/demo"))
			d.eventually("the note goes", func() bool { m, _ := d.screen.Last(); return !noted(m) && hasDemo(m, all) })
			d.moves()
			d.eventually("nothing is wrong any more", func() bool { return len(d.status().Problems) == 0 })
		})
	}
}

// noted reports whether a note lies in the lower left corner of the demo camera's picture: the grey of the bars, which
// is 40 % there, is darker.
func noted(m image.Image) bool {
	b := m.Bounds()
	red, green, blue, _ := m.At(b.Min.X+b.Dx()/50, b.Min.Y+b.Dy()*961/1000).RGBA()
	return max(red, green, blue)>>8 < 60
}

// TestUnclaimed: a device that shows a camera without having an owner says how to become it, beside the picture.
func TestUnclaimed(t *testing.T) {
	for name, open := range map[string]func(w, h int) *display.Offscreen{"one plane": display.OpenOffscreen, "video planes": display.OpenOffscreenPlanes} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t, open(1280, 720))
			d.cameras("demo")
			c := d.console(ownDemo())
			d.start()
			// A strip of 45 lines, and the picture in its shape above it.
			d.demoFills(image.Rect(40, 0, 1240, 675))
			strip := func() *display.Image {
				m, _ := d.screen.Last()
				return m.SubImage(image.Rect(0, 675, 1280, 720)).(*display.Image)
			}
			want := render.NewImage(1280, 45)
			render.Strip(want, want.Rect, "To set this device up, open https://192.168.178.20/ and type the code "+claimCode)
			if got := strip(); !samePixels(&display.Image{Pix: got.Pix, Stride: got.Stride, Rect: want.Rect}, (*display.Image)(want)) {
				t.Error("the strip does not say how to claim the device")
			}
			d.keep("strip")
			c.claim()
			d.demoFills(image.Rect(0, 0, 1280, 720))
		})
	}
}

// TestDecoderDies: a decoder that crashes costs a moment, not the player.
func TestDecoderDies(t *testing.T) {
	d := newDevice(t, display.OpenOffscreenPlanes(1280, 720))
	d.cameras("demo")
	d.console(ownDemo()).claim()
	d.start()
	d.demoFills(image.Rect(0, 0, 1280, 720))
	killed := 0
	for _, pid := range children(t) {
		if err := syscall.Kill(pid, syscall.SIGSEGV); err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed != 1 {
		t.Fatalf("%d decoders ran", killed)
	}
	var had int
	d.eventually("the failure is counted", func() bool {
		s := d.status().Camera
		had = s.Pictures
		return s.DecoderFailures == 1
	})
	d.eventually("pictures come again", func() bool { return d.status().Camera.Pictures > had })
	d.demoFills(image.Rect(0, 0, 1280, 720))
	d.moves()
}

// children are the processes that this one has started.
func children(t *testing.T) []int {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range lists {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestNoDecoder: a device without its decoder says so.
func TestNoDecoder(t *testing.T) {
	d := newDevice(t, display.OpenOffscreen(640, 360))
	d.options.Decoder = "/nowhere/ffmpeg"
	d.cameras("demo")
	d.console(ownDemo()).claim()
	d.start()
	d.shows("what is wrong", render.Status{
		Name: "porthole", URL: "https://192.168.178.20/",
		Messages: []string{"The camera Garden cannot be shown: the decoder cannot be started; player's log says why."},
	})
}

// TestSwitch: what is chosen comes on the screen, and what was there stays until it is there.
func TestSwitch(t *testing.T) {
	d := newDevice(t, display.OpenOffscreen(1280, 720))
	d.cameras("demo", "other")
	c := d.console(ownDemo())
	c.claim()
	d.start()
	d.demoFills(image.Rect(0, 0, 1280, 720))
	want := render.Status{Name: "porthole", URL: "https://192.168.178.20/"}
	c.change(func(v *settings.Player) { v.Settings.Show = settings.ShowStatus })
	d.shows("again", want)
	if pids := children(t); len(pids) != 0 {
		t.Errorf("a decoder runs on: %v", pids)
	}
	c.change(func(v *settings.Player) {
		v.Settings = settings.PlayerSettings{Show: settings.ShowCamera, Camera: "gone"}
	})
	want.Messages = []string{`The screen is to show the camera "gone", which this device does not have. Choose another in the console.`}
	d.shows("that there is no such camera", want)
	c.change(func(v *settings.Player) { v.Settings.Camera = "other" })
	d.demoFills(image.Rect(0, 0, 1280, 720))
	if s := d.status(); s.Camera.Camera != "other" {
		t.Errorf("player.sock says %+v", s.Camera)
	}
}

// TestScreenJPEG: whoever asks gets what is on the screen, not larger than a page needs it.
func TestScreenJPEG(t *testing.T) {
	d := newDevice(t, display.OpenOffscreenPlanes(1920, 1080))
	d.cameras("demo")
	d.console(ownDemo()).claim()
	d.start()
	d.demoFills(image.Rect(0, 0, 1920, 1080))
	client := &http.Client{Transport: unixsock.Transport(d.options.Env.Socket("player"))}
	defer client.CloseIdleConnections()
	for query, size := range map[string]image.Rectangle{"": image.Rect(0, 0, 1280, 720), "?small": image.Rect(0, 0, 640, 360)} {
		d.jpegShowsDemo(client, query, size)
	}
}

func (d *device) jpegShowsDemo(client *http.Client, query string, size image.Rectangle) {
	t := d.t
	t.Helper()
	d.eventually("the JPEG shows the camera", func() bool {
		res, err := client.Get("http://player/screen.jpg" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/jpeg" || len(b) > 500_000 {
			t.Fatalf("%s, %d bytes, %v", res.Status, len(b), err)
		}
		m, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if m.Bounds() != size {
			t.Fatalf("the JPEG is %v", m.Bounds())
		}
		return hasDemo(m, m.Bounds())
	})
}
