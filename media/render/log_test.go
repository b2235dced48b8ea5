package render_test

import (
	"fmt"
	"image"
	"image/color"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"porthole/media/render"
)

func logLines(n int) []render.Line {
	var lines []render.Line
	for i := range n {
		lines = append(lines, render.Line{
			Time: time.Date(2026, 3, 4, 5, 6, i%60, 0, time.UTC), Source: "player", Level: slog.Level(4 * (i % 3)),
			Text: fmt.Sprintf("the server does not answer; trying again attempt=%d", i),
		})
	}
	return lines
}

// inkRows returns the rows of dst that hold something other than the background, as runs from top to bottom.
func inkRows(dst *render.Image) (runs [][2]int) {
	back := dst.At(0, 0)
	last := false
	for y := range dst.Rect.Dy() {
		ink := false
		for x := range dst.Rect.Dx() {
			ink = ink || dst.At(x, y) != back
		}
		switch {
		case ink && !last:
			runs = append(runs, [2]int{y, y + 1})
		case ink:
			runs[len(runs)-1][1] = y + 1
		}
		last = ink
	}
	return runs
}

// TestLog: the newest lines are at the bottom, as many as fit, inside the picture, in the colour of what they say.
func TestLog(t *testing.T) {
	for _, size := range []image.Point{{1920, 1080}, {1080, 1920}, {3840, 2160}, {640, 480}, {320, 200}} {
		dst := render.NewImage(size.X, size.Y)
		render.Log(dst, nil)
		if runs := inkRows(dst); len(runs) != 0 {
			t.Errorf("%v: nothing to say, drawn at %v", size, runs)
		}
		render.Log(dst, logLines(1))
		one := inkRows(dst)
		if len(one) == 0 || one[0][0] < size.Y/2 || one[len(one)-1][1] > size.Y-2 {
			t.Errorf("%v: one line is drawn at %v", size, one)
		}
		first, all := render.NewImage(size.X, size.Y), render.NewImage(size.X, size.Y)
		render.Log(all, logLines(500))
		render.Log(first, append(logLines(500), render.Line{Text: "new"}))
		if runs := inkRows(all); runs[0][0] > size.Y/4 {
			t.Errorf("%v: 500 lines begin at %d", size, runs[0][0])
		}
		// What was last is one line higher now.
		lower, upper := inkRows(all), inkRows(first)
		if upper[len(upper)-2][1] >= lower[len(lower)-1][1] {
			t.Errorf("%v: a new line does not move the others: %v, %v", size, lower[len(lower)-1], upper[len(upper)-2])
		}
	}
	// Levels have colours of their own, and no line is drawn like another.
	seen := map[color.RGBA]bool{}
	for _, l := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		dst := render.NewImage(400, 100)
		render.Log(dst, []render.Line{{Level: l, Text: "█████"}})
		var most color.RGBA
		sum := 0
		for i := 0; i < len(dst.Pix); i += 4 {
			if s := int(dst.Pix[i]) + int(dst.Pix[i+1]) + int(dst.Pix[i+2]); s > sum {
				sum, most = s, color.RGBA{dst.Pix[i+2], dst.Pix[i+1], dst.Pix[i], 255}
			}
		}
		back := dst.At(0, 0).(color.RGBA)
		if c := contrast(most, back); c < 7 || seen[most] {
			t.Errorf("%v is written in %v on %v, contrast %.1f", l, most, back, c)
		}
		seen[most] = true
	}
}

// TestLogBreaksLines: a long line goes on below, a very long one is cut, and nothing is drawn beyond the edge.
func TestLogBreaksLines(t *testing.T) {
	rows := func(text string) int {
		dst := render.NewImage(800, 600)
		render.Log(dst, []render.Line{{Source: "proxy", Text: text}})
		back := dst.At(0, 0)
		for y := range 600 {
			if dst.At(799, y) != back || dst.At(0, y) != back {
				t.Fatalf("%.20q is drawn at the edge", text)
			}
		}
		return len(inkRows(dst))
	}
	one, long, endless := rows("HHH"), rows(strings.Repeat("HHHH ", 20)), rows(strings.Repeat("H", 100_000))
	if one != 1 || long < 2 || endless <= long || endless > 8 {
		t.Errorf("rows of a short, a long and an endless line: %d, %d, %d", one, long, endless)
	}
	if n := rows("H\x00\x1b[31m\nH\tH"); n != 1 {
		t.Errorf("control characters make %d rows", n)
	}
}

func FuzzLog(f *testing.F) {
	f.Add("player", "text", 300, 200)
	f.Add("", "\xff\xfe \u202e", 1, 1)
	f.Fuzz(func(_ *testing.T, source, text string, w, h int) {
		dst := render.NewImage(max(w%700, 1), max(h%700, 1))
		render.Log(dst, []render.Line{{Source: source, Text: text}, {Text: source}})
	})
}

// contrast is the ratio of WCAG 2.2.
func contrast(a, b color.RGBA) float64 {
	luminance := func(c color.RGBA) float64 {
		linear := func(v uint8) float64 {
			if s := float64(v) / 255; s > 0.04045 {
				return math.Pow((s+0.055)/1.055, 2.4)
			} else {
				return s / 12.92
			}
		}
		return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
