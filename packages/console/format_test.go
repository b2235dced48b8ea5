package main_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	console "porthole/packages/console"
)

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 59*time.Second + 999*time.Millisecond: "59 s", time.Minute: "1 min", 59 * time.Minute: "59 min",
		time.Hour: "1 h 0 min", 25 * time.Hour: "1 d 1 h", 239 * time.Hour: "9 d 23 h", 240 * time.Hour: "10 days", 824 * 24 * time.Hour: "824 days",
	} {
		if got := console.DurationText(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"Front door": "front-door", "  Yard  2 ": "yard-2", "Küche": "k-che", "门": "", "A": "a", "--": "",
		strings.Repeat("long name ", 9): "long-name-long-name-long-name-lo", strings.Repeat("a", 31) + " b": strings.Repeat("a", 31),
	} {
		if got := console.Slug(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// FuzzPrintable: what other processes and cameras say cannot move a terminal's cursor or hide text, and plain text stays.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31mred\x1b[0m", "\x1b", "\x1b[", "a\tb\r\n", "\x1b]0;title\x07x", "\x7f\x00\u0085", "Tür 1280×720"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := console.Printable(s)
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
			t.Errorf("%q became %q", s, got)
		}
		if !strings.ContainsFunc(s, unicode.IsControl) && strings.ToValidUTF8(s, "\ufffd") == s && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}
