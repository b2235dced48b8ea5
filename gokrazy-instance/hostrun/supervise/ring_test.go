//go:build linux

package supervise

import (
	"strings"
	"testing"
)

// TestEndlessLine: output without line ends neither fills the memory nor is lost.
func TestEndlessLine(t *testing.T) {
	var got []string
	r := newRing(func(line string) { got = append(got, line) })
	for range 5 {
		r.Write([]byte(strings.Repeat("x", maxLine/2-1)))
	}
	r.Write([]byte("\nshort\n" + strings.Repeat("y", maxLine+10) + "\n"))
	total := 0
	for _, line := range got {
		if len(line) > maxLine {
			t.Errorf("a line of %d bytes", len(line))
		}
		total += len(line)
	}
	if want := 5*(maxLine/2-1) + len("short") + maxLine + 10; total != want {
		t.Errorf("%d bytes came out, want %d", total, want)
	}
	if last := r.tail(2); last[0] != strings.Repeat("y", maxLine) || last[1] != strings.Repeat("y", 10) {
		t.Errorf("the last lines have %d and %d bytes", len(last[0]), len(last[1]))
	}
}
