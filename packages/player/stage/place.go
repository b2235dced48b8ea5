package stage

import (
	"image"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/player/camera"
)

// fit is the largest rectangle of size's shape in the middle of area. Sides are even, as video planes like them.
func fit(size image.Point, area image.Rectangle) image.Rectangle {
	if size.X <= 0 || size.Y <= 0 {
		return area
	}
	w, h := area.Dx(), area.Dy()
	if ideal := int(int64(w) * int64(size.Y) / int64(size.X)); ideal <= h {
		h = ideal
	} else {
		w = int(int64(h) * int64(size.X) / int64(size.Y))
	}
	// A pixel or two of border is worse than a picture that much out of shape.
	const border = 4
	if area.Dx()-w <= border {
		w = area.Dx()
	}
	if area.Dy()-h <= border {
		h = area.Dy()
	}
	w, h = max(w&^1, 2), max(h&^1, 2)
	corner := area.Min.Add(image.Pt((area.Dx()-w)/2, (area.Dy()-h)/2))
	return image.Rectangle{corner, corner.Add(image.Pt(w, h))}
}

// place says where in area the moving picture goes, before the screen was turned, and returns what is to be seen of it,
// turned as the screen is.
func (c *canvas) place(sc scene, area image.Rectangle) (*display.YUV, image.Rectangle) {
	p := c.video
	own := render.Turn(p.Info.Rotation)
	lying := shape(p)
	rect, seen := area, p.Image.Rect
	switch c.mode {
	case render.Stretch:
	case render.Fill:
		from, _ := render.Place(render.Fill, own.Size(lying), image.Rectangle{Max: area.Size()})
		seen = part(own.Back().Rect(from, own.Size(lying)), lying, seen)
	default:
		rect = fit(own.Size(lying), area)
	}
	m := p.Image.SubImage(seen).(*image.YCbCr)
	return yuv(c.turn(m, (own+sc.turn)%360), p.Info), rect
}

// shape is a picture's size with square pixels, as it lies.
func shape(p *camera.Picture) image.Point {
	size := p.Image.Rect.Size()
	if a := p.Info.SampleAspect; a[0] > 0 && a[1] > 0 {
		size.X = max(int(int64(size.X)*int64(a[0])/int64(a[1])), 1)
	}
	return size
}

// part is the part of whole that r is of a picture of size. Its corner and sides are even, for the chroma to stay in place,
// unless whole is too small for that.
func part(r image.Rectangle, size image.Point, whole image.Rectangle) image.Rectangle {
	scale := func(v, of, to int) int { return int(int64(v)*int64(to)/int64(of)) &^ 1 }
	w, h := whole.Dx(), whole.Dy()
	p := image.Rect(scale(r.Min.X, size.X, w), scale(r.Min.Y, size.Y, h), scale(r.Max.X, size.X, w), scale(r.Max.Y, size.Y, h))
	p = p.Add(whole.Min).Intersect(whole)
	if p.Dx() < 2 || p.Dy() < 2 {
		return whole
	}
	return p
}

// turn returns a picture turned, in memory that the next one uses again.
func (c *canvas) turn(m *image.YCbCr, turn render.Turn) *image.YCbCr {
	if turn == 0 {
		return m
	}
	size := turn.Size(m.Rect.Size())
	if c.turned == nil || c.turned.Rect.Size() != size {
		c.turned = image.NewYCbCr(image.Rectangle{Max: size}, image.YCbCrSubsampleRatio420)
	}
	if render.RotateYUV(c.turned, m, turn) != nil {
		return m // not 4:2:0, which the decoder does not make
	}
	return c.turned
}

func yuv(m *image.YCbCr, info decode.StreamInfo) *display.YUV {
	return &display.YUV{
		Y: m.Y, U: m.Cb, V: m.Cr, YStride: m.YStride, UVStride: m.CStride, Width: m.Rect.Dx(), Height: m.Rect.Dy(),
		FullRange: info.FullRange, BT709: info.Matrix == decode.BT709,
	}
}
