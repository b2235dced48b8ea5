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

// Banner lays text over the middle of dst, as large as it fits in up to two lines, for a screen that says its name.
func Banner(dst *Image, text string) {
	r := dst.Rect
	w := &writer{}
	wide := r.Dx() * 4 / 5
	size := max(minText, min(r.Dx(), r.Dy())/5)
	for size > minText && w.width(text, Bold, size) > wide {
		if lines := w.wrap(text, Bold, size, wide, 3); size <= min(r.Dx(), r.Dy())/8 && len(lines) <= 2 {
			break
		}
		size = size * 11 / 12
	}
	size = max(size, minText)
	lines := w.wrap(text, Bold, size, wide, 2)
	if len(lines) == 0 {
		return
	}
	width, height := 0, w.height(Bold, size)
	for _, l := range lines {
		width = max(width, w.width(l, Bold, size))
	}
	pad := size / 2
	box := image.Rectangle{Max: image.Pt(width+2*pad, len(lines)*height+2*pad)}
	box = box.Add(r.Min).Add(image.Pt((r.Dx()-box.Dx())/2, (r.Dy()-box.Dy())/2)).Intersect(r)
	edge := max(size/16, 2)
	roundRect(dst, box.Inset(-edge).Intersect(r), pad/2+edge, colorAccent)
	roundRect(dst, box, pad/2, colorShade)
	part := dst.SubImage(box)
	for i, l := range lines {
		w.draw(part, box.Min.Add(image.Pt((box.Dx()-w.width(l, Bold, size))/2, pad+i*height)), l, Bold, size, colorText)
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
