package render

import (
	"image"
	"image/color"

	"golang.org/x/image/draw"
)

// Mode is how a picture fills an area of another shape.
type Mode string

// The modes.
const (
	Fit     Mode = "fit"     // all of it is seen, with bars beside it
	Fill    Mode = "fill"    // the area is full, what sticks out is cut
	Stretch Mode = "stretch" // the area is full, the shape is lost
)

// Turn is a clockwise rotation in degrees: 0, 90, 180 or 270.
type Turn int

// sideways says that width and height change places.
func (t Turn) sideways() bool { return t == 90 || t == 270 }

// Size is the size of a picture after the turn.
func (t Turn) Size(p image.Point) image.Point {
	if t.sideways() {
		return image.Pt(p.Y, p.X)
	}
	return p
}

// Back is the turn that undoes t.
func (t Turn) Back() Turn { return (360 - t) % 360 }

// Rect is where a part r of a picture of the size lies after the turn.
func (t Turn) Rect(r image.Rectangle, size image.Point) image.Rectangle {
	return unturn(r, t.Back(), t.Size(size))
}

// Place says which part of a picture of size src goes where in dst. Both results are empty if one of them is.
func Place(mode Mode, src image.Point, dst image.Rectangle) (from, to image.Rectangle) {
	from, to = image.Rectangle{Max: src}, dst
	if from.Empty() || to.Empty() {
		return image.Rectangle{}, image.Rectangle{}
	}
	w, h := dst.Dx(), dst.Dy()
	wide := src.X*h > src.Y*w // wider than the area
	switch {
	case mode == Fit && wide:
		to = centred(dst, w, max(1, (src.Y*w+src.X/2)/src.X))
	case mode == Fit:
		to = centred(dst, max(1, (src.X*h+src.Y/2)/src.Y), h)
	case mode == Fill && wide:
		from = centred(from, max(1, (w*src.Y+h/2)/h), src.Y)
	case mode == Fill:
		from = centred(from, src.X, max(1, (h*src.X+w/2)/w))
	}
	return from, to
}

// centred is a rectangle of the size in the middle of r.
func centred(r image.Rectangle, w, h int) image.Rectangle {
	w, h = min(w, r.Dx()), min(h, r.Dy())
	at := r.Min.Add(image.Pt((r.Dx()-w)/2, (r.Dy()-h)/2))
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
}

// Draw puts a still picture on the whole of dst: turned (by a multiple of 90 degrees), scaled as mode says, on a background.
// A video frame's colours are not what the image package assumes: use Converter for those.
func Draw(dst *Image, src image.Image, mode Mode, turn Turn, background color.RGBA) {
	size := src.Bounds().Size()
	from, to := Place(mode, turn.Size(size), dst.Rect)
	if to.Empty() {
		dst.Fill(dst.Rect, background)
		return
	}
	fillAround(dst, to, background)
	if turn == 0 {
		scale(dst, to, src, from.Add(src.Bounds().Min))
		return
	}
	// Scaled first, then turned: turning is cheap, and a scaled picture is the smaller one of photographs.
	size = turn.Size(to.Size())
	upright := NewImage(size.X, size.Y)
	scale(upright, upright.Rect, src, unturn(from, turn, src.Bounds().Size()).Add(src.Bounds().Min))
	_ = Rotate(dst.SubImage(to), upright, turn) // the sizes fit by construction
}

// unturn says which part of a picture of the size becomes r when it is turned.
func unturn(r image.Rectangle, turn Turn, size image.Point) image.Rectangle {
	w, h := size.X, size.Y
	switch turn {
	case 90: // x' = h-y, y' = x
		return image.Rect(r.Min.Y, h-r.Max.X, r.Max.Y, h-r.Min.X)
	case 180:
		return image.Rect(w-r.Max.X, h-r.Max.Y, w-r.Min.X, h-r.Min.Y)
	case 270: // x' = y, y' = w-x
		return image.Rect(w-r.Max.Y, r.Min.X, w-r.Min.Y, r.Max.X)
	}
	return r
}

// fillAround paints dst outside of r.
func fillAround(dst *Image, r image.Rectangle, c color.RGBA) {
	b := dst.Rect
	dst.Fill(image.Rect(b.Min.X, b.Min.Y, b.Max.X, r.Min.Y), c)
	dst.Fill(image.Rect(b.Min.X, r.Min.Y, r.Min.X, r.Max.Y), c)
	dst.Fill(image.Rect(r.Max.X, r.Min.Y, b.Max.X, r.Max.Y), c)
	dst.Fill(image.Rect(b.Min.X, r.Max.Y, b.Max.X, b.Max.Y), c)
}

// scale puts sr of src into r of dst; transparent parts show black.
func scale(dst *Image, r image.Rectangle, src image.Image, sr image.Rectangle) {
	if m, ok := src.(*Image); ok { // already in the right order
		small, part := halve(m.swapped(), sr, r.Size())
		draw.ApproxBiLinear.Scale(dst.swapped(), r, small, part, draw.Src, nil)
		return
	}
	small, part := halve(src, sr, r.Size())
	draw.ApproxBiLinear.Scale(dst.swapped(), r, small, part, draw.Src, nil)
	dst.swap(r)
}

// halve returns a part of a picture halved until it is at most twice as wide and high as it is to be: ApproxBiLinear looks at
// four pixels only, and would lose thin lines and letters of a larger one.
func halve(src image.Image, part image.Rectangle, size image.Point) (image.Image, image.Rectangle) {
	for size.X > 0 && size.Y > 0 {
		half := part.Size()
		if half.X > 2*size.X {
			half.X = (half.X + 1) / 2
		}
		if half.Y > 2*size.Y {
			half.Y = (half.Y + 1) / 2
		}
		if half == part.Size() {
			break
		}
		m := image.NewRGBA(image.Rectangle{Max: half})
		draw.ApproxBiLinear.Scale(m, m.Rect, src, part, draw.Src, nil)
		src, part = m, m.Rect
	}
	return src, part
}
