package display

import (
	"errors"
	"fmt"
	"image"
	"slices"

	"porthole/hw/internal/drm"
)

// board is what a card consists of; it does not change.
type board struct {
	card   *drm.Card
	res    drm.Resources
	crtcs  []object // in the order of res.Crtcs: bit masks count so
	planes []plane
}

// object is anything with properties.
type object struct {
	id    uint32
	props map[string]drm.Property
}

// set adds a property to a commit; one that the object lacks is passed over.
func (o object) set(r *drm.Request, name string, value uint64) {
	if p, ok := o.props[name]; ok && !p.Immutable {
		r.Set(o.id, p.ID, value)
	}
}

// setEnum adds a property by its value's name.
func (o object) setEnum(r *drm.Request, name, value string) {
	if v, ok := o.props[name].Enums[value]; ok {
		o.set(r, name, v)
	}
}

func (o object) has(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { _, ok := o.props[n]; return !ok })
}

type plane struct {
	object
	crtcs   uint32 // bit mask
	formats []uint32
}

// Values of a plane's "type" (include/uapi/drm/drm_mode.h has none; include/drm/drm_plane.h, enum drm_plane_type).
const (
	planeOverlay = 0
	planePrimary = 1
)

func (p plane) is(kind uint64, crtc int, format uint32) bool {
	return p.props["type"].Value == kind && p.crtcs&(1<<crtc) != 0 && slices.Contains(p.formats, format)
}

// newBoard reads what a card consists of. It returns drm.ErrUnsuitable when there is nothing to plug a display into.
func newBoard(card *drm.Card) (*board, error) {
	b := &board{card: card}
	var err error
	if b.res, err = card.Resources(); err != nil {
		return nil, err
	}
	if len(b.res.Crtcs) == 0 || len(b.res.Connectors) == 0 {
		return nil, fmt.Errorf("%s has no outputs: %w", card.Driver, drm.ErrUnsuitable)
	}
	for _, id := range b.res.Crtcs {
		props, err := card.Properties(id, drm.ObjectCrtc)
		if err != nil {
			return nil, err
		}
		b.crtcs = append(b.crtcs, object{id, props})
	}
	planes, err := card.Planes()
	if err != nil {
		return nil, err
	}
	for _, p := range planes {
		props, err := card.Properties(p.ID, drm.ObjectPlane)
		if err != nil {
			return nil, err
		}
		o := object{p.ID, props}
		if o.has("type", "FB_ID", "CRTC_ID", "SRC_X", "SRC_Y", "SRC_W", "SRC_H", "CRTC_X", "CRTC_Y", "CRTC_W", "CRTC_H") {
			b.planes = append(b.planes, plane{object: o, crtcs: p.PossibleCrtcs, formats: p.Formats})
		}
	}
	return b, nil
}

// output is a plug and what is in it.
type output struct {
	object
	name      string
	state     uint32 // drm.Connected…
	kind      uint32
	crtcs     uint32 // bit mask of the CRTCs that can feed it
	modes     []drm.ModeInfo
	edid      edid
	validEDID bool
	sizeMM    image.Point
}

// connected counts a plug that cannot tell (composite video) as connected when there is something to show.
func (o output) connected() bool {
	return o.state == drm.Connected || o.state == drm.UnknownConnection && len(o.modes) > 0
}

// silent tells whether a display that ought to say what it can show does not.
func (o output) silent() bool {
	switch o.kind {
	case drm.ConnectorVGA, drm.ConnectorDVII, drm.ConnectorDVID, drm.ConnectorDVIA, drm.ConnectorDP, drm.ConnectorHDMIA, drm.ConnectorHDMIB:
		return o.connected() && !o.validEDID && !slices.ContainsFunc(o.modes, preferred)
	}
	return false
}

// same tells whether nothing changed at a plug.
func (o output) same(p output) bool {
	return o.id == p.id && o.state == p.state && o.edid == p.edid && o.validEDID == p.validEDID && slices.Equal(o.modes, p.modes)
}

// outputs probes all plugs.
func (b *board) outputs() ([]output, error) {
	var list []output
	for _, id := range b.res.Connectors {
		o, err := b.output(id)
		if err != nil {
			return nil, err
		}
		if o.kind != drm.ConnectorWriteback && o.crtcs != 0 && o.has("CRTC_ID") {
			list = append(list, o)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no usable outputs: %w", b.card.Driver, drm.ErrUnsuitable)
	}
	return list, nil
}

func (b *board) output(id uint32) (output, error) {
	c, err := b.card.Connector(id, true)
	if err != nil {
		return output{}, err
	}
	props, err := b.card.Properties(id, drm.ObjectConnector)
	if err != nil {
		return output{}, err
	}
	o := output{
		object: object{id, props}, name: connectorName(c.Type, c.TypeID), state: c.Connection, kind: c.Type,
		sizeMM: image.Pt(c.WidthMM, c.HeightMM),
	}
	// The kernel answers more than the hardware can hold: a mode that the framebuffer is too small for.
	for _, m := range c.Modes {
		if int(m.HDisplay) <= b.res.MaxWidth && int(m.VDisplay) <= b.res.MaxHeight && area(m) > 0 {
			o.modes = append(o.modes, m)
		}
	}
	for _, e := range c.Encoders {
		mask, err := b.card.EncoderCrtcs(e)
		if err != nil {
			return output{}, err
		}
		o.crtcs |= mask
	}
	if blob := props["EDID"].Value; blob != 0 && o.connected() {
		if raw, err := b.card.Blob(uint32(blob)); err == nil {
			o.edid, err = parseEDID(raw)
			o.validEDID = err == nil
		}
	}
	if o.edid.sizeMM != (image.Point{}) {
		o.sizeMM = o.edid.sizeMM
	}
	return o, nil
}

// pick chooses the plug to use: the wanted one; the current one or the first, where a display is connected; else the
// current one; else the first.
func pick(list []output, wanted string, current uint32) output {
	score := func(o output) int {
		n := 0
		if o.name == wanted {
			n += 100
		}
		if o.state == drm.Connected {
			n += 20
		} else if o.connected() {
			n += 10
		}
		if o.id == current {
			n++
		}
		return n
	}
	best := list[0]
	for _, o := range list[1:] {
		if score(o) > score(best) {
			best = o
		}
	}
	return best
}

// connectorName is the name under /sys/class/drm and on the kernel's command line (drivers/gpu/drm/drm_connector.c,
// drm_connector_enum_list).
func connectorName(kind, id uint32) string {
	names := [...]string{
		"Unknown", "VGA", "DVI-I", "DVI-D", "DVI-A", "Composite", "SVIDEO", "LVDS", "Component", "DIN", "DP", "HDMI-A",
		"HDMI-B", "TV", "eDP", "Virtual", "DSI", "DPI", "Writeback", "SPI", "USB",
	}
	name := names[0]
	if int(kind) < len(names) {
		name = names[kind]
	}
	return fmt.Sprintf("%s-%d", name, id)
}

// rivals adds to r what switches off the other CRTCs and plugs: something of somebody else, who left it there.
func (b *board) rivals(r *drm.Request, crtc, connector uint32) error {
	var errs []error
	for _, id := range b.res.Connectors {
		props, err := b.card.Properties(id, drm.ObjectConnector)
		errs = append(errs, err)
		if v := props["CRTC_ID"].Value; v != 0 && (id != connector || v != uint64(crtc)) {
			object{id, props}.set(r, "CRTC_ID", 0)
		}
	}
	for _, c := range b.crtcs {
		props, err := b.card.Properties(c.id, drm.ObjectCrtc)
		errs = append(errs, err)
		if c.id != crtc && (props["ACTIVE"].Value != 0 || props["MODE_ID"].Value != 0) {
			c.set(r, "ACTIVE", 0)
			c.set(r, "MODE_ID", 0)
		}
	}
	errs = append(errs, b.planesOff(r, func(on uint32) bool { return on != crtc }))
	return errors.Join(errs...)
}

// planesOff adds to r what takes from the screen all planes that are on certain CRTCs.
func (b *board) planesOff(r *drm.Request, crtc func(id uint32) bool) error {
	now, err := b.card.Planes()
	for _, p := range now {
		i := slices.IndexFunc(b.planes, func(q plane) bool { return q.id == p.ID })
		if i >= 0 && p.Crtc != 0 && crtc(p.Crtc) {
			b.planes[i].off(r)
		}
	}
	return err
}

// off takes a plane from the screen.
func (p plane) off(r *drm.Request) {
	p.set(r, "FB_ID", 0)
	p.set(r, "CRTC_ID", 0)
}
