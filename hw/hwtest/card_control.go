package hwtest

import (
	"fmt"
	"image"
	"slices"

	"porthole/hw/internal/drm"
)

// Plug connects a display to plug number n (from 0); an EDID of nil is one that could not be read. The next probe finds
// it; Devices.Send tells the program that there is something to find.
func (c *Card) Plug(n int, edid []byte, modes ...Mode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &plugged{connected: true, edid: edid}
	for _, m := range modes {
		p.modes = append(p.modes, m.timing())
	}
	c.connectors[n].next = p
}

// Unplug disconnects plug number n.
func (c *Card) Unplug(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connectors[n].next = &plugged{}
}

// timing makes a mode's timing with a tenth of blanking each way.
func (m Mode) timing() drm.ModeInfo {
	w, h := uint16(m.Width), uint16(m.Height)
	t := drm.ModeInfo{
		HDisplay: w, HSyncStart: w + 8, HSyncEnd: w + 16, HTotal: w + w/10,
		VDisplay: h, VSyncStart: h + 2, VSyncEnd: h + 4, VTotal: h + h/10, VRefresh: uint32(m.RefreshHz), Type: drm.ModeTypeDriver,
	}
	t.Clock = uint32(int(t.HTotal) * int(t.VTotal) * m.RefreshHz / 1000)
	if m.Preferred {
		t.Type |= drm.ModeTypePreferred
	}
	if m.UserGiven {
		t.Type |= drm.ModeTypeUserDef
	}
	if m.Interlaced {
		t.Flags |= drm.ModeFlagInterlace
		t.Clock /= 2
	}
	copy(t.Name[:], fmt.Sprintf("%dx%d", m.Width, m.Height))
	return t
}

// Reject makes the hardware refuse modes.
func (c *Card) Reject(refused func(Mode) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reject = refused
}

// OldKernel takes away what came in Linux 6.8: framebuffers that stay when their owner has gone.
func (c *Card) OldKernel() { c.set(func() { c.oldKernel = true }) }

// Kill takes from all programs what the kernel takes from a dead one (drm_file_free). What they do afterwards has no effect.
func (c *Card) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.clients {
		c.bury(cl)
		cl.master = false
	}
}

// NoVblank makes flips complete at once, without a sequence number, as drivers do that have no vertical blanking.
func (c *Card) NoVblank() { c.set(func() { c.noVblank = true }) }

// NoYUVScaling leaves planes that take YUV, but do not scale.
func (c *Card) NoYUVScaling() { c.set(func() { c.noYUVScale = true }) }

// FailCommits makes the next commits (tests not counted) fail.
func (c *Card) FailCommits(errs ...error) { c.set(func() { c.faults = errs }) }

func (c *Card) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// HoldFlips keeps flips from completing until it is called with false.
func (c *Card) HoldFlips(hold bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = hold
	if !hold {
		for _, send := range c.held {
			send()
		}
		c.held = nil
	}
}

// DropFlips does the flips that are held back, but loses their events.
func (c *Card) DropFlips() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = nil
	c.forget()
	clear(c.pending)
}

// Commits returns all accepted commits that were not tests.
func (c *Card) Commits() []Commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.commits)
}

// Problems are things a program did that the kernel lets pass but a viewer sees, such as drawing into the buffer that is
// on the screen.
func (c *Card) Problems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkTearing()
	return slices.Clone(c.problems)
}

// Left counts what clients made and did not give back: framebuffers, buffers and blobs.
func (c *Card) Left() (framebuffers, buffers, blobs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.clients {
		blobs += len(cl.blobs)
	}
	return len(c.fbs), len(c.dumbs), blobs
}

// Leave puts a grey picture on plug number n, of a size of its own, as a program that has died since.
func (c *Card) Leave(n int, m Mode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &dumb{width: m.Width, height: m.Height, bpp: 32, pitch: 4 * m.Width, pix: make([]byte, 4*m.Width*m.Height)}
	for i := range d.pix {
		d.pix[i] = 0x80
	}
	fb := &framebuffer{id: c.id(), width: m.Width, height: m.Height, format: drm.FormatXRGB8888, pitches: [4]uint32{uint32(d.pitch)}, memory: d, left: true}
	c.fbs[fb.id] = fb
	blob := c.id()
	t := m.timing()
	c.blobs[blob] = bytesOf(&t)
	c.setValue(c.state, *c.crtcs[n], "ACTIVE", 1)
	c.setValue(c.state, *c.crtcs[n], "MODE_ID", uint64(blob))
	c.setValue(c.state, c.connectors[n].object, "CRTC_ID", uint64(c.crtcs[n].id))
	for _, p := range c.planes {
		if p.crtcs&(1<<n) != 0 {
			c.place(p.object, fb, c.crtcs[n].id, image.Rect(0, 0, m.Width, m.Height))
		}
	}
}

func (c *Card) place(o object, fb *framebuffer, crtc uint32, r image.Rectangle) {
	for name, v := range map[string]int{
		"FB_ID": int(fb.id), "CRTC_ID": int(crtc), "SRC_W": fb.width << 16, "SRC_H": fb.height << 16,
		"CRTC_X": r.Min.X, "CRTC_Y": r.Min.Y, "CRTC_W": r.Dx(), "CRTC_H": r.Dy(),
	} {
		c.setValue(c.state, o, name, uint64(int64(v)))
	}
}
