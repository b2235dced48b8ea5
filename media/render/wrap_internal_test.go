package render

import (
	"strings"
	"testing"
)

// TestWrapKeepsWords: a word that fits a line is not cut, however long the line before it might have been.
func TestWrapKeepsWords(t *testing.T) {
	w := &writer{}
	for _, text := range []string{"Good morning everybody", "A conversation in Gloucestershire", "Welcome"} {
		for size := 20; size < 200; size += 10 {
			width := w.width("Gloucestershire", Bold, size)
			for _, line := range w.wrap(text, Bold, size, width, 10) {
				for word := range strings.FieldsSeq(line) {
					if !strings.Contains(" "+text+" ", " "+word+" ") {
						t.Errorf("%q in size %d has a line %q", text, size, line)
					}
				}
			}
		}
	}
	if lines := w.wrap(strings.Repeat("x", 100), Bold, 40, 400, 20); len(lines) < 3 {
		t.Errorf("a word that fits no line is on %d", len(lines))
	}
}
