package render_test

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"porthole/media/render"
)

// inked is the box of what is not background.
func inked(m *render.Image, background color.Color) image.Rectangle {
	var box image.Rectangle
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
			if m.At(x, y) != background {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

// TestText: a text stands in the middle, as large as it fits, and never reaches beyond its margins.
func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		size image.Point
		text string
		// tall is the least share of the height that the text takes, in percent.
		tall int
	}{
		"a word":           {image.Pt(640, 360), "Closed", 12},
		"a sentence":       {image.Pt(640, 360), "Leave the building by the nearest exit now", 30},
		"portrait":         {image.Pt(360, 640), "Leave the building by the nearest exit now", 30},
		"own lines":        {image.Pt(640, 360), "Open\n\nMonday to Friday\n8–17", 40},
		"a long word":      {image.Pt(640, 360), strings.Repeat("x", 300), 3},
		"more than it has": {image.Pt(320, 180), strings.Repeat("very long text ", 200), 50},
		"a hundred lines":  {image.Pt(320, 180), strings.Repeat("line\n", 100), 50},
	} {
		m := render.NewImage(c.size.X, c.size.Y)
		render.Text(m, m.Rect, c.text)
		box := inked(m, m.At(0, 0))
		margin := min(c.size.X, c.size.Y) / 12
		if box.Empty() || box.Dy()*100 < c.tall*c.size.Y {
			t.Errorf("%s: the text takes %v of %v", name, box, c.size)
		}
		if !box.In(m.Rect.Inset(margin)) {
			t.Errorf("%s: %v reaches into the margin of %v", name, box, c.size)
		}
		if middle := (box.Min.X + box.Max.X) / 2; middle < c.size.X*45/100 || middle > c.size.X*55/100 {
			t.Errorf("%s: its middle is at %d of %d", name, middle, c.size.X)
		}
	}
	for _, size := range []image.Point{{1, 1}, {5, 400}, {400, 5}, {30, 30}} {
		m := render.NewImage(size.X, size.Y)
		render.Text(m, m.Rect, "text")
		render.Text(m, image.Rectangle{}, "text")
	}
	empty := render.NewImage(64, 36)
	render.Text(empty, empty.Rect, " \n ")
	if box := inked(empty, empty.At(0, 0)); !box.Empty() {
		t.Errorf("no text paints %v", box)
	}
}
