package main_test

import (
	"fmt"
	"image"
	"image/color"
	"sync/atomic"
	"testing"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/player/camera"
	"porthole/packages/player/stage"
)

var (
	fadeRed  = color.RGBA{240, 20, 20, 255}
	fadeBlue = color.RGBA{20, 20, 240, 255}
)

func plainPicture(c color.RGBA) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 64, 36))
	for i := range m.Pix {
		m.Pix[i] = [4]uint8{c.R, c.G, c.B, c.A}[i%4]
	}
	return m
}

// plainFilm is a picture in one colour, and counts those that are not given back.
func plainFilm(c color.RGBA, held *atomic.Int32) *camera.Picture {
	p := film(64, 36, 0)
	y, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
	for i := range p.Image.Y {
		p.Image.Y[i] = y
	}
	for i := range p.Image.Cb {
		p.Image.Cb[i], p.Image.Cr[i] = cb, cr
	}
	held.Add(1)
	p.Release = func() { held.Add(-1) }
	return &p
}

// TestCrossfade: between any two kinds of items, the screen shows as much of each as was asked for, and in the end only
// the second one.
func TestCrossfade(t *testing.T) {
	var held atomic.Int32
	for _, planes := range []bool{false, true} {
		for _, turn := range []render.Turn{0, 90} {
			for _, kinds := range []string{"still to still", "still to film", "film to still", "film to film", "status to still", "fade to still"} {
				t.Run(fmt.Sprint(kinds, ", planes ", planes, ", turned by ", turn), func(t *testing.T) {
					crossfade(t, planes, turn, kinds, &held)
				})
			}
		}
	}
	if n := held.Load(); n != 0 {
		t.Errorf("%d pictures were not given back, or twice", n)
	}
}

func crossfade(t *testing.T, planes bool, turn render.Turn, kinds string, held *atomic.Int32) {
	e := newExhibit(t, image.Pt(320, 180), planes)
	e.stage.Orient(turn)
	item := func(film bool, c color.RGBA) stage.Change {
		if film {
			return stage.Change{Begin: true, Video: plainFilm(c, held), Fit: render.Stretch}
		}
		return stage.Change{Begin: true, Still: e.stage.Prepare(plainPicture(c), render.Stretch)}
	}
	from, to := kinds[:4] == "film", kinds[len(kinds)-4:] == "film"
	first := item(from, fadeRed)
	before := e.show(func(s *stage.Stage) {
		if kinds == "status to still" {
			s.Status(stage.Status{Name: "Lobby"})
			return
		}
		s.Play(&script{changes: []stage.Change{first}})
	})
	next := item(to, fadeBlue)
	next.Fading, next.Share = true, 64
	got := e.show(func(s *stage.Stage) { s.Play(&script{changes: []stage.Change{next}}) })
	wantMix(t, "at the begin", got, before, fadeBlue, 64)
	if kinds == "fade to still" {
		// The item that comes has no time: another takes its place from what is seen now.
		before = got
		next = stage.Change{Begin: true, Still: e.stage.Prepare(plainPicture(color.RGBA{20, 240, 20, 255}), render.Stretch), Fading: true, Share: 128}
		got = e.show(func(s *stage.Stage) { s.Play(&script{changes: []stage.Change{next}}) })
		wantMix(t, "a fade from a fade", got, before, color.RGBA{20, 240, 20, 255}, 128)
		return
	}
	for _, share := range []int{128, 250} {
		c := stage.Change{Fading: true, Share: share}
		if to { // which moves meanwhile
			c.Video, c.Fit = plainFilm(fadeBlue, held), render.Stretch
		}
		got = e.show(func(s *stage.Stage) { s.Play(&script{changes: []stage.Change{c}}) })
		wantMix(t, "on the way", got, before, fadeBlue, share)
		if share == 128 {
			logInFade(t, e, before)
		}
	}
	if shot, _ := e.stage.Shot(); differing(shot, turned(got, turn.Back())) > 0 {
		t.Error("a shot in mid-fade does not show what is on the screen")
	}
	got = e.show(func(s *stage.Stage) { s.Play(&script{changes: []stage.Change{{Fading: true, Share: 256}}}) })
	wantMix(t, "at the end", got, before, fadeBlue, 256)
}

// logInFade: the log hides a fade altogether, and gives it back.
func logInFade(t *testing.T, e *exhibit, before *display.Image) {
	t.Helper()
	lines := []render.Line{{Text: "one"}}
	want := newExhibit(t, image.Pt(320, 180), false)
	want.stage.Orient(e.stage.Geometry().Turn)
	if n := differing(e.show(func(s *stage.Stage) { s.Log(lines) }), want.show(func(s *stage.Stage) { s.Status(stage.Status{}); s.Log(lines) })); n > 0 {
		t.Errorf("%d squares of a fade are seen through the log", n)
	}
	got := e.show(func(s *stage.Stage) { s.Log(nil) })
	wantMix(t, "after the log", got, before, fadeBlue, 128)
}

// wantMix expects a picture that was there before, with a share of a colour over it.
func wantMix(t *testing.T, what string, got, before *display.Image, c color.RGBA, share int) {
	t.Helper()
	wrong := 0
	for y := range got.Rect.Dy() {
		for x := range got.Rect.Dx() {
			p, q := got.Pix[got.PixOffset(x, y):], before.Pix[before.PixOffset(x, y):]
			for i, v := range [3]uint8{c.B, c.G, c.R} {
				want := (int(q[i])*(256-share) + int(v)*share) / 256
				if d := int(p[i]) - want; d < -5 || d > 5 {
					wrong++
					break
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%s: %d pixels are not %d of 256 of %v", what, wrong, share, c)
		keepPNG(t, what, got)
	}
}

// TestFadeAndAnotherDisplay: a display that is plugged in while one item gives way to another shows the one that comes.
func TestFadeAndAnotherDisplay(t *testing.T) {
	for _, planes := range []bool{false, true} {
		e := newExhibit(t, image.Pt(320, 180), planes)
		e.show(playStill(plainPicture(fadeRed), render.Fill))
		e.show(func(s *stage.Stage) {
			s.Play(&script{changes: []stage.Change{{Begin: true, Still: s.Prepare(plainPicture(fadeBlue), render.Fill), Fading: true, Share: 100}}})
		})
		e.screen.Plug(image.Pt(200, 300))
		black := display.NewImage(image.Rect(0, 0, 200, 300))
		e.until("the other display is used", func() bool {
			m, _ := e.screen.Last()
			return m.Rect == black.Rect && m.Pix[0] != 0
		})
		got := e.show(func(s *stage.Stage) { s.Play(&script{changes: []stage.Change{{Fading: true, Share: 200}}}) })
		wantMix(t, "on the other display", got, black, fadeBlue, 256)
	}
}
