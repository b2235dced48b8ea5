package resetcause_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"porthole/hw/resetcause"
)

// FuzzRead: memory that survived a power cut holds anything.
func FuzzRead(f *testing.F) {
	for _, s := range []string{panicDump, oopsDump, started + hungry, started + try, "Panic#999999999 Part", "\xff\x00"} {
		f.Add(s, started, []byte(reset), int32(0))
		f.Add("", s, []byte(powerOn), int32(0x20))
	}
	f.Fuzz(func(t *testing.T, dump, console string, bits []byte, dog int32) {
		r, _, _ := machine{files: rsts(string(bits)), dog: dog & 0xff, pstore: map[string]string{
			"dmesg-ramoops-0": dump, "console-ramoops-0": console}}.read(t)
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
