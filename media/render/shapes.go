package render

import (
	"image"
	"image/color"
	"math"
)

// gradient paints the whole picture from one colour at the top to another at the bottom.
func gradient(dst *Image, top, bottom color.RGBA) {
	h := dst.Rect.Dy()
	for y := range h {
		mix := func(a, b uint8) uint8 { return uint8((int(a)*(h-y) + int(b)*y) / h) }
		line := image.Rect(dst.Rect.Min.X, dst.Rect.Min.Y+y, dst.Rect.Max.X, dst.Rect.Min.Y+y+1)
		dst.Fill(line, color.RGBA{mix(top.R, bottom.R), mix(top.G, bottom.G), mix(top.B, bottom.B), 0xff})
	}
}

// blend paints one pixel with a share (0 to 1) of c.
func blend(dst *Image, x, y int, c color.RGBA, share float64) {
	if share <= 0 || !image.Pt(x, y).In(dst.Rect) {
		return
	}
	a := int(math.Min(share, 1)*256 + 0.5)
	p := dst.Pix[dst.offset(x, y):]
	for i, v := range [3]uint8{c.B, c.G, c.R} {
		p[i] = uint8((int(p[i])*(256-a) + int(v)*a) >> 8)
	}
}

// roundRect paints a rectangle with round, smooth corners.
func roundRect(dst *Image, r image.Rectangle, radius int, c color.RGBA) {
	radius = min(radius, r.Dx()/2, r.Dy()/2)
	dst.Fill(image.Rect(r.Min.X, r.Min.Y+radius, r.Max.X, r.Max.Y-radius), c)
	dst.Fill(image.Rect(r.Min.X+radius, r.Min.Y, r.Max.X-radius, r.Min.Y+radius), c)
	dst.Fill(image.Rect(r.Min.X+radius, r.Max.Y-radius, r.Max.X-radius, r.Max.Y), c)
	for dy := range radius {
		for dx := range radius {
			from := math.Hypot(float64(radius-dx)-0.5, float64(radius-dy)-0.5)
			share := float64(radius) - from + 0.5
			blend(dst, r.Min.X+dx, r.Min.Y+dy, c, share)
			blend(dst, r.Max.X-1-dx, r.Min.Y+dy, c, share)
			blend(dst, r.Min.X+dx, r.Max.Y-1-dy, c, share)
			blend(dst, r.Max.X-1-dx, r.Max.Y-1-dy, c, share)
		}
	}
}

// ring paints a circle line between two radii around a centre, all in pixels.
func ring(dst *Image, cx, cy, inner, outer float64, c color.RGBA) {
	for y := int(cy - outer - 1); y <= int(cy+outer+1); y++ {
		for x := int(cx - outer - 1); x <= int(cx+outer+1); x++ {
			d := math.Hypot(float64(x)+0.5-cx, float64(y)+0.5-cy)
			blend(dst, x, y, c, math.Min(outer-d+0.5, d-inner+0.5))
		}
	}
}

// porthole paints the product's sign, a porthole with its bolts and the sea in it, into a square.
func porthole(dst *Image, r image.Rectangle, rim, sea color.RGBA) {
	size := float64(r.Dx())
	cx, cy := float64(r.Min.X)+size/2, float64(r.Min.Y)+size/2
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			fx, fy := float64(x)+0.5-cx, float64(y)+0.5-cy
			wave := size * (0.06 + 0.035*math.Sin(fx/size*14))
			blend(dst, x, y, sea, math.Min(size*0.3-math.Hypot(fx, fy)+0.5, fy-wave+0.5))
		}
	}
	ring(dst, cx, cy, size*0.3, size*0.48, rim)
	for i := range 8 {
		sin, cos := math.Sincos(float64(i) * math.Pi / 4)
		ring(dst, cx+cos*size*0.39, cy+sin*size*0.39, -1, size*0.035, color.RGBA{0x0b, 0x12, 0x20, 0xff})
	}
}
