package render

import (
	"image"
	"image/color"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Font is one of the built-in fonts: the Go fonts, which know Latin, Greek and Cyrillic scripts.
type Font int

// The fonts.
const (
	Regular Font = iota
	Bold
	Mono
	MonoBold
)

// parsed are the fonts, parsed once.
var parsed = [...]func() (*opentype.Font, error){
	Regular:  sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) }),
	Bold:     sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gobold.TTF) }),
	Mono:     sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gomono.TTF) }),
	MonoBold: sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gomonobold.TTF) }),
}

// writer measures and draws text. It is not safe for concurrent use.
type writer struct {
	faces map[faceKey]font.Face
}

type faceKey struct {
	font Font
	size int
}

// face is a font at a size: the height of its em square in pixels.
func (w *writer) face(f Font, size int) font.Face {
	key := faceKey{f, size}
	if face, ok := w.faces[key]; ok {
		return face
	}
	otf, err := parsed[f]()
	if err != nil {
		panic("render: built-in font: " + err.Error()) //nolint:forbidigo // the fonts are compiled in
	}
	face, err := opentype.NewFace(otf, &opentype.FaceOptions{Size: float64(size), DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic("render: built-in font: " + err.Error()) //nolint:forbidigo // the options are constants
	}
	if w.faces == nil {
		w.faces = make(map[faceKey]font.Face)
	}
	w.faces[key] = face
	return face
}

// width is the width of a line in pixels, rounded up.
func (w *writer) width(s string, f Font, size int) int {
	return font.MeasureString(w.face(f, size), s).Ceil()
}

// height is the height of a line: ascenders, descenders and nothing else.
func (w *writer) height(f Font, size int) int {
	m := w.face(f, size).Metrics()
	return m.Ascent.Ceil() + m.Descent.Ceil()
}

// draw writes one line with the top left corner of its box at p.
func (w *writer) draw(dst *Image, p image.Point, s string, f Font, size int, c color.RGBA) {
	face := w.face(f, size)
	d := font.Drawer{
		Dst:  dst.swapped(),
		Src:  image.NewUniform(color.RGBA{R: c.B, G: c.G, B: c.R, A: c.A}),
		Face: face,
		Dot:  fixed.P(p.X, p.Y+face.Metrics().Ascent.Ceil()),
	}
	d.DrawString(s)
}

// ellipsis is what stands for text that does not fit.
const ellipsis = "…"

// shorten cuts a line to a width. What tells names and addresses apart is often their end, so the middle goes.
func (w *writer) shorten(s string, f Font, size, width int) string {
	if w.width(s, f, size) <= width {
		return s
	}
	r := []rune(s)
	for keep := len(r) - 1; keep > 0; keep-- {
		head := (keep + 1) / 2
		if t := string(r[:head]) + ellipsis + string(r[len(r)-keep+head:]); w.width(t, f, size) <= width {
			return t
		}
	}
	return ""
}

// wrap breaks text into at most max lines of a width, at spaces where it can; the last line is cut with an ellipsis.
func (w *writer) wrap(s string, f Font, size, width, max int) []string {
	var lines []string
	rest := strings.Join(strings.Fields(s), " ")
	for rest != "" {
		if len(lines) == max-1 || w.width(rest, f, size) <= width {
			return append(lines, w.shorten(rest, f, size, width))
		}
		cut := w.fitting(rest, f, size, width)
		lines = append(lines, strings.TrimSpace(rest[:cut]))
		rest = strings.TrimSpace(rest[cut:])
	}
	return lines
}

// fitting is how many bytes of s fit a width, at least one character: up to a space if there is one in the second half, or if what
// comes then is a word that fits as a whole.
func (w *writer) fitting(s string, f Font, size, width int) int {
	n, space := 0, 0
	for i, r := range s {
		_, bytes := utf8.DecodeRuneInString(s[i:]) // one for what is no UTF-8, whatever r is
		end := i + bytes
		if w.width(s[:end], f, size) > width && n > 0 {
			break
		}
		n = end
		if r == ' ' || r == '-' || r == '/' {
			space = end
		}
	}
	word, _, _ := strings.Cut(s[space:], " ")
	if space > n/2 || space > 0 && w.width(word, f, size) <= width {
		return space
	}
	return n
}
