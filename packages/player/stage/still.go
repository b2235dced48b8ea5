package stage

import (
	"image"
	"sync"

	"porthole/hw/display"
	"porthole/media/render"
)

// Still is a picture or a text that fills the screen, made ready by Stage.Prepare. When the screen is another by the time it
// is shown, it is drawn again.
type Still struct {
	fit  render.Mode
	text string

	mu sync.Mutex // guards what follows
	// picture is nil for a text.
	picture  image.Image
	geometry Geometry
	// drawn is for geometry, and does not change any more.
	drawn *display.Image
}

// prepare draws a still for a geometry, unless that was done.
func (st *Still) prepare(painter Painter, g Geometry) *display.Image {
	st.mu.Lock()
	defer st.mu.Unlock()
	if g.Size.X <= 0 || g.Size.Y <= 0 {
		return nil
	}
	if st.geometry == g && st.drawn != nil {
		return st.drawn
	}
	m := display.NewImage(image.Rectangle{Max: g.Size})
	page := g.Turn.Size(g.Size)
	if st.fit == render.Fill || st.fit == render.Stretch {
		// More of it is needed here than of one that keeps its shape, and on another screen.
		st.draw(painter, m, g.Turn, image.Rectangle{Max: page})
		side := max(page.X, page.Y)
		st.picture = st.reduced(painter, image.Pt(side, side))
	} else {
		st.picture = st.reduced(painter, page)
		st.draw(painter, m, g.Turn, image.Rectangle{Max: page})
	}
	if st.picture != nil && g.Turn == 0 && st.picture.Bounds().Size() == page {
		st.picture = m // the same
	}
	st.geometry, st.drawn = g, m
	return m
}

// reduced is the picture scaled down into a size, if it is larger: a photograph would take several times the memory of what is
// shown of it, for a display that may never be turned or changed.
func (st *Still) reduced(painter Painter, most image.Point) image.Image {
	if st.picture == nil {
		return nil
	}
	size := st.picture.Bounds().Size()
	if size.X <= most.X && size.Y <= most.Y {
		return st.picture
	}
	m := display.NewImage(image.Rectangle{Max: fit(size, image.Rectangle{Max: most}).Size()})
	painter.Picture(m, m.Rect, st.picture, render.Stretch, 0)
	return m
}

// drawInto is draw, for a still that others may prepare meanwhile.
func (st *Still) drawInto(painter Painter, dst *display.Image, turn render.Turn, area image.Rectangle) image.Rectangle {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.draw(painter, dst, turn, area)
}

// draw draws a still into an area, which is where it lies before dst was turned, and returns where its picture is there;
// st.mu is held.
func (st *Still) draw(painter Painter, dst *display.Image, turn render.Turn, area image.Rectangle) image.Rectangle {
	page := turn.Size(dst.Rect.Size())
	if st.picture == nil {
		(&desk{}).overlay(dst, turn, area, func(m *display.Image) { painter.Text(m, st.text) })
		return area
	}
	rect, mode := area, st.fit
	if mode != render.Fill && mode != render.Stretch {
		rect, mode = fit(st.picture.Bounds().Size(), area), render.Stretch
	}
	painter.Picture(dst, turn.Rect(rect, page), st.picture, mode, turn)
	return rect
}

// desk is memory to turn pictures in, which is used again: a text over a film is drawn for every picture of it.
type desk struct{ pix []byte }

// image returns a picture of an area, with anything in it.
func (d *desk) image(area image.Rectangle) *display.Image {
	n := 4 * area.Dx() * area.Dy()
	if cap(d.pix) < n {
		d.pix = make([]byte, n)
	}
	return &display.Image{Pix: d.pix[:n], Stride: 4 * area.Dx(), Rect: area}
}

// overlay lets draw paint on a part of dst as it is seen by a viewer: area is where it lies before dst was turned, and
// what is drawn on has its coordinates.
func (d *desk) overlay(dst *display.Image, turn render.Turn, area image.Rectangle, draw func(*display.Image)) {
	if turn == 0 {
		draw(dst.SubImage(area).(*display.Image))
		return
	}
	on := dst.SubImage(turn.Rect(area, turn.Size(dst.Rect.Size()))).(*display.Image)
	m := d.image(area)
	rotate(m, on, turn.Back())
	draw(m)
	rotate(on, m, turn)
}

func rotate(dst, src *display.Image, turn render.Turn) {
	_ = render.Rotate((*render.Image)(dst), (*render.Image)(src), turn) // the sizes fit by construction
}
