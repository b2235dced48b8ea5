package main_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/hw/display"
	"porthole/packages/internal/settings"
)

// flag is a picture with a red left and a blue right half.
func flag(w, h int) image.Image {
	m := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.RGBA{220, 0, 0, 255}, color.RGBA{0, 0, 220, 255}})
	for i := range m.Pix {
		if i%w >= w/2 {
			m.Pix[i] = 1
		}
	}
	return m
}

func pngOf(t *testing.T, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (d *device) store(name string, b []byte) {
	d.t.Helper()
	file := filepath.Join(d.options.Env.PermDir, "player", name)
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		d.t.Fatal(err)
	}
}

// looks waits until the points of the screen have the colours: r, b, or - for black.
func (d *device) looks(what string, points map[image.Point]byte) {
	d.t.Helper()
	d.eventually(what, func() bool {
		m, _ := d.screen.Last()
		for p, want := range points {
			red, green, blue, _ := m.At(p.X, p.Y).RGBA()
			isRed, isBlue := red>>8 > 200 && blue>>8 < 30, blue>>8 > 200 && red>>8 < 30
			if green>>8 > 30 || isRed != (want == 'r') || isBlue != (want == 'b') {
				return false
			}
		}
		return true
	})
}

// TestPicture: a picture fills the screen in its own shape, is shown anew when it changes, and stays while the next one
// cannot be read, with a word on why.
func TestPicture(t *testing.T) {
	d := newDevice(t, display.OpenOffscreen(640, 360))
	d.store("menu.png", pngOf(t, flag(200, 200)))
	d.console(settings.Player{Hostname: "porthole", Settings: settings.PlayerSettings{Show: settings.ShowPicture, Picture: "menu.png"}}).claim()
	d.start()
	square := map[image.Point]byte{{X: 100, Y: 180}: '-', {X: 150, Y: 10}: 'r', {X: 310, Y: 180}: 'r', {X: 330, Y: 180}: 'b', {X: 495, Y: 300}: 'b', {X: 520, Y: 180}: '-'}
	d.looks("a square picture is in the middle", square)
	if s := d.status(); s.Showing != "picture" || s.Camera != nil {
		t.Errorf("player.sock says %+v", s)
	}

	var b bytes.Buffer
	if err := jpeg.Encode(&b, flag(1600, 400), &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	d.store("menu.png", b.Bytes()) // whatever it is called
	wide := map[image.Point]byte{{X: 10, Y: 60}: '-', {X: 5, Y: 180}: 'r', {X: 300, Y: 180}: 'r', {X: 340, Y: 180}: 'b', {X: 635, Y: 180}: 'b', {X: 10, Y: 300}: '-'}
	d.looks("a new file shows by itself", wide)

	d.store("menu.png", []byte("\x89PNG\r\n\x1a\nnot really"))
	d.eventually("it is said what is wrong", func() bool {
		p := d.status().Problems
		return len(p) == 1 && strings.HasPrefix(p[0], "The picture menu.png cannot be shown: it is damaged")
	})
	d.looks("the former picture stays", wide)
	d.keep("damaged")
	var g bytes.Buffer
	if err := gif.Encode(&g, flag(200, 200), nil); err != nil {
		t.Fatal(err)
	}
	d.store("menu.png", g.Bytes())
	d.looks("a good one takes its place", square)
	d.eventually("nothing is wrong any more", func() bool { return len(d.status().Problems) == 0 })
	if err := os.Remove(filepath.Join(d.options.Env.PermDir, "player", "menu.png")); err != nil {
		t.Fatal(err)
	}
	d.eventually("it is said that the file is gone", func() bool {
		p := d.status().Problems
		return len(p) == 1 && strings.Contains(p[0], "there is no such file")
	})
	d.looks("the picture stays", square)
}

// TestPictureBeforeConsole: settings kept from the last run are followed without anybody else.
func TestPictureBeforeConsole(t *testing.T) {
	d := newDevice(t, display.OpenOffscreen(640, 360))
	d.store("menu.png", pngOf(t, flag(640, 360)))
	c := d.console(settings.Player{Settings: settings.PlayerSettings{Show: settings.ShowPicture, Picture: "menu.png"}})
	c.claim()
	d.start()
	whole := map[image.Point]byte{{X: 5, Y: 5}: 'r', {X: 635, Y: 5}: 'b', {X: 635, Y: 300}: 'b'}
	d.looks("the picture", whole)
	d.stop()
	again := newDevice(t, display.OpenOffscreen(640, 360))
	again.options.Env.RunDir, again.options.Env.PermDir = d.options.Env.RunDir, d.options.Env.PermDir
	if err := os.Remove(d.options.Env.Socket("console-internal")); err != nil {
		t.Fatal(err)
	}
	again.start()
	again.looks("the picture without console", whole)
}
