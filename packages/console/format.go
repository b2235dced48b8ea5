package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// durationText says a duration in its one or two largest units, rounded down.
func durationText(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days >= 10:
		return fmt.Sprintf("%d days", days)
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

// sizeText says a number of bytes in decimal units.
func sizeText(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	case bytes >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
	case bytes > 0:
		return fmt.Sprintf("%.0f kB", float64(bytes)/1e3)
	}
	return "–"
}

// printable removes what a terminal would act on: colour sequences and other control characters.
func printable(s string) string {
	var b strings.Builder
	escape := false
	for _, r := range s {
		switch {
		case escape:
			// A CSI sequence ends with a letter (ECMA-48 section 5.4).
			escape = r == '[' || r == ';' || r == '?' || (r >= '0' && r <= '9')
		case r == '\x1b':
			escape = true
		case r == '\t' || !unicode.IsControl(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// slug makes an id of a name: "Front door" becomes "front-door". It may be empty.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := b.String()
	return strings.Trim(s[:min(len(s), 32)], "-")
}
