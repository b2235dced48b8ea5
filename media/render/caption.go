package render

import (
	"image"
	"image/color"
)

// colorShade is laid over a picture where text stands on it.
var colorShade = color.RGBA{0x06, 0x0a, 0x12, 0xff}

// Note lays a small text over the lower left corner of what is in r, on a dark shade: for what a viewer should know about the
// picture without being disturbed. It takes up to two lines.
func Note(dst *Image, r image.Rectangle, text string) {
	r = r.Intersect(dst.Rect)
	w := &writer{}
	size := max(minText, min(r.Dx(), r.Dy())/34)
	pad := size * 3 / 4
	lines := w.wrap(text, Regular, size, r.Dx()-4*pad, 2)
	if r.Dx() < 8*size || len(lines) == 0 {
		return
	}
	width, height := 0, w.height(Regular, size)
	for _, l := range lines {
		width = max(width, w.width(l, Regular, size))
	}
	at := image.Pt(r.Min.X+pad, r.Max.Y-pad-len(lines)*height-pad)
	box := image.Rectangle{Min: at, Max: at.Add(image.Pt(width+2*pad, len(lines)*height+pad))}.Intersect(r)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			blend(dst, x, y, colorShade, 0.75)
		}
	}
	part := dst.SubImage(box)
	for i, l := range lines {
		w.draw(part, at.Add(image.Pt(pad, pad/2+i*height)), l, Regular, size, colorText)
	}
}

// Strip fills r with a line of text in its middle, as large as it fits.
func Strip(dst *Image, r image.Rectangle, text string) {
	r = r.Intersect(dst.Rect)
	dst.Fill(r, colorTop)
	w := &writer{}
	size := r.Dy() * 11 / 20
	margin := r.Dy() / 2
	for size > minText && w.width(text, Regular, size) > r.Dx()-2*margin {
		size--
	}
	text = w.shorten(text, Regular, size, r.Dx()-2*margin)
	at := r.Min.Add(image.Pt((r.Dx()-w.width(text, Regular, size))/2, (r.Dy()-w.height(Regular, size))/2))
	w.draw(dst.SubImage(r), at, text, Regular, size, colorText)
}
