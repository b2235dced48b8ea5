package render

import (
	"image"
	"image/color"

	"golang.org/x/image/math/fixed"
)

// glyphs draws lines of a font of one width, many of them: each character is rasterized once.
type glyphs struct {
	w             *writer
	size, advance int
	dst           *Image
	known         map[rune]glyph
}

// glyph is a character as it lies around the beginning of its base line.
type glyph struct {
	at    image.Rectangle
	cover []byte // of 255, line after line
}

func (g *glyphs) glyph(r rune) glyph {
	if k, ok := g.known[r]; ok {
		return k
	}
	var k glyph
	if at, mask, from, _, ok := g.w.face(Mono, g.size).Glyph(fixed.P(0, 0), r); ok {
		k.at = at
		for y := range at.Dy() {
			for x := range at.Dx() {
				_, _, _, a := mask.At(from.X+x, from.Y+y).RGBA()
				k.cover = append(k.cover, byte(a>>8))
			}
		}
	}
	if g.known == nil {
		g.known = make(map[rune]glyph)
	}
	g.known[r] = k
	return k
}

// draw writes a line with the top left corner of its box at p.
func (g *glyphs) draw(p image.Point, s string, c color.RGBA) {
	p.Y += g.w.face(Mono, g.size).Metrics().Ascent.Ceil()
	for _, r := range s {
		if r != ' ' {
			g.blend(p, g.glyph(r), c)
		}
		p.X += g.advance
	}
}

func (g *glyphs) blend(p image.Point, k glyph, c color.RGBA) {
	at := k.at.Add(p)
	clip := at.Intersect(g.dst.Rect)
	if clip.Empty() {
		return
	}
	for y := clip.Min.Y; y < clip.Max.Y; y++ {
		row := g.dst.row(clip, y)
		cover := k.cover[(y-at.Min.Y)*at.Dx()+clip.Min.X-at.Min.X:]
		for x := range clip.Dx() {
			a := int(cover[x])
			if a == 0 {
				continue
			}
			d := row[4*x : 4*x+3]
			for i, v := range [3]uint8{c.B, c.G, c.R} {
				d[i] = uint8((int(d[i])*(255-a) + int(v)*a) / 255)
			}
		}
	}
}
