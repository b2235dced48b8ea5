package stage

import (
	"image"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/player/camera"
)

// canvas is what the screen shows: a base picture, and a camera's picture in or over it.
type canvas struct {
	base  *display.Image
	video *camera.Picture
	// over is where video is laid over base by the hardware; empty while it is drawn into base.
	over image.Rectangle
	// layout is what base was drawn for.
	layout layout
	// still and mode are a source's.
	still *Still
	mode  render.Mode
}

// layout is everything but the moving picture; as long as it stays, only that is drawn.
type layout struct {
	kind  Kind
	rect  image.Rectangle
	strip string
	// banner is part of it as it may reach beyond the picture.
	banner string
	plane  bool
}

// resize makes a base of the mode's size. The scene has to be drawn anew.
func (c *canvas) resize(info display.Info) {
	size := image.Rect(0, 0, info.Mode.Width, info.Mode.Height)
	if c.base == nil || c.base.Rect != size {
		c.base = display.NewImage(size)
	}
	c.layout = layout{}
}

// keep takes the camera's picture that is to be shown until the next one; nil for none.
func (c *canvas) keep(p *camera.Picture) {
	if c.video != nil && c.video != p {
		c.video.Release()
	}
	c.video, c.still = p, nil
}

// change takes what a source has changed.
func (c *canvas) change(n Change) {
	switch {
	case n.Still != nil:
		c.keep(nil)
		c.still = n.Still
	case n.Video != nil:
		c.keep(n.Video)
		c.mode = n.Fit
	}
}

// compose draws a scene and returns the frame that shows it. With planes the hardware lays video over the base.
func (c *canvas) compose(painter Painter, sc scene, planes bool) display.Frame {
	area, strip := c.base.Rect, image.Rectangle{}
	if sc.strip != "" {
		strip = area
		strip.Min.Y = area.Max.Y - max(min(area.Dx(), area.Dy())/16, 20)
		area.Max.Y = strip.Min.Y
	}
	switch {
	case sc.kind == ShowPicture:
		rect := fit(sc.picture.Bounds().Size(), area)
		c.arrange(painter, layout{kind: sc.kind, rect: rect, strip: sc.strip, banner: sc.banner}, strip)
		painter.Picture(c.base, rect, sc.picture)
		c.note(painter, rect, sc.note)
	case sc.kind == ShowProgram && c.still != nil:
		c.layout, c.over = layout{kind: sc.kind}, image.Rectangle{}
		copy(c.base.Pix, c.still.picture.Pix)
	case (sc.kind == ShowCamera || sc.kind == ShowProgram) && c.video != nil:
		rect := fit(shape(c.video), area)
		// What is said lies in the base, which planes are laid over: a picture with a note is drawn.
		plane := planes && sc.note == "" && sc.banner == ""
		fresh := c.arrange(painter, layout{sc.kind, rect, sc.strip, sc.banner, plane}, strip)
		v := yuv(c.video)
		if plane {
			c.over = rect
			f := display.Frame{Video: v, VideoRect: rect}
			if fresh {
				f.Base = c.base
			}
			return f
		}
		painter.Video(c.base, rect, v)
		c.note(painter, rect, sc.note)
	default:
		c.layout, c.over = layout{kind: sc.kind}, image.Rectangle{}
		painter.Status(c.base, sc.status)
	}
	if sc.banner != "" {
		painter.Banner(c.base, sc.banner)
	}
	return display.Frame{Base: c.base}
}

// arrange draws what lies around the picture, unless it is there already.
func (c *canvas) arrange(painter Painter, l layout, strip image.Rectangle) (fresh bool) {
	c.over = image.Rectangle{}
	if l == c.layout {
		return false
	}
	clear(c.base.Pix)
	if l.strip != "" {
		painter.Strip(c.base, strip, l.strip)
	}
	c.layout = l
	return true
}

func (c *canvas) note(painter Painter, rect image.Rectangle, text string) {
	if text != "" {
		painter.Note(c.base, rect.Intersect(c.base.Rect), text)
	}
}

// fit is the largest rectangle of size's shape in the middle of area. Sides are even, as video planes like them.
func fit(size image.Point, area image.Rectangle) image.Rectangle {
	if size.X <= 0 || size.Y <= 0 {
		return area
	}
	w, h := area.Dx(), area.Dy()
	if ideal := int(int64(w) * int64(size.Y) / int64(size.X)); ideal <= h {
		h = ideal
	} else {
		w = int(int64(h) * int64(size.X) / int64(size.Y))
	}
	// A pixel or two of border is worse than a picture that much out of shape.
	const border = 4
	if area.Dx()-w <= border {
		w = area.Dx()
	}
	if area.Dy()-h <= border {
		h = area.Dy()
	}
	w, h = max(w&^1, 2), max(h&^1, 2)
	corner := area.Min.Add(image.Pt((area.Dx()-w)/2, (area.Dy()-h)/2))
	return image.Rectangle{corner, corner.Add(image.Pt(w, h))}
}

// shape is a picture's size with square pixels.
func shape(p *camera.Picture) image.Point {
	size := p.Image.Rect.Size()
	if a := p.Info.SampleAspect; a[0] > 0 && a[1] > 0 {
		size.X = int(int64(size.X) * int64(a[0]) / int64(a[1]))
	}
	return size
}

func yuv(p *camera.Picture) *display.YUV {
	m := p.Image
	return &display.YUV{
		Y: m.Y, U: m.Cb, V: m.Cr, YStride: m.YStride, UVStride: m.CStride, Width: m.Rect.Dx(), Height: m.Rect.Dy(),
		FullRange: p.Info.FullRange, BT709: p.Info.Matrix == decode.BT709,
	}
}

// shot returns a copy of what is on the screen; nil before anything was drawn.
func (c *canvas) shot(painter Painter) *display.Image {
	if c.base == nil {
		return nil
	}
	m := display.NewImage(c.base.Rect)
	copy(m.Pix, c.base.Pix)
	if c.video != nil && !c.over.Empty() {
		painter.Video(m, c.over, yuv(c.video))
	}
	return m
}
