package resetcause_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"porthole/hw/resetcause"
)

// FuzzJudge: memory that survived a power cut holds anything.
func FuzzJudge(f *testing.F) {
	for _, s := range []string{panicDump, oopsDump, started + hungry, started + try, "Panic#999999999 Part", "\xff\x00"} {
		f.Add(s, started, uint32(0x20), true, false, 0)
		f.Add("", s, uint32(0x1000), false, true, 0x20)
	}
	f.Fuzz(func(t *testing.T, dump, console string, rsts uint32, known, tryboot bool, dog int) {
		r := resetcause.Judge(dump, console, rsts, known, tryboot, dog)
		if len(r.LastWords) > resetcause.MaxLastWords || len(r.Detail) > 600 || r.Detail == "" {
			t.Errorf("%d bytes of last words, detail %q", len(r.LastWords), r.Detail)
		}
		for _, text := range []string{r.Detail, r.LastWords} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\r") {
				t.Errorf("unprintable: %q", text)
			}
		}
	})
}
