package render

import (
	"image"
	"image/color"
	"strings"
	"time"
	"unicode"
)

// Status is what the status screen tells. Empty fields are left out.
type Status struct {
	Name        string   // of the device
	URL         string   // of the console: written out, and in the QR code
	Addresses   []string // the most useful first: what does not fit is only counted
	Fingerprint string   // of the device's authority, in its short form
	ClaimCode   string   // while nobody has taken the device over
	Starting    bool     // the device has only just been switched on: nothing else is known yet
	Unreachable bool     // nobody can open the console: Messages say why
	Messages    []string // what is wrong and what to do, the most important first

	Time    time.Time // in the zone to show it in, which is named; zero: the clock is not set
	Version string
}

// clean returns the status without characters that cannot be seen and without more of them than a screen holds.
func (s Status) clean() Status {
	// The code is the URL as it is.
	s.Name, s.Version = visible(s.Name, 160), visible(s.Version, 60)
	s.Fingerprint, s.ClaimCode = visible(s.Fingerprint, 100), visible(s.ClaimCode, 40)
	all := func(list []string, limit int) (out []string) {
		for _, t := range list {
			if t = visible(t, limit); t != "" {
				out = append(out, t)
			}
		}
		return out
	}
	s.Addresses, s.Messages = all(s.Addresses, 80), all(s.Messages, 320)
	if s.Unreachable || s.Starting {
		s.URL, s.ClaimCode = "", ""
	}
	return s
}

// visible is text for one paragraph of at most limit characters.
func visible(s string, limit int) string {
	n := 0
	s = strings.Map(func(r rune) rune {
		if n++; n > limit {
			return -1
		}
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// Kind says what a box of the status screen holds.
type Kind string

// The kinds of boxes.
const (
	KindBrand       Kind = "brand"
	KindName        Kind = "name"
	KindLabel       Kind = "label"
	KindURL         Kind = "url"
	KindAddress     Kind = "address"
	KindFingerprint Kind = "fingerprint"
	KindCode        Kind = "code"
	KindMessage     Kind = "message"
	KindFooter      Kind = "footer"
	KindQR          Kind = "qr"
)

// Box is one thing on the status screen: a line of text, or the QR code. Boxes never overlap.
type Box struct {
	Kind Kind
	Text string // as it is drawn; the QR code's content
	Rect image.Rectangle

	font  Font
	size  int
	color color.RGBA
}

// panel is a coloured area behind boxes.
type panel struct {
	rect   image.Rectangle
	radius int
	color  color.RGBA
}

// The colours of the status screen. Text has a contrast of at least 7:1 to its background (WCAG 2.2, 1.4.6).
var (
	colorTop     = color.RGBA{0x0b, 0x12, 0x20, 0xff}
	colorBottom  = color.RGBA{0x12, 0x22, 0x3c, 0xff}
	colorText    = color.RGBA{0xf4, 0xf7, 0xfc, 0xff}
	colorMuted   = color.RGBA{0xa9, 0xb9, 0xd2, 0xff}
	colorAccent  = color.RGBA{0x7d, 0xcf, 0xff, 0xff}
	colorTile    = color.RGBA{0x1c, 0x30, 0x52, 0xff}
	colorWarning = color.RGBA{0xff, 0xd1, 0x8a, 0xff}
	colorError   = color.RGBA{0xff, 0x9c, 0x94, 0xff}
	colorWarnBox = color.RGBA{0x3b, 0x2a, 0x10, 0xff}
	colorWhite   = color.RGBA{0xff, 0xff, 0xff, 0xff}
)

// StatusScreen draws the status screen over the whole of dst, which may have any size and shape, and says what it put where.
func StatusScreen(dst *Image, s Status) []Box {
	w := &writer{}
	l := layoutStatus(w, dst.Rect.Size(), s)
	origin := dst.Rect.Min
	gradient(dst, colorTop, colorBottom)
	for _, p := range l.panels {
		roundRect(dst, p.rect.Add(origin), p.radius, p.color)
	}
	if !l.sign.Empty() {
		porthole(dst, l.sign.Add(origin), colorAccent, colorTile)
	}
	boxes := l.boxes[:0]
	for _, b := range l.boxes {
		b.Rect = b.Rect.Add(origin)
		if b.Kind == KindQR {
			if err := qrModules(dst, b.Rect, b.Text); err != nil {
				continue // it was measured before, so it fits
			}
		} else {
			w.draw(dst, b.Rect.Min, b.Text, b.font, b.size, b.color)
		}
		boxes = append(boxes, b)
	}
	return boxes
}
