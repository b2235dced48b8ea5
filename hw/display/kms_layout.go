package display

import (
	"errors"
	"fmt"
	"image"
	"slices"

	"porthole/hw/internal/drm"
)

// layout is how one plug is driven: which CRTC, planes, mode and base buffers. It was accepted by the kernel in a test
// commit, unless nothing is plugged in.
type layout struct {
	out     output
	crtc    object
	primary plane
	video   *plane // nil when the hardware has none that scales YUV
	veil    *plane // nil when the hardware has none that is transparent
	info    drm.ModeInfo
	mode    Mode
	blob    uint32
	base    [2]*drm.Buffer
}

// scene is what is on the screen, or is to be.
type scene struct {
	base  *drm.Buffer
	video *drm.Buffer // nil for none
	rect  image.Rectangle
	full  bool
	bt709 bool
	veil  *drm.Buffer // nil for none
	share int         // of veil, of 256
}

// buffers are those that a scene shows.
func (sc scene) buffers() []*drm.Buffer {
	list := []*drm.Buffer{sc.base}
	for _, b := range []*drm.Buffer{sc.video, sc.veil} {
		if b != nil {
			list = append(list, b)
		}
	}
	return list
}

// fit finds a layout for a plug: the first wanted mode that the kernel accepts. A television that is switched on again, and
// does not answer yet, gets the mode that it had. Buffers of old are used again when they have the right size.
func (s *kms) fit(out output, old *layout) (*layout, error) {
	list := candidates(out.modes, s.opts.Mode, out.silent())
	if len(list) == 0 {
		list = []drm.ModeInfo{cea1080p60()} // nothing plugged in: what to expect
		if old != nil {
			list[0] = old.info
		}
	}
	if m, ok := s.told[out.id]; ok && out.silent() && !matches(mode(list[0]), s.opts.Mode) {
		list = slices.Insert(list, 0, m)
	}
	var errs []error
	for _, m := range list {
		for i := range s.board.crtcs {
			if out.crtcs&(1<<i) == 0 {
				continue
			}
			l, err := s.try(out, i, m, old)
			if err == nil {
				if out.connected() && !out.silent() {
					s.told[out.id] = m
				}
				return l, nil
			}
			errs = append(errs, err)
		}
	}
	return nil, fmt.Errorf("no mode of %s works: %w", out.name, errors.Join(errs...))
}

// try makes a layout with CRTC number i and mode m, and asks the kernel whether it would do.
func (s *kms) try(out output, i int, m drm.ModeInfo, old *layout) (*layout, error) {
	l := &layout{out: out, crtc: s.board.crtcs[i], info: m, mode: mode(m)}
	found := false
	for _, p := range s.board.planes {
		if p.is(planePrimary, i, drm.FormatXRGB8888) {
			l.primary, found = p, true
			break
		}
	}
	if !found || !l.crtc.has("ACTIVE", "MODE_ID") {
		return nil, fmt.Errorf("CRTC %d has no primary plane: %w", l.crtc.id, drm.ErrUnsuitable)
	}
	if err := s.equip(l, old); err != nil {
		s.discard(l, old)
		return nil, err
	}
	if err := s.test(l, scene{base: l.base[0]}); err != nil && out.connected() {
		s.discard(l, old)
		return nil, fmt.Errorf("mode %s: %w", l.mode, err)
	}
	if s.opts.Prefer != KindPrimary {
		l.video = s.findVideo(l, i)
		l.veil = s.findVeil(l, i)
	}
	return l, nil
}

// equip gives a layout its mode blob and buffers.
func (s *kms) equip(l, old *layout) error {
	var err error
	if l.blob, err = s.board.card.CreateModeBlob(l.info); err != nil {
		return err
	}
	if old != nil && old.mode.Width == l.mode.Width && old.mode.Height == l.mode.Height {
		l.base = old.base
		return nil
	}
	for i := range l.base {
		if l.base[i], err = s.board.card.NewXRGB(l.mode.Width, l.mode.Height); err != nil {
			return err
		}
	}
	return nil
}

// discard frees what l holds, except for what keep holds too.
func (s *kms) discard(l, keep *layout) {
	if l.blob != 0 {
		_ = s.board.card.DestroyBlob(l.blob) // closing the card does what is left
	}
	if keep != nil && keep.base == l.base {
		return
	}
	for _, b := range l.base {
		if b != nil {
			s.board.card.Free(b)
		}
	}
}

func (s *kms) test(l *layout, sc scene) error {
	r := &drm.Request{}
	if err := errors.Join(s.attach(sc), s.board.rivals(r, l.crtc.id, l.out.id), s.modeset(r, l, sc)); err != nil {
		return err
	}
	return s.board.card.Commit(r, drm.CommitTestOnly|drm.CommitAllowModeset, 0)
}

// The size of the video that planes are tried with: one that has to be scaled to any mode.
const probeWidth, probeHeight = 640, 360

// findVideo returns the first overlay plane above the primary one that scales YUV to the whole screen, or nil.
func (s *kms) findVideo(l *layout, crtc int) *plane {
	var buf *drm.Buffer
	for _, p := range s.board.planes {
		if !p.is(planeOverlay, crtc, drm.FormatYUV420) || !p.above(l.primary) {
			continue
		}
		if buf == nil {
			var err error
			if buf, err = s.board.card.NewYUV420(probeWidth, probeHeight); err != nil {
				return nil
			}
			defer s.board.card.Free(buf)
		}
		l.video = &p
		if s.test(l, scene{base: l.base[0], video: buf, rect: image.Rect(0, 0, l.mode.Width, l.mode.Height)}) == nil {
			return &p
		}
		l.video = nil
	}
	return nil
}

// findVeil returns the first overlay plane above the others that can be transparent to any degree, or nil.
func (s *kms) findVeil(l *layout, crtc int) *plane {
	passed := l.video == nil
	for _, p := range s.board.planes {
		if l.video != nil && p.id == l.video.id {
			passed = true
			continue
		}
		a, ok := p.props["alpha"]
		if !ok || a.Immutable || !p.is(planeOverlay, crtc, drm.FormatXRGB8888) || !p.above(l.primary) || !passed && !p.has("zpos") {
			continue
		}
		l.veil = &p
		if s.test(l, scene{base: l.base[0], veil: l.base[1], share: 128}) == nil {
			return &p
		}
		l.veil = nil
	}
	return nil
}

// above tells whether a plane is or can be put above another. Without a zpos the kernel's order holds: overlays above.
func (p plane) above(q plane) bool {
	z, ok := p.props["zpos"]
	return !ok || !z.Immutable || z.Value > q.props["zpos"].Value
}

// modeset adds to r what makes a layout and a scene the only thing on its CRTC.
func (s *kms) modeset(r *drm.Request, l *layout, sc scene) error {
	if err := s.board.planesOff(r, func(on uint32) bool { return on == l.crtc.id }); err != nil {
		return err
	}
	l.out.set(r, "CRTC_ID", uint64(l.crtc.id))
	l.crtc.set(r, "MODE_ID", uint64(l.blob))
	l.crtc.set(r, "ACTIVE", 1)
	l.primary.neutral(r)
	l.primary.show(r, l.crtc.id, sc.base, image.Rect(0, 0, l.mode.Width, l.mode.Height))
	s.showVideo(r, l, sc)
	s.showVeil(r, l, sc)
	return nil
}

// flip is the commit that replaces scene old by sc.
func (s *kms) flip(l *layout, old, sc scene) *drm.Request {
	r := &drm.Request{}
	// Always part of the commit: the completion event then comes with the refresh of this CRTC.
	l.primary.set(r, "FB_ID", uint64(sc.base.FB))
	if old.video != nil || sc.video != nil {
		s.showVideo(r, l, sc)
	}
	if old.veil != nil || sc.veil != nil {
		s.showVeil(r, l, sc)
	}
	return r
}

func (s *kms) showVideo(r *drm.Request, l *layout, sc scene) {
	switch {
	case l.video == nil:
	case sc.video == nil:
		l.video.off(r)
	default:
		l.video.neutral(r)
		l.video.set(r, "zpos", l.primary.props["zpos"].Value+1)
		// Names of drivers/gpu/drm/drm_color_mgmt.c.
		l.video.setEnum(r, "COLOR_ENCODING", choose(sc.bt709, "ITU-R BT.709 YCbCr", "ITU-R BT.601 YCbCr"))
		l.video.setEnum(r, "COLOR_RANGE", choose(sc.full, "YCbCr full range", "YCbCr limited range"))
		l.video.show(r, l.crtc.id, sc.video, sc.rect)
	}
}

func (s *kms) showVeil(r *drm.Request, l *layout, sc scene) {
	switch {
	case l.veil == nil:
	case sc.veil == nil:
		l.veil.off(r)
	default:
		l.veil.set(r, "rotation", rotate0)
		l.veil.set(r, "alpha", uint64(sc.share)*0xffff/256)
		l.veil.set(r, "zpos", l.primary.props["zpos"].Value+2)
		l.veil.show(r, l.crtc.id, sc.veil, image.Rect(0, 0, l.mode.Width, l.mode.Height))
	}
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// rotate0 is DRM_MODE_ROTATE_0 (include/uapi/drm/drm_mode.h).
const rotate0 = 1

// neutral undoes what a former user may have left: rotation and transparency (drivers/gpu/drm/drm_blend.c).
func (p plane) neutral(r *drm.Request) {
	p.set(r, "rotation", rotate0)
	p.set(r, "alpha", 0xffff)
}

// show puts all of a buffer into rect; the source is in 16.16 fixed point.
func (p plane) show(r *drm.Request, crtc uint32, b *drm.Buffer, rect image.Rectangle) {
	p.set(r, "FB_ID", uint64(b.FB))
	p.set(r, "CRTC_ID", uint64(crtc))
	p.set(r, "SRC_X", 0)
	p.set(r, "SRC_Y", 0)
	p.set(r, "SRC_W", uint64(b.Width)<<16)
	p.set(r, "SRC_H", uint64(b.Height)<<16)
	p.set(r, "CRTC_X", uint64(int64(rect.Min.X)))
	p.set(r, "CRTC_Y", uint64(int64(rect.Min.Y)))
	p.set(r, "CRTC_W", uint64(rect.Dx()))
	p.set(r, "CRTC_H", uint64(rect.Dy()))
}
