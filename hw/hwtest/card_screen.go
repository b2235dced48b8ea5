package hwtest

import (
	"cmp"
	"encoding/binary"
	"image"
	"image/color"
	"slices"

	"porthole/hw/internal/drm"
	"porthole/hw/internal/pixel"
)

// Screen composes what a display at plug number n shows, or returns nil when it gets no signal.
func (c *Card) Screen(n int) *image.RGBA {
	c.mu.Lock()
	defer c.mu.Unlock()
	crtc := uint32(c.value(c.state, c.connectors[n].object, "CRTC_ID"))
	i := slices.IndexFunc(c.crtcs, func(o *object) bool { return o.id == crtc })
	if i < 0 || c.value(c.state, *c.crtcs[i], "ACTIVE") == 0 {
		return nil
	}
	m, ok := c.modeOf(c.state, c.crtcs[i])
	if !ok {
		return nil
	}
	img := image.NewRGBA(image.Rect(0, 0, int(m.HDisplay), int(m.VDisplay)))
	for j := 3; j < len(img.Pix); j += 4 {
		img.Pix[j] = 255
	}
	order := slices.Clone(c.planes)
	slices.SortStableFunc(order, func(a, b *planeObject) int {
		return cmp.Compare(c.value(c.state, a.object, "zpos"), c.value(c.state, b.object, "zpos"))
	})
	for _, p := range order {
		fb := c.fbs[uint32(c.value(c.state, p.object, "FB_ID"))]
		if fb != nil && uint32(c.value(c.state, p.object, "CRTC_ID")) == crtc {
			c.compose(img, p, fb)
		}
	}
	return img
}

// compose draws one plane, nearest neighbour. It knows the rotations 0 and 180 degrees.
func (c *Card) compose(img *image.RGBA, p *planeObject, fb *framebuffer) {
	v := func(name string) int { return int(int64(c.value(c.state, p.object, name))) }
	at := image.Rect(v("CRTC_X"), v("CRTC_Y"), v("CRTC_X")+v("CRTC_W"), v("CRTC_Y")+v("CRTC_H"))
	alpha := 0xffff
	if len(p.props) > 0 && slices.ContainsFunc(p.props, func(id uint32) bool { return c.props[id].name == "alpha" }) {
		alpha = v("alpha")
	}
	visible := at.Intersect(img.Rect)
	for y := visible.Min.Y; y < visible.Max.Y; y++ {
		for x := visible.Min.X; x < visible.Max.X; x++ {
			sx, sy := (x-at.Min.X)*(v("SRC_W")>>16)/at.Dx(), (y-at.Min.Y)*(v("SRC_H")>>16)/at.Dy()
			if v("rotation") == 4 { // DRM_MODE_ROTATE_180
				sx, sy = fb.width-1-sx, fb.height-1-sy
			}
			r, g, b := fb.at(sx, sy, v("COLOR_RANGE") == 1, v("COLOR_ENCODING") == 1)
			under := img.RGBAAt(x, y)
			mix := func(top, below byte) byte { return byte((int(top)*alpha + int(below)*(0xffff-alpha)) / 0xffff) }
			img.SetRGBA(x, y, color.RGBA{R: mix(r, under.R), G: mix(g, under.G), B: mix(b, under.B), A: 255})
		}
	}
}

func (fb *framebuffer) at(x, y int, full, bt709 bool) (r, g, b byte) {
	pix := func(i, x, y, size int) []byte {
		return fb.memory.pix[int(fb.offsets[i])+y*int(fb.pitches[i])+x*size:]
	}
	if fb.format == drm.FormatXRGB8888 {
		p := pix(0, x, y, 4)
		return p[2], p[1], p[0]
	}
	return pixel.RGB(pix(0, x, y, 1)[0], pix(1, x/2, y/2, 1)[0], pix(2, x/2, y/2, 1)[0], full, bt709)
}

// EDID builds a display's self-description: three letters for the maker, up to 13 characters for the name, the picture's
// size. The layout is that of VESA EDID 1.4, section 3.
func EDID(maker, name string, widthMM, heightMM int) []byte {
	b := make([]byte, 128)
	copy(b, []byte{0, 255, 255, 255, 255, 255, 255, 0})
	var id uint16
	for _, r := range maker {
		id = id<<5 | uint16(r-'A'+1)
	}
	binary.BigEndian.PutUint16(b[8:], id)
	b[18], b[19] = 1, 4
	b[21], b[22] = byte(widthMM/10), byte(heightMM/10)
	timing := b[54:72]
	timing[0], timing[1] = 0x02, 0x3a // 148.5 MHz
	timing[12], timing[13] = byte(widthMM), byte(heightMM)
	timing[14] = byte(widthMM>>8)<<4 | byte(heightMM>>8)
	text := b[72:90]
	text[3] = 0xfc
	copy(text[5:], "             ")
	if n := copy(text[5:], name); n < 13 {
		text[5+n] = '\n'
	}
	var sum byte
	for _, v := range b {
		sum += v
	}
	b[127] = -sum
	return b
}
