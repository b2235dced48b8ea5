package stage

import (
	"image"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
)

// Painter draws. All of it is clipped to dst.
type Painter interface {
	// Status draws the whole status screen.
	Status(dst *display.Image, s Status)
	// Picture draws m, turned, into r as fit says; what is transparent, and what is left of r, is black.
	Picture(dst *display.Image, r image.Rectangle, m image.Image, fit render.Mode, turn render.Turn)
	// Text fills dst with a text.
	Text(dst *display.Image, text string)
	// Log fills dst with the last of some lines.
	Log(dst *display.Image, lines []render.Line)
	// Video draws v into r, scaled.
	Video(dst *display.Image, r image.Rectangle, v *display.YUV)
	// Strip fills r with a line of text, to be read from across a room.
	Strip(dst *display.Image, r image.Rectangle, text string)
	// Note lays a small text over the lower edge of r.
	Note(dst *display.Image, r image.Rectangle, text string)
	// Banner lays a text over the middle of dst, to be read from across a room.
	Banner(dst *display.Image, text string)
}

// Status is what the status screen says; empty parts are left out.
type Status struct {
	Name      string
	Addresses []string
	// URL is the console's address, shown also as a QR code.
	URL                    string
	Fingerprint, ClaimCode string
	// Unreachable says that nobody can open the console.
	Unreachable bool
	// Messages are sentences about what is wrong, the most important first.
	Messages []string
	// Minute is the time, for the clock.
	Minute time.Time
}

// Kind names what is on the screen.
type Kind string

// What can be on the screen.
const (
	Nothing     Kind = "nothing"
	ShowStatus  Kind = "status"
	ShowPicture Kind = "picture"
	ShowCamera  Kind = "camera"
	ShowProgram Kind = "program" // what a Source says
)

// scene says what is to be on the screen: the status screen, a still, or else what the canvas has of a camera or a source.
type scene struct {
	kind   Kind
	status *Status
	still  *Still
	// note lies over pictures of all kinds, strip below them.
	note, strip string
	// log is there instead of all that, while it is not nil.
	log *logView
	// banner lies over all of it.
	banner string
	// turn is how all of it is turned.
	turn render.Turn
}

// logView is what the live log shows. Another one is drawn anew.
type logView struct{ lines []render.Line }

// Geometry is what a still is drawn for.
type Geometry struct {
	// Size is the screen's in pixels, as the hardware has it.
	Size image.Point
	Turn render.Turn
}

// Turn returns the turn of an orientation as the settings have it. Portrait turns pictures clockwise, for a display
// that was turned counterclockwise.
func Turn(orientation string) render.Turn {
	switch orientation {
	case "portrait":
		return 90
	case "landscape-flipped":
		return 180
	case "portrait-flipped":
		return 270
	}
	return 0
}

// Orient turns everything from now on.
func (s *Stage) Orient(turn render.Turn) {
	s.set(func(n *scene) (changed bool) {
		changed = n.turn != turn
		n.turn = turn
		return changed
	})
}

// Log shows lines, the newest last, instead of everything else, which goes on behind; nil takes them away. Nobody may
// change them any more.
func (s *Stage) Log(lines []render.Line) {
	s.set(func(n *scene) (changed bool) {
		changed = lines != nil || n.log != nil
		n.log = nil
		if lines != nil {
			n.log = &logView{lines}
		}
		return changed
	})
}

// set changes the scene.
func (s *Stage) set(f func(*scene) (changed bool)) {
	s.mu.Lock()
	changed := f(&s.scene)
	s.fresh = s.fresh || changed
	s.mu.Unlock()
	if changed {
		s.poke()
	}
}

// Geometry is what stills are to be prepared for now; its zero value before there is a screen.
func (s *Stage) Geometry() Geometry {
	s.mu.Lock()
	turn := s.scene.turn
	s.mu.Unlock()
	s.drawing.Lock()
	defer s.drawing.Unlock()
	if s.canvas.base == nil {
		return Geometry{Turn: turn}
	}
	return Geometry{s.canvas.base.Rect.Size(), turn}
}

// Prepare makes a picture ready for the screen as it is now, so that showing it takes no time: turned, scaled as fit says,
// over black. It may take a tenth of a second, and the stage goes on meanwhile. Nobody may change the picture any more.
func (s *Stage) Prepare(m image.Image, fit render.Mode) *Still {
	st := &Still{picture: m, fit: fit}
	st.prepare(s.cfg.Painter, s.Geometry())
	return st
}

// PrepareText is Prepare for a text that fills the screen.
func (s *Stage) PrepareText(text string) *Still {
	st := &Still{text: text}
	st.prepare(s.cfg.Painter, s.Geometry())
	return st
}

// Size is how large a picture is that fills the screen, in pixels, as people see it: upright.
func (s *Stage) Size() image.Point {
	g := s.Geometry()
	size := g.Turn.Size(g.Size)
	return image.Pt(max(size.X, 1), max(size.Y, 1))
}
