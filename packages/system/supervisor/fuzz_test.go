package supervisor

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseEvents(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	in := "event: stderr\ndata: one\n\ndata: two: three\n\n: comment\n\nevent: stdout\ndata: " + long + "\n\ndata: \xff\n\nevent: x\n\ndata: cut off"
	var got []Line
	if err := parseEvents(strings.NewReader(in), func(l Line) bool { got = append(got, l); return true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0] != (Line{"stderr", "one"}) || got[1] != (Line{"", "two: three"}) || got[3].Text != "\uFFFD" {
		t.Fatalf("got %+v", got)
	}
	if n := len(got[2].Text); n == 0 || n > maxLine {
		t.Errorf("the long line has %d bytes", n)
	}
}

func FuzzParseEvents(f *testing.F) {
	f.Add("event: stderr\ndata: one\n\n")
	f.Add("data:\n\n\n\ndata: a\r\n\r\n")
	f.Add(strings.Repeat("data: x\n\n", 300))
	f.Fuzz(func(t *testing.T, in string) {
		n := 0
		err := parseEvents(strings.NewReader(in), func(l Line) bool {
			n++
			if len(l.Text) > 3*maxLine || !utf8.ValidString(l.Text) {
				t.Errorf("line of %d bytes", len(l.Text))
			}
			return n < maxLines
		})
		if err != nil {
			t.Errorf("reading from memory failed: %v", err)
		}
		if n > maxLines {
			t.Errorf("%d lines", n)
		}
	})
}
