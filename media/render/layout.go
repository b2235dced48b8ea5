package render

import (
	"fmt"
	"image"
	"image/color"
	"math"
)

// layout is the status screen before it is drawn, with its corner at 0,0.
type layout struct {
	boxes  []Box
	panels []panel
	sign   image.Rectangle
}

// effort is how much a layout tries to show.
type effort struct {
	scale     float64 // of text, to its best size
	addresses int
	messages  int
	extras    bool // labels, fingerprint, footer
}

// minText is the smallest text in pixels: Go's fonts are hard to read below.
const minText = 13

// layoutStatus finds the largest layout that fits. Text shrinks a little before anything is left out.
func layoutStatus(w *writer, size image.Point, s Status) layout {
	s = s.clean()
	a, m := len(s.Addresses), len(s.Messages)
	for _, e := range []effort{
		{addresses: a, messages: m, extras: true},
		{addresses: min(a, 6), messages: min(m, 3), extras: true},
		{addresses: min(a, 4), messages: min(m, 2), extras: true},
		{addresses: min(a, 2), messages: min(m, 2), extras: true},
		{addresses: min(a, 1), messages: min(m, 1), extras: true},
		{addresses: min(a, 1), messages: min(m, 1)},
		{messages: min(m, 1)},
		{},
	} {
		for _, e.scale = range []float64{1, 0.93, 0.87, 0.81, 0.75} {
			if l, ok := tryLayout(w, size, s, e); ok {
				return l
			}
		}
	}
	return layout{} // smaller than a postage stamp
}

// flow places lines one under the other.
type flow struct {
	w     *writer
	k     float64 // pixels per unit: a unit is a pixel on a 1920×1080 screen
	area  image.Rectangle
	y     int
	boxes []Box
}

// px converts units to pixels.
func (f *flow) px(units float64) int { return int(math.Round(units * f.k)) }

// textSize is a text size in pixels.
func (f *flow) textSize(units float64) int { return max(minText, f.px(units)) }

func (f *flow) gap(units float64) {
	if f.y > f.area.Min.Y {
		f.y += f.px(units)
	}
}

// style is how a kind of text looks; size in units.
type style struct {
	font  Font
	size  float64
	color color.RGBA
}

var (
	styleBrand   = style{Bold, 40, colorAccent}
	styleName    = style{Bold, 92, colorText}
	styleLabel   = style{Regular, 34, colorMuted}
	styleURL     = style{MonoBold, 50, colorAccent}
	styleMono    = style{Mono, 38, colorText}
	styleCode    = style{MonoBold, 78, colorWhite}
	styleMessage = style{Regular, 36, colorWarning}
	styleFooter  = style{Regular, 28, colorMuted}
)

// line places one line, cut to the width, at an offset from the left.
func (f *flow) line(kind Kind, text string, st style, left, width int) {
	size := f.textSize(st.size)
	text = f.w.shorten(text, st.font, size, width)
	at := image.Pt(f.area.Min.X+left, f.y)
	f.boxes = append(f.boxes, Box{
		Kind: kind, Text: text, font: st.font, size: size, color: st.color,
		Rect: image.Rectangle{Min: at, Max: at.Add(image.Pt(f.w.width(text, st.font, size), f.w.height(st.font, size)))},
	})
}

// next moves below the line last placed.
func (f *flow) next() { f.y = f.boxes[len(f.boxes)-1].Rect.Max.Y }

// paragraph places text in up to max lines.
func (f *flow) paragraph(kind Kind, text string, st style, left, width, max int) {
	for _, t := range f.w.wrap(text, st.font, f.textSize(st.size), width, max) {
		f.line(kind, t, st, left, width)
		f.next()
	}
}

// fitted places one line whose text shrinks by up to a third before it is cut.
func (f *flow) fitted(kind Kind, text string, st style, width int) {
	for f.w.width(text, st.font, f.textSize(st.size)) > width && f.textSize(st.size) > minText && st.size > 2*styleURL.size/3 {
		st.size -= 2
	}
	f.line(kind, text, st, 0, width)
	f.next()
}

// tryLayout lays everything out, and says whether it fits.
func tryLayout(w *writer, size image.Point, s Status, e effort) (layout, bool) {
	portrait := size.Y > size.X
	base := min(float64(size.X)/1920, float64(size.Y)/1080)
	if portrait {
		base = min(float64(size.X)/1080, float64(size.Y)/1920)
	}
	f := &flow{w: w, k: base * e.scale}
	var l layout
	margin := max(8, int(math.Round(72*base)))
	area := image.Rectangle{Max: size}.Inset(margin)
	if area.Empty() {
		return l, false
	}
	area.Max.Y = l.footer(f, area, s, e)
	area.Max.Y = l.messages(f, area, s, e)
	gap := f.px(64)
	if portrait {
		f.start(area)
		l.head(f, s)
		f.gap(36)
		l.access(f, s, image.Rect(area.Min.X, f.y, area.Max.X, area.Max.Y))
		f.gap(36)
		l.facts(f, s, e)
		l.center(area, f)
		return l, f.y <= area.Max.Y && l.sound(size)
	}
	side := min(f.px(560), area.Dx()*2/5)
	left, right := area, area
	right.Min.X = area.Max.X - side
	left.Max.X = right.Min.X - gap
	f.start(left)
	l.head(f, s)
	f.gap(40)
	l.facts(f, s, e)
	l.center(area, f)
	leftFits := f.y <= area.Max.Y
	f.start(right)
	l.access(f, s, right)
	l.center(area, f)
	return l, leftFits && f.y <= area.Max.Y && l.sound(size)
}

// start begins a new column.
func (f *flow) start(area image.Rectangle) { f.area, f.y, f.boxes = area, area.Min.Y, nil }

// center takes over what the flow has placed, moved to the middle of the area's height, and puts the panels behind it.
func (l *layout) center(area image.Rectangle, f *flow) {
	shift := image.Pt(0, max(0, (area.Max.Y-f.y)/2))
	for _, b := range f.boxes {
		b.Rect = b.Rect.Add(shift)
		l.boxes = append(l.boxes, b)
		switch b.Kind {
		case KindBrand:
			h := b.Rect.Dy() * 5 / 4
			l.sign = image.Rect(0, 0, h, h).Add(image.Pt(f.area.Min.X, b.Rect.Min.Y-h/10))
		case KindQR:
			l.panels = append(l.panels, panel{b.Rect, f.px(24), colorWhite})
		case KindCode:
			l.panels = append(l.panels, panel{b.Rect.Inset(-f.px(20)), f.px(20), colorTile})
		}
	}
}

// head is the brand and the device's name.
func (l *layout) head(f *flow, s Status) {
	size := f.textSize(styleBrand.size)
	f.line(KindBrand, "Porthole", styleBrand, f.w.height(Bold, size)*5/4+f.px(18), f.area.Dx())
	f.next()
	f.gap(24)
	name, lines := styleName, 2
	if len(f.w.wrap(s.Name, name.font, f.textSize(name.size), f.area.Dx(), lines+1)) > lines {
		name.size, lines = 66, 3
	}
	f.paragraph(KindName, s.Name, name, 0, f.area.Dx(), lines)
}

// facts is the address of the console, all addresses, the fingerprint.
func (l *layout) facts(f *flow, s Status, e effort) {
	width := f.area.Dx()
	label := func(text string) {
		f.gap(34)
		if e.extras {
			f.line(KindLabel, text, styleLabel, 0, width)
			f.next()
			f.gap(4)
		}
	}
	if s.URL != "" {
		label("Open in a browser")
		f.fitted(KindURL, visible(s.URL, 200), styleURL, width)
	}
	if n := min(e.addresses, len(s.Addresses)); n > 0 {
		label("Addresses")
		l.addresses(f, s.Addresses[:n])
		if rest := len(s.Addresses) - n; rest > 0 {
			f.line(KindLabel, fmt.Sprintf("and %d more", rest), styleLabel, 0, width)
			f.next()
		}
	}
	if s.Fingerprint != "" && e.extras {
		label("Device fingerprint")
		f.line(KindFingerprint, s.Fingerprint, styleMono, 0, width)
		f.next()
	}
}

// addresses places addresses in two columns where they fit beside each other, else one under the other.
func (l *layout) addresses(f *flow, addresses []string) {
	size, width := f.textSize(styleMono.size), f.area.Dx()
	column := (width + f.px(48)) / 2
	for i := 0; i < len(addresses); i++ {
		f.line(KindAddress, addresses[i], styleMono, 0, width)
		fits := func(s string) bool { return f.w.width(s, Mono, size) <= column-f.px(48) }
		if len(addresses) > 2 && i+1 < len(addresses) && fits(addresses[i]) && fits(addresses[i+1]) {
			i++
			f.line(KindAddress, addresses[i], styleMono, column, width-column)
		}
		f.next()
		f.gap(4)
	}
}

// access is the QR code and the claim code, centred in the area's width.
func (l *layout) access(f *flow, s Status, area image.Rectangle) {
	from := len(f.boxes)
	caption := "Scan to open the console"
	if s.ClaimCode != "" {
		caption = "Scan to set up this device"
	}
	switch {
	case s.Starting:
		caption = "Starting …"
	case s.Unreachable:
		caption = "The console cannot be opened now"
	case s.URL == "":
		caption = "Waiting for the network …"
	}
	f.paragraph(KindLabel, caption, styleLabel, 0, area.Dx(), 2)
	// A code that is too long or would be too small is left out: the address is written beside it.
	if side := QRSide(s.URL, min(f.px(540), area.Dx())); s.URL != "" && side > 0 {
		f.gap(28)
		at := image.Pt(area.Min.X, f.y)
		f.boxes = append(f.boxes, Box{Kind: KindQR, Text: s.URL, Rect: image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}})
		f.next()
	}
	if s.ClaimCode != "" {
		f.gap(30)
		label := "Then enter this code"
		if s.URL == "" {
			label = "Code to set it up"
		}
		f.line(KindLabel, label, styleLabel, 0, area.Dx())
		f.next()
		f.gap(28)
		f.fitted(KindCode, s.ClaimCode, styleCode, area.Dx()-f.px(40))
		f.gap(20)
	}
	for i := from; i < len(f.boxes); i++ {
		r := &f.boxes[i].Rect
		*r = r.Add(image.Pt(area.Min.X+(area.Dx()-r.Dx())/2-r.Min.X, 0))
	}
}

// messages is the strip of problems above the footer. It returns the lower end of what is left.
func (l *layout) messages(f *flow, area image.Rectangle, s Status, e effort) int {
	n := min(e.messages, len(s.Messages))
	if n == 0 {
		return area.Max.Y
	}
	pad := f.px(26)
	f.start(image.Rect(area.Min.X+pad, 0, area.Max.X-pad, area.Max.Y))
	// A few may be long: the end of one says what to do.
	lines := 2
	if n <= 2 {
		lines = 3
	}
	for i, text := range s.Messages[:n] {
		if i > 0 {
			f.gap(14)
		}
		f.paragraph(KindMessage, text, styleMessage, f.px(34), f.area.Dx()-f.px(34), lines)
	}
	if rest := len(s.Messages) - n; rest > 0 {
		f.gap(8)
		f.line(KindLabel, fmt.Sprintf("and %d more", rest), styleLabel, f.px(34), f.area.Dx())
		f.next()
	}
	top := area.Max.Y - f.y - 2*pad
	for _, b := range f.boxes {
		b.Rect = b.Rect.Add(image.Pt(0, top+pad))
		l.boxes = append(l.boxes, b)
	}
	strip := image.Rect(area.Min.X, top, area.Max.X, area.Max.Y)
	l.panels = append(l.panels, panel{strip, f.px(20), colorWarnBox},
		panel{image.Rect(strip.Min.X, strip.Min.Y, strip.Min.X+f.px(14), strip.Max.Y), f.px(7), colorWarning})
	return top - f.px(36)
}

// footer is the clock and the version. It returns the lower end of what is left.
func (l *layout) footer(f *flow, area image.Rectangle, s Status, e effort) int {
	if !e.extras {
		return area.Max.Y
	}
	clock := "The clock is not set yet"
	if s.Starting {
		clock = ""
	}
	if !s.Time.IsZero() {
		clock = s.Time.Format("Monday, 2 January 2006, 15:04 MST")
	}
	size := f.textSize(styleFooter.size)
	top := area.Max.Y - f.w.height(Regular, size)
	f.start(image.Rect(area.Min.X, top, area.Max.X, area.Max.Y))
	width := area.Dx() - f.px(40)
	version := min(f.w.width(s.Version, styleFooter.font, size), width/2)
	if clock != "" {
		f.line(KindFooter, clock, styleFooter, 0, width-version)
	}
	if s.Version != "" {
		f.line(KindFooter, s.Version, styleFooter, 0, width/2)
		r := &f.boxes[len(f.boxes)-1].Rect
		*r = r.Add(image.Pt(area.Max.X-r.Max.X, 0))
	}
	l.boxes = append(l.boxes, f.boxes...)
	return top - f.px(30)
}

// sound says whether all boxes are on the screen and none is on another, which includes that nothing was cut to nothing.
func (l *layout) sound(size image.Point) bool {
	screen := image.Rectangle{Max: size}
	for i, b := range l.boxes {
		if b.Rect.Empty() || !b.Rect.In(screen) {
			return false
		}
		for _, other := range l.boxes[:i] {
			if b.Rect.Overlaps(other.Rect) {
				return false
			}
		}
	}
	return true
}
