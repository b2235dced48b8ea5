package hwtest

import (
	"hash/maphash"
	"maps"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/drm"
)

// Card is a display card: it keeps the kernel's rules for atomic commits, and composes what a viewer would see.
type Card struct {
	devices *Devices

	mu         sync.Mutex // guards what follows
	driver     string
	max        int
	noVblank   bool
	noYUVScale bool
	oldKernel  bool
	nextID     uint32
	props      map[uint32]*property
	crtcs      []*object
	connectors []*connector
	planes     []*planeObject
	state      state
	clients    map[*os.File]*client
	fbs        map[uint32]*framebuffer
	dumbs      map[uint32]*dumb
	blobs      map[uint32][]byte
	pending    map[uint32]bool // CRTCs with a flip under way
	held       []func()        // events held back
	hold       bool
	sequence   uint32
	faults     []error
	reject     func(Mode) bool
	commits    []Commit
	problems   []string
	seed       maphash.Seed
	onScreen   map[uint32]uint64 // hash of each buffer on the screen, when it was handed over
}

// Mode is a mode a display offers.
type Mode struct {
	Width, Height, RefreshHz         int
	Preferred, Interlaced, UserGiven bool
}

// Commit is one accepted commit that was not a test.
type Commit struct {
	Modeset, Event bool
}

type property struct {
	id        uint32
	name      string
	immutable bool
	enums     []drm.PropertyEnum
}

type object struct {
	id    uint32
	props []uint32
}

type connector struct {
	object
	kind, typeID, state uint32
	modes               []drm.ModeInfo
	next                *plugged // what a probe will find
}

type plugged struct {
	connected bool
	edid      []byte
	modes     []drm.ModeInfo
}

type planeObject struct {
	object
	crtcs   uint32
	formats []uint32
	primary bool
	scales  bool
}

// state is the value of each property of each object.
type state map[uint32]map[uint32]uint64

func (s state) clone() state {
	c := make(state, len(s))
	for id, values := range s {
		c[id] = maps.Clone(values)
	}
	return c
}

// client is one opened file.
type client struct {
	events  *os.File // where its events are written
	master  bool
	planes  bool
	atomic  bool
	fbs     map[uint32]bool
	dumbs   map[uint32]bool
	blobs   map[uint32]bool
	leaving map[uint32]bool
}

// NewVC4 adds a card like a Raspberry Pi's: two HDMI plugs, a CRTC each, planes that scale YUV. Nothing is plugged in.
func NewVC4(d *Devices) *Card {
	c := newCard(d, "vc4", "dev/dri/card1", 7680)
	for i := range 2 {
		c.addCrtc()
		c.addConnector(drm.ConnectorHDMIA, uint32(i+1))
		c.addPlane(planeConfig{primary: true, crtcs: 1 << i, formats: []uint32{drm.FormatXRGB8888}, scales: true})
	}
	for range 3 {
		c.addPlane(planeConfig{crtcs: 3, formats: []uint32{drm.FormatXRGB8888, drm.FormatYUV420}, scales: true, blends: true})
	}
	return c
}

// NewVirtio adds a card like QEMU's: one plug, one plane. Nothing is plugged in.
func NewVirtio(d *Devices) *Card {
	c := newCard(d, "virtio_gpu", "dev/dri/card0", 16384)
	c.addCrtc()
	c.addConnector(drm.ConnectorVirtual, 1)
	c.addPlane(planeConfig{primary: true, crtcs: 1, formats: []uint32{drm.FormatXRGB8888}})
	return c
}

// NewRenderOnly adds a card without outputs, such as the Pi's 3D unit.
func NewRenderOnly(d *Devices) *Card {
	return newCard(d, "v3d", "dev/dri/card0", 0)
}

func newCard(d *Devices, driver, path string, largest int) *Card {
	c := &Card{
		devices: d, driver: driver, max: largest, nextID: 30,
		props: make(map[uint32]*property), state: make(state), clients: make(map[*os.File]*client),
		fbs: make(map[uint32]*framebuffer), dumbs: make(map[uint32]*dumb), blobs: make(map[uint32][]byte),
		pending: make(map[uint32]bool), onScreen: make(map[uint32]uint64), seed: maphash.MakeSeed(), sequence: 1000,
	}
	d.add(path, c)
	return c
}

func (c *Card) id() uint32 {
	c.nextID++
	return c.nextID
}

func (c *Card) addProp(o *object, name string, value uint64, immutable bool, enums ...string) {
	p := &property{id: c.id(), name: name, immutable: immutable}
	for i, e := range enums {
		v := drm.PropertyEnum{Value: uint64(i)}
		copy(v.Name[:], e)
		p.enums = append(p.enums, v)
	}
	c.props[p.id] = p
	o.props = append(o.props, p.id)
	if c.state[o.id] == nil {
		c.state[o.id] = make(map[uint32]uint64)
	}
	c.state[o.id][p.id] = value
}

func (c *Card) addCrtc() {
	o := &object{id: c.id()}
	c.addProp(o, "ACTIVE", 0, false)
	c.addProp(o, "MODE_ID", 0, false)
	c.crtcs = append(c.crtcs, o)
}

func (c *Card) addConnector(kind, typeID uint32) {
	n := &connector{object: object{id: c.id()}, kind: kind, typeID: typeID, state: drm.Disconnected}
	c.addProp(&n.object, "EDID", 0, true)
	c.addProp(&n.object, "CRTC_ID", 0, false)
	c.connectors = append(c.connectors, n)
}

type planeConfig struct {
	primary, scales, blends bool
	crtcs                   uint32
	formats                 []uint32
}

func (c *Card) addPlane(cfg planeConfig) {
	p := &planeObject{object: object{id: c.id()}, crtcs: cfg.crtcs, formats: cfg.formats, primary: cfg.primary, scales: cfg.scales}
	kind := uint64(0)
	if cfg.primary {
		kind = 1
	}
	c.addProp(&p.object, "type", kind, true, "Overlay", "Primary", "Cursor")
	for _, name := range []string{"FB_ID", "CRTC_ID", "SRC_X", "SRC_Y", "SRC_W", "SRC_H", "CRTC_X", "CRTC_Y", "CRTC_W", "CRTC_H"} {
		c.addProp(&p.object, name, 0, false)
	}
	if cfg.scales {
		// A former user put the overlays behind the primary plane.
		c.addProp(&p.object, "zpos", map[bool]uint64{true: 2, false: 1}[cfg.primary], cfg.primary)
		c.addProp(&p.object, "rotation", 4, false) // a former user turned it by 180°
	}
	if cfg.blends {
		c.addProp(&p.object, "alpha", 0x8000, false)
		c.addProp(&p.object, "COLOR_ENCODING", 0, false, "ITU-R BT.601 YCbCr", "ITU-R BT.709 YCbCr")
		c.addProp(&p.object, "COLOR_RANGE", 0, false, "YCbCr limited range", "YCbCr full range")
	}
	c.planes = append(c.planes, p)
}

// value returns an object's property by name in a state.
func (c *Card) value(s state, o object, name string) uint64 {
	for _, id := range o.props {
		if c.props[id].name == name {
			return s[o.id][id]
		}
	}
	return 0
}

func (c *Card) setValue(s state, o object, name string, v uint64) {
	for _, id := range o.props {
		if c.props[id].name == name {
			s[o.id][id] = v
		}
	}
}

// open implements node: the first one becomes master (drm_master_open).
func (c *Card) open() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients[r] = &client{
		events: w, master: c.masterless(),
		fbs: make(map[uint32]bool), dumbs: make(map[uint32]bool), blobs: make(map[uint32]bool), leaving: make(map[uint32]bool),
	}
	return r, nil
}

func (c *Card) masterless() bool {
	for _, cl := range c.clients {
		if cl.master {
			return false
		}
	}
	return true
}

// close implements node: what the client leaves behind goes (drm_file_free).
func (c *Card) close(f *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.clients[f]
	c.bury(cl)
	delete(c.clients, f)
	cl.events.Close()
}

// bury takes a client's framebuffers and memory; c.mu is held.
func (c *Card) bury(cl *client) {
	for id := range cl.fbs {
		c.removeFB(id)
	}
	for id := range cl.dumbs {
		delete(c.dumbs, id)
	}
	clear(cl.fbs)
	clear(cl.dumbs)
}

func (c *Card) mmap(f *os.File, offset int64, length int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.dumbs[uint32(offset>>32)]
	if c.clients[f] == nil {
		return nil, unix.EBADF
	}
	if d == nil || !c.clients[f].dumbs[uint32(offset>>32)] || length > len(d.pix) {
		return nil, unix.EINVAL
	}
	return d.pix[:length], nil
}

func (c *Card) ioctlInt(*os.File, uintptr, uintptr) error { return unix.ENOTTY }

// now is the time that flips carry.
func now() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
