package render_test

import (
	"image"
	"image/color"
	"testing"

	"porthole/media/render"
)

// TestCaptions: text appears where it belongs and nowhere else, whatever its length and the size of the place.
func TestCaptions(t *testing.T) {
	const long = "This device is not yours yet: open https://192.168.178.123/ and type the code BCDF-2345 that stands here as well"
	for name, draw := range map[string]func(*render.Image, image.Rectangle, string){"note": render.Note, "strip": render.Strip} {
		for _, r := range []image.Rectangle{
			image.Rect(100, 900, 1900, 1000), image.Rect(0, 0, 1920, 1080), image.Rect(10, 10, 330, 40), image.Rect(500, 500, 503, 502), {}, image.Rect(-50, -50, 5000, 5000),
		} {
			for _, text := range []string{"", "Garden stands still.", long, "日本 \x00\xff"} {
				m := render.NewImage(1920, 1080)
				m.Fill(m.Rect, captionGrey)
				draw(m, r, text)
				lit := 0
				for y := range 1080 {
					for x := range 1920 {
						p := m.Pix[y*m.Stride+4*x:]
						if !image.Pt(x, y).In(r) && p[0] != captionGrey.B {
							t.Fatalf("%s %q in %v: pixel %d,%d beside it was drawn", name, text, r, x, y)
						}
						if p[0] > 0xd0 {
							lit++
						}
					}
				}
				if want := r.Dx() > 200 && len(text) > 15; want && lit < 100 {
					t.Errorf("%s %q in %v: no text (%d bright pixels)", name, text, r, lit)
				}
			}
		}
	}
}

var captionGrey = color.RGBA{0x80, 0x80, 0x80, 0xff}

// TestBanner: a name is there, large and whole in the middle of a screen of any shape, and what does not fit hurts nobody.
func TestBanner(t *testing.T) {
	for _, size := range []image.Point{{1920, 1080}, {1080, 1920}, {640, 480}, {40, 30}, {1, 1}, {0, 0}} {
		for _, text := range []string{"", "Till", "The screen in the shop window on the left", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", "日本 \x00\xff"} {
			m := render.NewImage(size.X, size.Y)
			m.Fill(m.Rect, captionGrey)
			render.Banner(m, text)
			lit := image.Rectangle{}
			for y := range size.Y {
				for x := range size.X {
					if p := m.Pix[y*m.Stride+4*x:]; p[0] > 0xf4 && p[1] > 0xf4 {
						lit = lit.Union(image.Rect(x, y, x+1, y+1))
					}
				}
			}
			if (text == "" || size.X < 100) != lit.Empty() && size.X >= 100 {
				t.Errorf("%q on %v: text in %v", text, size, lit)
			}
			if text == "" || size.X < 100 {
				continue
			}
			if lit.Dx() > size.X*4/5+2 || lit.Dy() < min(size.X, size.Y)/30 || !image.Pt(size.X/2, size.Y/2).In(lit.Inset(-size.Y/20)) {
				t.Errorf("%q on %v: text in %v", text, size, lit)
			}
		}
	}
}
