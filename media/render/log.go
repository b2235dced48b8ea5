package render

import (
	"image"
	"image/color"
	"log/slog"
	"strings"
	"time"
)

// Line is a line of the log.
type Line struct {
	// Time is when it was written; zero where that is not known.
	Time time.Time
	// Source is the process, for example "player".
	Source string
	Level  slog.Level
	Text   string
}

const (
	// logSize is the height of the log's text in units of a 1080 pixel high screen: to be read from a step away.
	logSize = 24
	// maxLogWrap bounds the rows that one line takes.
	maxLogWrap = 6
	// sourceColumns is the width of the column with the process's name, in characters.
	sourceColumns = 10
)

// logRow is a row of the log view: a line, or a piece of one that did not fit.
type logRow struct {
	line  *Line
	first bool
	text  string
}

// Log fills dst with the last lines that fit, the newest below: time, process, text. Long ones are broken.
func Log(dst *Image, lines []Line) {
	dst.Fill(dst.Rect, colorBottom)
	w := &writer{}
	short := min(dst.Rect.Dx(), dst.Rect.Dy())
	size := max(minText, logSize*short/1080)
	advance, height := max(w.width("0", Mono, size), 1), w.height(Mono, size)+max(size/6, 1)
	margin := max(short/40, 4)
	area := dst.Rect.Inset(margin)
	columns, fit := area.Dx()/advance, area.Dy()/height
	if area.Empty() || columns < 1 || fit < 1 {
		return
	}
	rows := logRows(lines, columns, fit)
	text := glyphs{w: w, size: size, advance: advance, dst: dst.SubImage(area)}
	for i, r := range rows {
		at := image.Pt(area.Min.X, area.Max.Y-(len(rows)-i)*height)
		head := logHead(columns)
		if r.first && head > 0 {
			clock := "        "
			if !r.line.Time.IsZero() {
				clock = r.line.Time.Format(time.TimeOnly)
			}
			text.draw(at, clock, colorMuted)
			text.draw(at.Add(image.Pt(9*advance, 0)), cutTo(r.line.Source, sourceColumns-1), colorAccent)
		}
		text.draw(at.Add(image.Pt(head*advance, 0)), r.text, logColor(r.line.Level))
	}
}

// logHead is how many columns time and process take; none on a screen that is too narrow for them.
func logHead(columns int) int {
	if head := 9 + sourceColumns; columns >= 3*head {
		return head
	}
	return 0
}

func logColor(l slog.Level) color.RGBA {
	switch {
	case l >= slog.LevelError:
		return colorError
	case l >= slog.LevelWarn:
		return colorWarning
	}
	return colorText
}

// logRows breaks the last lines into at most fit rows.
func logRows(lines []Line, columns, fit int) []logRow {
	width := columns - logHead(columns)
	var rows []logRow // the last first
	for i := len(lines) - 1; i >= 0 && len(rows) < fit; i-- {
		pieces := breakLine([]rune(printable(lines[i].Text)), width)
		for j := len(pieces) - 1; j >= 0 && len(rows) < fit; j-- {
			rows = append(rows, logRow{&lines[i], j == 0, pieces[j]})
		}
	}
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

// breakLine breaks a line into rows of a width, at spaces where it can.
func breakLine(rest []rune, width int) []string {
	var out []string
	for len(rest) > width && len(out) < maxLogWrap-1 {
		cut := width
		for i := width; i > width/2; i-- {
			if rest[i] == ' ' {
				cut = i
				break
			}
		}
		out = append(out, string(rest[:cut]))
		rest = rest[cut:]
		if rest[0] == ' ' {
			rest = rest[1:]
		}
	}
	return append(out, cutTo(string(rest), width))
}

func cutTo(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string(r[:width-1]) + ellipsis
}

// printable replaces what has no place in a row.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f:
			return '·'
		}
		return r
	}, s)
}
