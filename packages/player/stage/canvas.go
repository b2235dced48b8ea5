package stage

import (
	"image"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/player/camera"
)

// canvas is what the screen shows: a base picture, a moving picture in or over it, and while one scene gives way to
// another, what was there before.
type canvas struct {
	// base is what is drawn on; it has the screen's size.
	base *display.Image
	// video is the moving picture now: a camera's or a source's.
	video *camera.Picture
	// still and mode are a source's; mode is how video fills the screen.
	still *Still
	mode  render.Mode
	// layout is what base was drawn for.
	layout layout
	// turned is where moving pictures are turned, and mixed where pictures are that are mixed here.
	turned *image.YCbCr
	mixed  *display.Image
	desk   desk
	// frozen are used in turn for what was on the screen, and next says which.
	frozen [2]*display.Image
	next   int
	// from is what was on the screen before a source's item, nil for nothing; fade is how much of it is still seen, of 256.
	from *display.Image
	fade int

	// shown is the last frame, with its base also where the hardware was not given it again.
	shown display.Frame
}

// layout is everything but the moving picture; as long as it stays, only that is drawn.
type layout struct {
	kind   Kind
	status *Status
	still  *Still
	log    *logView
	rect   image.Rectangle
	strip  string
	// note and banner are part of it as they reach beyond the picture, or are drawn once.
	note, banner string
	plane        bool
	turn         render.Turn
}

// resize makes a base of the mode's size. The scene has to be drawn anew.
func (c *canvas) resize(info display.Info) {
	size := image.Rect(0, 0, info.Mode.Width, info.Mode.Height)
	if c.base == nil || c.base.Rect != size {
		c.base, c.mixed, c.frozen, c.from = display.NewImage(size), nil, [2]*display.Image{}, nil
		c.desk, c.turned = desk{}, nil
	}
	c.forget()
}

// forget lets the next frame say everything: what the screen shows now is not known.
func (c *canvas) forget() {
	c.layout, c.shown = layout{}, display.Frame{}
}

// keep takes the moving picture that is to be shown until the next one; nil for none.
func (c *canvas) keep(p *camera.Picture) {
	if c.video != nil && c.video != p {
		c.video.Release()
	}
	c.video, c.still, c.mode = p, nil, render.Fit
}

// change takes what a source has changed.
func (c *canvas) change(painter Painter, n Change) {
	if n.nothing() {
		return
	}
	if n.Begin {
		c.from = nil
		if n.Fading {
			c.freeze(painter)
		}
	}
	if c.fade = 0; n.Fading {
		c.fade = 256 - n.Share
	}
	switch {
	case n.Still != nil:
		c.keep(nil)
		c.still = n.Still
	case n.Video != nil:
		c.keep(n.Video)
		c.mode = n.Fit
	}
}

// freeze keeps what is on the screen now, for the next item to take its place little by little. It must come before keep,
// which takes away what that is made of.
func (c *canvas) freeze(painter Painter) {
	f := c.shown
	switch {
	case f.Base == nil || c.layout.log != nil:
		return // the next item is not seen to come
	case f.Video == nil && f.Veil == nil && f.Base != c.base && f.Base != c.mixed:
		c.from = f.Base // a still, which does not change
		return
	}
	c.next = 1 - c.next
	m := c.frozen[c.next]
	if m == nil {
		m = display.NewImage(c.base.Rect)
		c.frozen[c.next] = m
	}
	c.view(painter, m)
	c.from = m
}

// compose draws a scene and returns the frame that shows it.
func (c *canvas) compose(painter Painter, sc scene, info display.Info) display.Frame {
	if c.fade <= 0 || sc.kind != ShowProgram {
		c.from = nil
	}
	fading := c.from != nil && sc.log == nil
	f, drawn := c.content(painter, sc, info.VideoPlanes && (info.Veils || !fading))
	switch {
	case fading && info.Veils:
		f.Veil, f.VeilShare = c.from, min(c.fade, 256)
	case fading:
		if c.mixed == nil {
			c.mixed = display.NewImage(c.base.Rect)
		}
		mix(c.mixed, f.Base, c.from, c.fade)
		f.Base, drawn = c.mixed, true
	}
	same := !drawn && f.Base == c.shown.Base
	c.shown = f
	if same {
		f.Base = nil
	}
	return f
}

func mix(dst, a, b *display.Image, share int) {
	_ = render.Crossfade((*render.Image)(dst), (*render.Image)(a), (*render.Image)(b), share) // the sizes fit by construction
}

// content draws a scene, and says whether its base is another than it was.
func (c *canvas) content(painter Painter, sc scene, planes bool) (f display.Frame, drawn bool) {
	page := image.Rectangle{Max: sc.turn.Size(c.base.Rect.Size())}
	if sc.log != nil {
		return c.whole(layout{log: sc.log, banner: sc.banner, turn: sc.turn}, painter, page, func(m *display.Image) { painter.Log(m, sc.log.lines) })
	}
	area, strip := page, image.Rectangle{}
	if sc.strip != "" {
		strip = area
		strip.Min.Y = area.Max.Y - max(min(area.Dx(), area.Dy())/16, 20)
		area.Max.Y = strip.Min.Y
	}
	switch {
	case sc.kind == ShowPicture && sc.still != nil:
		return c.stillContent(painter, sc, sc.still, area, strip)
	case sc.kind == ShowProgram && c.still != nil:
		return c.stillContent(painter, sc, c.still, area, strip)
	case sc.kind != ShowStatus && c.video != nil:
		return c.videoContent(painter, sc, area, strip, planes)
	}
	status := sc.status
	if status == nil {
		status = &Status{}
	}
	return c.whole(layout{kind: ShowStatus, status: sc.status, banner: sc.banner, turn: sc.turn}, painter, page,
		func(m *display.Image) { painter.Status(m, *status) })
}

// whole draws something on all of the base, unless it is there already.
func (c *canvas) whole(l layout, painter Painter, page image.Rectangle, draw func(*display.Image)) (display.Frame, bool) {
	if l == c.layout {
		return display.Frame{Base: c.base}, false
	}
	c.desk.overlay(c.base, l.turn, page, func(m *display.Image) {
		draw(m)
		if l.banner != "" {
			painter.Banner(m, l.banner)
		}
	})
	c.layout = l
	return display.Frame{Base: c.base}, true
}

// stillContent shows a still as it was prepared, or draws it with what lies around and over it.
func (c *canvas) stillContent(painter Painter, sc scene, still *Still, area, strip image.Rectangle) (display.Frame, bool) {
	if sc.strip == "" && sc.note == "" && sc.banner == "" {
		return display.Frame{Base: still.prepare(painter, Geometry{c.base.Rect.Size(), sc.turn})}, false
	}
	l := layout{kind: sc.kind, still: still, strip: sc.strip, note: sc.note, banner: sc.banner, turn: sc.turn}
	if !c.arrange(painter, l, strip) {
		return display.Frame{Base: c.base}, false
	}
	rect := still.drawInto(painter, c.base, sc.turn, area)
	c.words(painter, sc, rect)
	return display.Frame{Base: c.base}, true
}

// videoContent shows the moving picture; with planes, the hardware lays it over the base.
func (c *canvas) videoContent(painter Painter, sc scene, area, strip image.Rectangle, planes bool) (display.Frame, bool) {
	v, rect := c.place(sc, area)
	on := sc.turn.Rect(rect, sc.turn.Size(c.base.Rect.Size()))
	// What is said lies in the base, which planes are laid over: a picture with a note is drawn.
	plane := planes && sc.note == "" && sc.banner == ""
	drawn := c.arrange(painter, layout{kind: sc.kind, rect: rect, strip: sc.strip, banner: sc.banner, plane: plane, turn: sc.turn}, strip)
	if plane {
		return display.Frame{Base: c.base, Video: v, VideoRect: on}, drawn
	}
	painter.Video(c.base, on, v)
	c.words(painter, sc, rect)
	return display.Frame{Base: c.base}, true
}

// arrange draws what lies around the picture, unless it is there already.
func (c *canvas) arrange(painter Painter, l layout, strip image.Rectangle) (fresh bool) {
	if l == c.layout {
		return false
	}
	clear(c.base.Pix)
	if l.strip != "" {
		c.desk.overlay(c.base, l.turn, strip, func(m *display.Image) { painter.Strip(m, strip, l.strip) })
	}
	c.layout = l
	return true
}

// words lays what is said over a picture in rect, which is where it lies before the base was turned.
func (c *canvas) words(painter Painter, sc scene, rect image.Rectangle) {
	if sc.note == "" && sc.banner == "" {
		return
	}
	page := image.Rectangle{Max: sc.turn.Size(c.base.Rect.Size())}
	c.desk.overlay(c.base, sc.turn, page, func(m *display.Image) {
		if sc.note != "" {
			painter.Note(m, rect.Intersect(page), sc.note)
		}
		if sc.banner != "" {
			painter.Banner(m, sc.banner)
		}
	})
}

// view draws what a viewer sees now into m, which has the screen's size.
func (c *canvas) view(painter Painter, m *display.Image) {
	f := c.shown
	copy(m.Pix, f.Base.Pix)
	if f.Video != nil {
		painter.Video(m, f.VideoRect, f.Video)
	}
	if f.Veil != nil {
		mix(m, m, f.Veil, f.VeilShare)
	}
}

// shot returns a copy of what is on the screen, standing upright; nil before anything was drawn.
func (c *canvas) shot(painter Painter, turn render.Turn) *display.Image {
	if c.shown.Base == nil {
		return nil
	}
	m := display.NewImage(c.base.Rect)
	c.view(painter, m)
	if turn == 0 {
		return m
	}
	upright := display.NewImage(image.Rectangle{Max: turn.Size(m.Rect.Size())})
	rotate(upright, m, turn.Back())
	return upright
}
