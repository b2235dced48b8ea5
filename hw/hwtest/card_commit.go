package hwtest

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/drm"
)

// atomic checks a commit as the kernel's core and the drivers do, and applies it.
func (c *Card) atomic(cl *client, a *drm.Atomic) error {
	switch {
	case !cl.atomic:
		return unix.EINVAL
	case !cl.master:
		return unix.EACCES
	case a.Flags&drm.CommitTestOnly != 0 && a.Flags&drm.CommitEvent != 0:
		return unix.EINVAL
	}
	next, touched, err := c.assign(a)
	if err != nil {
		return err
	}
	modeset := c.routing(c.state, touched) != c.routing(next, touched)
	if modeset && a.Flags&drm.CommitAllowModeset == 0 {
		return unix.EINVAL
	}
	if err := c.checkState(next); err != nil {
		return err
	}
	crtcs := c.affected(next, touched)
	if a.Flags&drm.CommitEvent != 0 {
		for _, o := range crtcs {
			if c.value(c.state, *o, "ACTIVE") == 0 && c.value(next, *o, "ACTIVE") == 0 {
				return unix.EINVAL
			}
		}
	}
	if a.Flags&drm.CommitTestOnly != 0 {
		return nil
	}
	if len(c.faults) > 0 {
		err := c.faults[0]
		c.faults = c.faults[1:]
		if err != nil {
			return err
		}
	}
	for _, o := range crtcs {
		if c.pending[o.id] {
			return unix.EBUSY // a blocking commit would wait; ours never needs to
		}
	}
	c.checkTearing()
	c.state = next
	c.remember()
	c.dropLeft()
	c.commits = append(c.commits, Commit{Modeset: modeset, Event: a.Flags&drm.CommitEvent != 0})
	if a.Flags&drm.CommitEvent == 0 {
		c.forget() // a blocking commit is done when it returns
	} else {
		for _, o := range crtcs {
			c.complete(cl, o.id, a.UserData, modeset)
		}
	}
	return nil
}

// assign returns the state after a commit's assignments and which objects it names.
func (c *Card) assign(a *drm.Atomic) (state, []uint32, error) {
	next := c.state.clone()
	objects := elements[uint32](a.ObjsPtr, a.CountObjs)
	counts := elements[uint32](a.CountPropsPtr, a.CountObjs)
	total := uint32(0)
	for _, n := range counts {
		total += n
	}
	props, values := elements[uint32](a.PropsPtr, total), elements[uint64](a.PropValuesPtr, total)
	for i, id := range objects {
		o, _ := c.find(id)
		if o == nil {
			return nil, nil, unix.ENOENT
		}
		for range counts[i] {
			p := c.props[props[0]]
			if p == nil || !slices.Contains(o.props, p.id) {
				return nil, nil, unix.ENOENT
			}
			if p.immutable {
				return nil, nil, unix.EINVAL
			}
			next[id][p.id] = values[0]
			props, values = props[1:], values[1:]
		}
	}
	return next, objects, nil
}

// routing sums up what only a modeset may change.
func (c *Card) routing(s state, _ []uint32) string {
	text := ""
	for _, o := range c.crtcs {
		text += fmt.Sprint(o.id, c.value(s, *o, "ACTIVE"), c.value(s, *o, "MODE_ID"), ";")
	}
	for _, n := range c.connectors {
		text += fmt.Sprint(n.id, c.value(s, n.object, "CRTC_ID"), ";")
	}
	return text
}

// affected lists the CRTCs that are part of a commit: named, or of planes and connectors that are named.
func (c *Card) affected(next state, touched []uint32) []*object {
	var list []*object
	for _, o := range c.crtcs {
		id := uint64(o.id)
		part := slices.ContainsFunc(touched, func(t uint32) bool {
			obj, _ := c.find(t)
			return t == o.id || c.value(c.state, *obj, "CRTC_ID") == id || c.value(next, *obj, "CRTC_ID") == id
		})
		if part {
			list = append(list, o)
		}
	}
	return list
}

func (c *Card) checkState(s state) error {
	for i, o := range c.crtcs {
		if err := c.checkCrtc(s, i, o); err != nil {
			return err
		}
	}
	for _, p := range c.planes {
		if err := c.checkPlane(s, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Card) checkCrtc(s state, i int, o *object) error {
	plugs := 0
	for j, n := range c.connectors {
		if c.value(s, n.object, "CRTC_ID") == uint64(o.id) {
			plugs++
			if j != i {
				return unix.EINVAL // connector n is fed by CRTC n only
			}
		}
	}
	m, ok := c.modeOf(s, o)
	if !ok {
		if c.value(s, *o, "ACTIVE") != 0 || plugs > 0 {
			return unix.EINVAL // drm_atomic_crtc_check: enabled means a mode
		}
		return nil
	}
	if plugs == 0 {
		return unix.EINVAL
	}
	hz := int(m.Clock) * 1000 / (int(m.HTotal) * int(m.VTotal))
	if c.reject != nil && c.value(s, *o, "ACTIVE") != 0 && c.reject(Mode{Width: int(m.HDisplay), Height: int(m.VDisplay), RefreshHz: hz}) {
		return unix.EINVAL
	}
	return nil
}

func (c *Card) modeOf(s state, o *object) (drm.ModeInfo, bool) {
	var m drm.ModeInfo
	b := c.blobs[uint32(c.value(s, *o, "MODE_ID"))]
	if uintptr(len(b)) != unsafe.Sizeof(m) {
		return m, false
	}
	_, err := binary.Decode(b, binary.NativeEndian, &m)
	return m, err == nil
}

// checkPlane keeps the rules of drm_atomic_plane_check and drm_atomic_helper_check_plane_state.
func (c *Card) checkPlane(s state, p *planeObject) error {
	v := func(name string) uint64 { return c.value(s, p.object, name) }
	fb, crtc := c.fbs[uint32(v("FB_ID"))], uint32(v("CRTC_ID"))
	if (v("FB_ID") == 0) != (crtc == 0) {
		return unix.EINVAL
	}
	if crtc == 0 {
		return nil
	}
	i := slices.IndexFunc(c.crtcs, func(o *object) bool { return o.id == crtc })
	if fb == nil || i < 0 || p.crtcs&(1<<i) == 0 || !slices.Contains(p.formats, fb.format) {
		return unix.EINVAL
	}
	if v("SRC_X")+v("SRC_W") > uint64(fb.width)<<16 || v("SRC_Y")+v("SRC_H") > uint64(fb.height)<<16 {
		return unix.ENOSPC
	}
	if v("CRTC_W") == 0 || v("CRTC_H") == 0 {
		return unix.ERANGE
	}
	scaled := v("SRC_W")>>16 != v("CRTC_W") || v("SRC_H")>>16 != v("CRTC_H")
	if scaled && (!p.scales || c.noYUVScale && fb.format == drm.FormatYUV420) {
		return unix.ERANGE
	}
	m, ok := c.modeOf(s, c.crtcs[i])
	if ok && p.primary && (v("CRTC_X") != 0 || v("CRTC_Y") != 0 || v("CRTC_W") != uint64(m.HDisplay) || v("CRTC_H") != uint64(m.VDisplay)) {
		return unix.EINVAL
	}
	return nil
}

// complete sends the event of a flip, at once unless held back.
func (c *Card) complete(cl *client, crtc uint32, userData uint64, modeset bool) {
	c.pending[crtc] = true
	send := func() {
		delete(c.pending, crtc)
		c.checkTearing()
		c.forget()
		c.sequence++
		at := now()
		if modeset {
			at -= time.Hour // the last refresh before the CRTC was off, as virtio-gpu and vkms answer
		}
		ev := drm.Event{Type: 2, Length: 32, UserData: userData, Sequence: c.sequence, Crtc: crtc}
		if c.noVblank {
			ev.Sequence = 0
		}
		ev.Sec, ev.Usec = uint32(at/time.Second), uint32(at%time.Second/time.Microsecond)
		if err := binary.Write(cl.events, binary.NativeEndian, ev); err != nil {
			c.problems = append(c.problems, fmt.Sprintf("nobody reads events: %v", err))
		}
	}
	if c.hold {
		c.held = append(c.held, send)
		return
	}
	send()
}

func (c *Card) hash(fb *framebuffer) uint64 { return maphash.Bytes(c.seed, fb.memory.pix) }

// remember notes what the buffers hold that are to be on the screen. Those that are now stay there until the flip.
func (c *Card) remember() {
	for id := range c.visible() {
		c.onScreen[id] = c.hash(c.fbs[id])
	}
}

// forget leaves buffers to their owner that are not on the screen any more.
func (c *Card) forget() {
	visible := c.visible()
	maps.DeleteFunc(c.onScreen, func(id uint32, _ uint64) bool { return !visible[id] })
}

func (c *Card) visible() map[uint32]bool {
	ids := make(map[uint32]bool)
	for _, p := range c.planes {
		if fb := c.fbs[uint32(c.value(c.state, p.object, "FB_ID"))]; fb != nil {
			ids[fb.id] = true
		}
	}
	return ids
}

// checkTearing notices buffers that were drawn into while they were on the screen.
func (c *Card) checkTearing() {
	for id, sum := range c.onScreen {
		if fb := c.fbs[id]; fb != nil && c.hash(fb) != sum {
			c.problems = append(c.problems, fmt.Sprintf("framebuffer %d changed while it was on the screen", id))
			c.onScreen[id] = c.hash(fb)
		}
	}
}
