package stage

import (
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/player/camera"
)

// TestPlace: a picture of any size and kind, on a screen of any, lies within its area, and has all its bytes.
func TestPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		size := image.Pt(1+r.IntN(90), 1+r.IntN(90))
		area := image.Rect(0, 0, 2+r.IntN(300), 2+r.IntN(300)).Add(image.Pt(r.IntN(50), r.IntN(50)))
		info := decode.StreamInfo{Rotation: 90 * r.IntN(4), SampleAspect: [2]int{r.IntN(4), r.IntN(4)}}
		sc := scene{turn: render.Turn(90 * r.IntN(4))}
		c := &canvas{mode: []render.Mode{"", render.Fit, render.Fill, render.Stretch}[r.IntN(4)]}
		c.video = &camera.Picture{Image: image.NewYCbCr(image.Rectangle{Max: size}, image.YCbCrSubsampleRatio420), Info: info}
		v, rect := c.place(sc, area)
		what := fmt.Sprintf("%v %q on %v, turned by %d and %d, pixels of %v", size, c.mode, area, info.Rotation, sc.turn, info.SampleAspect)
		if rect.Empty() || !rect.In(area) || (c.mode == render.Fill || c.mode == render.Stretch) && rect != area {
			t.Fatalf("%s: lies in %v", what, rect)
		}
		cw, ch := (v.Width+1)/2, (v.Height+1)/2
		if v.Width < 1 || v.Height < 1 || len(v.Y) < (v.Height-1)*v.YStride+v.Width ||
			len(v.U) < (ch-1)*v.UVStride+cw || len(v.V) < (ch-1)*v.UVStride+cw || v.YStride < v.Width || v.UVStride < cw {
			t.Fatalf("%s: %dx%d with %d+%d bytes in lines of %d and %d", what, v.Width, v.Height, len(v.Y), len(v.U), v.YStride, v.UVStride)
		}
		turned := (render.Turn(info.Rotation) + sc.turn) % 360
		if most := turned.Size(size); v.Width > most.X || v.Height > most.Y {
			t.Fatalf("%s: more than there is: %dx%d", what, v.Width, v.Height)
		}
		if c.mode == render.Stretch && image.Pt(v.Width, v.Height) != turned.Size(size) {
			t.Fatalf("%s: cut to %dx%d", what, v.Width, v.Height)
		}
	}
}

// TestPlaceShape: a picture keeps its shape, also one whose pixels are not square, and what fill cuts off is cut off evenly.
func TestPlaceShape(t *testing.T) {
	area := image.Rect(0, 0, 1920, 1080)
	for _, tt := range []struct {
		size   image.Point
		aspect [2]int
		turned int
		mode   render.Mode
		rect   image.Rectangle
		seen   image.Point
	}{
		{image.Pt(1280, 720), [2]int{1, 1}, 0, render.Fit, area, image.Pt(1280, 720)},
		{image.Pt(720, 576), [2]int{16, 15}, 0, render.Fit, image.Rect(240, 0, 1680, 1080), image.Pt(720, 576)}, // 4:3 television
		{image.Pt(720, 576), [2]int{64, 45}, 0, render.Fit, area, image.Pt(720, 576)},                           // and 16:9
		{image.Pt(720, 576), [2]int{16, 15}, 0, render.Fill, area, image.Pt(720, 432)},
		{image.Pt(720, 576), [2]int{16, 15}, 90, render.Fit, image.Rect(555, 0, 1365, 1080), image.Pt(576, 720)},
		{image.Pt(1080, 1920), [2]int{1, 1}, 90, render.Fill, area, image.Pt(1920, 1080)},
		{image.Pt(1920, 1080), [2]int{1, 1}, 90, render.Fill, area, image.Pt(1080, 606)},
		{image.Pt(1000, 1000), [2]int{0, 0}, 0, render.Stretch, area, image.Pt(1000, 1000)},
	} {
		c := &canvas{mode: tt.mode, video: &camera.Picture{
			Image: image.NewYCbCr(image.Rectangle{Max: tt.size}, image.YCbCrSubsampleRatio420),
			Info:  decode.StreamInfo{Rotation: tt.turned, SampleAspect: tt.aspect},
		}}
		v, rect := c.place(scene{}, area)
		near := func(a, b int) bool { return max(a, b)-min(a, b) <= 3 }
		if !near(rect.Min.X, tt.rect.Min.X) || !near(rect.Max.X, tt.rect.Max.X) || rect.Min.Y != tt.rect.Min.Y || rect.Max.Y != tt.rect.Max.Y ||
			!near(v.Width, tt.seen.X) || !near(v.Height, tt.seen.Y) {
			t.Errorf("%+v: %dx%d in %v", tt, v.Width, v.Height, rect)
		}
	}
}
