package render

import (
	"image"
	"strings"
)

// maxNoticeLines bounds the lines of a text that fills a picture.
const maxNoticeLines = 24

// Text fills r with a text in its middle, as large as it fits on some lines; a text's own lines are kept. What does not fit
// even in the smallest size is cut.
func Text(dst *Image, r image.Rectangle, text string) {
	r = r.Intersect(dst.Rect)
	dst.Fill(r, colorTop)
	if r.Empty() {
		return
	}
	w := &writer{}
	margin := min(r.Dx(), r.Dy()) / 12
	box := r.Inset(margin)
	size := largest(w, text, box)
	lines := noticeLines(w, text, size, box.Dx())
	height := w.height(Bold, size)
	y := r.Min.Y + (r.Dy()-len(lines)*height)/2
	part := dst.SubImage(box)
	for _, l := range lines {
		w.draw(part, image.Pt(r.Min.X+(r.Dx()-w.width(l, Bold, size))/2, y), l, Bold, size, colorText)
		y += height
	}
}

// largest is the largest size in which a text fits a box without a word being cut, the smallest when none does.
func largest(w *writer, text string, box image.Rectangle) int {
	low, high := minText, max(minText, min(box.Dx(), box.Dy())/4)
	for low < high {
		size := (low + high + 1) / 2
		lines := noticeLines(w, text, size, box.Dx())
		if len(lines) < maxNoticeLines && len(lines)*w.height(Bold, size) <= box.Dy() && longestWord(w, text, size) <= box.Dx() {
			low = size
		} else {
			high = size - 1
		}
	}
	return low
}

func longestWord(w *writer, text string, size int) int {
	longest := 0
	for word := range strings.FieldsSeq(text) {
		longest = max(longest, w.width(word, Bold, size))
	}
	return longest
}

func noticeLines(w *writer, text string, size, width int) []string {
	var lines []string
	for own := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		broken := w.wrap(own, Bold, size, width, maxNoticeLines)
		if len(broken) == 0 {
			broken = []string{""}
		}
		lines = append(lines, broken...)
	}
	return lines[:min(len(lines), maxNoticeLines)]
}
