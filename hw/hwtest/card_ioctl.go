package hwtest

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/drm"
)

// ioctl implements node.
func (c *Card) ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.clients[f]
	if cl == nil {
		return unix.EBADF // closed meanwhile
	}
	switch request {
	case drm.IoctlVersion:
		v := (*drm.Version)(arg)
		copy(elements[byte](v.NamePtr, uint32(v.NameLen)), c.driver)
		v.NameLen = uint64(len(c.driver))
		return nil
	case drm.IoctlGetCap:
		if len(c.crtcs) == 0 {
			return unix.EOPNOTSUPP
		}
		(*drm.Cap)(arg).Value = 1
		return nil
	case drm.IoctlSetClientCap:
		a := (*drm.Cap)(arg)
		cl.planes = cl.planes || a.Capability == 2 // DRM_CLIENT_CAP_UNIVERSAL_PLANES
		cl.atomic = cl.atomic || a.Capability == 3 // DRM_CLIENT_CAP_ATOMIC
		return nil
	case drm.IoctlSetMaster:
		if !cl.master {
			return unix.EACCES
		}
		return nil
	case drm.IoctlDropMaster:
		if !cl.master {
			return unix.EINVAL
		}
		cl.master = false
		return nil
	case drm.IoctlAtomic:
		return c.atomic(cl, (*drm.Atomic)(arg))
	}
	if handled, err := c.query(cl, request, arg); handled {
		return err
	}
	return c.memory(cl, request, arg)
}

// query answers questions.
func (c *Card) query(cl *client, request uintptr, arg unsafe.Pointer) (bool, error) {
	switch request {
	case drm.IoctlGetResources:
		if len(c.crtcs) == 0 {
			return true, unix.EOPNOTSUPP
		}
		a := (*drm.CardRes)(arg)
		give(a.CrtcIDPtr, &a.CountCrtcs, ids(c.crtcs, func(o *object) uint32 { return o.id }))
		give(a.ConnectorIDPtr, &a.CountConnectors, ids(c.connectors, func(o *connector) uint32 { return o.id }))
		a.MinWidth, a.MinHeight, a.MaxWidth, a.MaxHeight = 0, 0, uint32(c.max), uint32(c.max)
	case drm.IoctlGetEncoder:
		// Encoder n belongs to connector n and is fed by CRTC n.
		a := (*drm.GetEncoder)(arg)
		i := int(a.EncoderID) - 1
		if i < 0 || i >= len(c.connectors) {
			return true, unix.ENOENT
		}
		a.PossibleCrtcs = 1 << min(i, len(c.crtcs)-1)
	case drm.IoctlGetConnector:
		return true, c.getConnector(cl, (*drm.GetConnector)(arg))
	case drm.IoctlGetPlaneRes:
		a := (*drm.GetPlaneRes)(arg)
		if !cl.planes {
			return true, unix.EINVAL
		}
		give(a.PlaneIDPtr, &a.CountPlanes, ids(c.planes, func(p *planeObject) uint32 { return p.id }))
	case drm.IoctlGetPlane:
		a := (*drm.GetPlane)(arg)
		i := slices.IndexFunc(c.planes, func(p *planeObject) bool { return p.id == a.PlaneID })
		if i < 0 {
			return true, unix.ENOENT
		}
		p := c.planes[i]
		give(a.FormatPtr, &a.CountFormats, p.formats)
		a.PossibleCrtcs = p.crtcs
		a.CrtcID, a.FBID = uint32(c.value(c.state, p.object, "CRTC_ID")), uint32(c.value(c.state, p.object, "FB_ID"))
	case drm.IoctlObjGetProperties:
		a := (*drm.ObjGetProperties)(arg)
		o, _ := c.find(a.ObjID)
		if o == nil {
			return true, unix.ENOENT
		}
		room := a.CountProps
		values := make([]uint64, len(o.props))
		for i, id := range o.props {
			values[i] = c.state[o.id][id]
		}
		give(a.PropsPtr, &a.CountProps, o.props)
		give(a.PropValuesPtr, &room, values)
	case drm.IoctlGetProperty:
		a := (*drm.GetProperty)(arg)
		p := c.props[a.PropID]
		if p == nil {
			return true, unix.ENOENT
		}
		copy(a.Name[:], p.name)
		a.Flags = 0
		if p.immutable {
			a.Flags |= drm.PropImmutable
		}
		if len(p.enums) > 0 {
			a.Flags |= drm.PropEnum
		}
		give(a.EnumBlobPtr, &a.CountEnumBlobs, p.enums)
		give(a.ValuesPtr, &a.CountValues, make([]uint64, len(p.enums)))
	case drm.IoctlGetPropBlob:
		a := (*drm.GetBlob)(arg)
		b, ok := c.blobs[a.BlobID]
		if !ok {
			return true, unix.ENOENT
		}
		give(a.Data, &a.Length, b)
	default:
		return false, nil
	}
	return true, nil
}

func ids[T any](list []T, id func(T) uint32) []uint32 {
	var out []uint32
	for _, o := range list {
		out = append(out, id(o))
	}
	return out
}

// getConnector looks at the wire when there is no room for modes (drm_mode_getconnector).
func (c *Card) getConnector(cl *client, a *drm.GetConnector) error {
	i := slices.IndexFunc(c.connectors, func(n *connector) bool { return n.id == a.ConnectorID })
	if i < 0 {
		return unix.ENOENT
	}
	n := c.connectors[i]
	if a.CountModes == 0 && cl.master && n.next != nil {
		n.state, n.modes = drm.Disconnected, nil
		c.setValue(c.state, n.object, "EDID", 0)
		if n.next.connected {
			n.state, n.modes = drm.Connected, n.next.modes
			if n.next.edid != nil {
				id := c.id()
				c.blobs[id] = n.next.edid
				c.setValue(c.state, n.object, "EDID", uint64(id))
			}
		}
		n.next = nil
	}
	give(a.ModesPtr, &a.CountModes, n.modes)
	give(a.EncodersPtr, &a.CountEncoders, []uint32{uint32(i + 1)})
	a.ConnectorType, a.ConnectorTypeID, a.Connection = n.kind, n.typeID, n.state
	return nil
}

// find returns any object by id; plane is set for planes.
func (c *Card) find(id uint32) (o *object, p *planeObject) {
	for _, o := range c.crtcs {
		if o.id == id {
			return o, nil
		}
	}
	for _, n := range c.connectors {
		if n.id == id {
			return &n.object, nil
		}
	}
	for _, p := range c.planes {
		if p.id == id {
			return &p.object, p
		}
	}
	return nil, nil
}

// dumb is one buffer in memory.
type dumb struct {
	width, height, bpp, pitch int
	pix                       []byte
}

// framebuffer is a buffer made known to the display.
type framebuffer struct {
	id               uint32
	width, height    int
	format           uint32
	pitches, offsets [4]uint32
	memory           *dumb
	left             bool // its owner let go of it: it lives while a plane shows it
}

// memory handles buffers, framebuffers and blobs.
func (c *Card) memory(cl *client, request uintptr, arg unsafe.Pointer) error {
	switch request {
	case drm.IoctlCreateDumb:
		a := (*drm.CreateDumb)(arg)
		// Lines are padded, so that nobody takes the width for the pitch.
		d := &dumb{width: int(a.Width), height: int(a.Height), bpp: int(a.BPP), pitch: (int(a.Width)*int(a.BPP)/8 + 127) / 64 * 64}
		d.pix = make([]byte, d.pitch*d.height)
		a.Handle, a.Pitch, a.Size = c.id(), uint32(d.pitch), uint64(len(d.pix))
		c.dumbs[a.Handle] = d
		cl.dumbs[a.Handle] = true
	case drm.IoctlMapDumb:
		a := (*drm.MapDumb)(arg)
		if !cl.dumbs[a.Handle] {
			return unix.ENOENT
		}
		a.Offset = uint64(a.Handle) << 32
	case drm.IoctlDestroyDumb:
		h := *(*uint32)(arg)
		if !cl.dumbs[h] {
			return unix.EINVAL
		}
		delete(cl.dumbs, h)
		delete(c.dumbs, h)
	case drm.IoctlAddFB2:
		return c.addFB(cl, (*drm.FBCmd2)(arg))
	case drm.IoctlRmFB:
		id := *(*uint32)(arg)
		if !cl.fbs[id] {
			return unix.ENOENT
		}
		delete(cl.fbs, id)
		c.removeFB(id)
	case drm.IoctlCloseFB:
		id := (*drm.CloseFB)(arg).FBID
		if c.oldKernel {
			return unix.EINVAL
		}
		if !cl.fbs[id] {
			return unix.ENOENT
		}
		delete(cl.fbs, id)
		c.fbs[id].left = true
		c.dropLeft()
	case drm.IoctlCreatePropBlob:
		a := (*drm.CreateBlob)(arg)
		a.BlobID = c.id()
		c.blobs[a.BlobID] = slices.Clone(elements[byte](a.Data, a.Length))
		cl.blobs[a.BlobID] = true
	case drm.IoctlDestroyPropBlob:
		id := *(*uint32)(arg)
		if !cl.blobs[id] {
			return unix.EPERM
		}
		delete(cl.blobs, id) // a CRTC that uses it keeps it
	default:
		c.problems = append(c.problems, fmt.Sprintf("unknown request %#x", request))
		return unix.ENOTTY
	}
	return nil
}

// addFB checks as framebuffer_check in drivers/gpu/drm/drm_framebuffer.c and the memory managers do.
func (c *Card) addFB(cl *client, a *drm.FBCmd2) error {
	type component struct{ div, bytes int }
	components := map[uint32][]component{
		drm.FormatXRGB8888: {{1, 4}},
		drm.FormatYUV420:   {{1, 1}, {2, 1}, {2, 1}},
	}[a.PixelFormat]
	if components == nil || int(a.Width) > c.max || int(a.Height) > c.max || a.Width == 0 || a.Height == 0 {
		return unix.EINVAL
	}
	if !slices.ContainsFunc(c.planes, func(p *planeObject) bool { return slices.Contains(p.formats, a.PixelFormat) }) {
		return unix.EINVAL
	}
	fb := &framebuffer{width: int(a.Width), height: int(a.Height), format: a.PixelFormat, pitches: a.Pitches, offsets: a.Offsets}
	for i, p := range components {
		d := c.dumbs[a.Handles[i]]
		if d == nil || !cl.dumbs[a.Handles[i]] || i > 0 && a.Handles[i] != a.Handles[0] {
			return unix.ENOENT
		}
		w, h := (fb.width+p.div-1)/p.div, (fb.height+p.div-1)/p.div
		pitch := int(a.Pitches[i])
		if pitch < w*p.bytes || int(a.Offsets[i])+(h-1)*pitch+w*p.bytes > len(d.pix) {
			return unix.EINVAL
		}
		fb.memory = d
	}
	fb.id = c.id()
	a.FBID = fb.id
	c.fbs[fb.id], cl.fbs[fb.id] = fb, true
	return nil
}

// removeFB takes a framebuffer from the screen (drm_framebuffer_remove): planes go off, and with the primary plane the
// whole CRTC.
func (c *Card) removeFB(id uint32) {
	c.checkTearing()
	for _, p := range c.planes {
		if c.value(c.state, p.object, "FB_ID") != uint64(id) {
			continue
		}
		crtc := uint32(c.value(c.state, p.object, "CRTC_ID"))
		c.setValue(c.state, p.object, "FB_ID", 0)
		c.setValue(c.state, p.object, "CRTC_ID", 0)
		if o, _ := c.find(crtc); o != nil && p.primary {
			c.setValue(c.state, *o, "ACTIVE", 0)
		}
	}
	delete(c.fbs, id)
	delete(c.onScreen, id)
}

// dropLeft frees framebuffers that nobody owns and no plane shows.
func (c *Card) dropLeft() {
	for id, fb := range c.fbs {
		shown := slices.ContainsFunc(c.planes, func(p *planeObject) bool { return c.value(c.state, p.object, "FB_ID") == uint64(id) })
		if fb.left && !shown {
			delete(c.fbs, id)
		}
	}
}

func bytesOf[T any](v *T) []byte {
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)))
}
