package display_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hw/display"
)

func pixels(m *display.Image) *image.RGBA {
	out := image.NewRGBA(m.Rect)
	draw.Draw(out, out.Rect, m, image.Point{}, draw.Src)
	return out
}

func TestOffscreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s display.Screen = display.OpenOffscreen(64, 36)
		last := func() *image.RGBA {
			m, _ := s.(*display.Offscreen).Last()
			return pixels(m)
		}
		if i := s.Info(); i.Kind != display.KindOffscreen || i.Mode.Width != 64 || i.Mode.Height != 36 || i.VideoPlanes || !i.Connected {
			t.Errorf("described as %+v", i)
		}
		begin, v := time.Now(), display.Vblank{}
		for i := range 61 {
			f := fill(s, red)
			f.Base.Set(63, 35, blue)
			got, err := s.Present(t.Context(), f)
			if err != nil || got.Sequence <= v.Sequence {
				t.Fatalf("frame %d: %+v after %+v, %v", i, got, v, err)
			}
			v = got
		}
		if d := time.Since(begin).Round(time.Millisecond); d != time.Second {
			t.Errorf("60 more frames took %v, want a second", d)
		}
		wantPixels(t, "frame", last(), map[image.Point]color.RGBA{{0, 0}: red, {63, 35}: blue})
		if err := s.Blank(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		wantAll(t, "blanked", last(), black)
		if _, err := s.Present(t.Context(), display.Frame{}); err != nil {
			t.Fatal(err)
		}
		wantPixels(t, "woken", last(), map[image.Point]color.RGBA{{0, 0}: red, {63, 35}: blue})
		if _, err := s.Present(t.Context(), display.Frame{Video: solid(8, 8, 0, 128, 128)}); !errors.Is(err, display.ErrVideo) {
			t.Errorf("video: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Present(t.Context(), display.Frame{}); !errors.Is(err, display.ErrClosed) {
			t.Errorf("present after close: %v", err)
		}
	})
}

func TestOffscreenVideo(t *testing.T) {
	s := display.OpenOffscreenPlanes(64, 36)
	f := fill(s, blue)
	f.Video, f.VideoRect = solid(9, 7, 63, 102, 240), image.Rect(-10, 10, 32, 40)
	f.Video.BT709 = true
	present(t, s, f)
	f.Video.Y[0] = 0 // ours again
	m, n := s.Last()
	if n != 1 {
		t.Errorf("%d frames", n)
	}
	wantPixels(t, "video", pixels(m), map[image.Point]color.RGBA{{0, 9}: blue, {0, 10}: red, {31, 35}: red, {32, 35}: blue})
}

func TestImage(t *testing.T) {
	m := display.NewImage(image.Rect(10, 20, 14, 23))
	draw.Draw(m, image.Rect(11, 21, 100, 100), image.NewUniform(color.NRGBA{255, 128, 0, 255}), image.Point{}, draw.Src)
	if got := m.At(13, 22); got != (color.RGBA{255, 128, 0, 255}) {
		t.Errorf("drawn %v", got)
	}
	if got := m.At(10, 20); got != (color.RGBA{0, 0, 0, 255}) {
		t.Errorf("untouched %v", got)
	}
	if got := m.At(9, 20); got != (color.RGBA{}) {
		t.Errorf("outside %v", got)
	}
	m.Set(200, 200, white) // outside: nothing
	m.Set(10, 20, color.NRGBA{255, 255, 255, 128})
	if got := m.At(10, 20).(color.RGBA); got.R != 128 || got.A != 255 {
		t.Errorf("half white over black is %v", got)
	}
	sub := m.SubImage(image.Rect(13, 22, 99, 99)).(*display.Image)
	if sub.Rect != image.Rect(13, 22, 14, 23) || sub.At(13, 22) != m.At(13, 22) {
		t.Errorf("part %v with %v", sub.Rect, sub.At(13, 22))
	}
	if empty := m.SubImage(image.Rect(0, 0, 5, 5)); !empty.Bounds().Empty() {
		t.Errorf("part outside is %v", empty.Bounds())
	}
	if p := m.Pix[m.PixOffset(13, 22):][:4]; !bytes.Equal(p, []byte{0, 128, 255, 255}) {
		t.Errorf("bytes %v, want B, G, R, X", p)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	back, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if r, g, bl, _ := back.At(3, 2).RGBA(); r>>8 != 255 || g>>8 != 128 || bl != 0 {
		t.Errorf("as a PNG the pixel is %v", back.At(3, 2))
	}
}
