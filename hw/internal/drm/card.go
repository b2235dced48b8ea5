package drm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/sys"
)

// Card is one opened device node (/dev/dri/cardN). Its methods may be called from several goroutines.
type Card struct {
	sys  *sys.Sys
	file *os.File
	// Driver is the kernel driver's name, for example "vc4" or "virtio_gpu".
	Driver string
}

// ErrUnsuitable means that a card cannot do what is needed: atomic mode setting with buffers in plain memory.
var ErrUnsuitable = errors.New("no atomic mode setting")

// Open opens the node at path and announces that we know about planes and atomic commits.
// It returns ErrUnsuitable for a card that only renders or is too old.
func Open(s *sys.Sys, path string) (*Card, error) {
	f, err := s.Open(path, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open display card: %w", err)
	}
	c := &Card{sys: s, file: f}
	if err := c.start(); err != nil {
		c.Close()
		return nil, fmt.Errorf("start display card %s: %w", path, err)
	}
	return c, nil
}

func (c *Card) start() error {
	var err error
	if c.Driver, err = c.version(); err != nil {
		return err
	}
	dumb := Cap{Capability: capDumbBuffer}
	if err := c.ioctl(IoctlGetCap, unsafe.Pointer(&dumb)); err != nil || dumb.Value == 0 {
		return ErrUnsuitable
	}
	for _, want := range []uint64{clientCapUniversalPlane, clientCapAtomic} {
		if err := c.ioctl(IoctlSetClientCap, unsafe.Pointer(&Cap{Capability: want, Value: 1})); err != nil {
			return fmt.Errorf("client capability %d: %w (%w)", want, ErrUnsuitable, err)
		}
	}
	return nil
}

func (c *Card) version() (string, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	name := make([]byte, 32)
	v := Version{NameLen: uint64(len(name)), NamePtr: address(&pins, name)}
	if err := c.ioctl(IoctlVersion, unsafe.Pointer(&v)); err != nil {
		return "", fmt.Errorf("driver version: %w", err)
	}
	// The kernel answers the full length and copies what fits.
	return string(name[:min(v.NameLen, uint64(len(name)))]), nil
}

// Close closes the node: the kernel then removes what is left of ours. A blocked ReadEvents ends.
func (c *Card) Close() error {
	return c.sys.Close(c.file)
}

func (c *Card) ioctl(request uintptr, arg unsafe.Pointer) error {
	return c.sys.Ioctl(c.file, request, arg)
}

// address pins the first element of s and returns what the kernel takes as its address; 0 for an empty slice.
func address[T any](pins *runtime.Pinner, s []T) uint64 {
	if len(s) == 0 {
		return 0
	}
	pins.Pin(&s[0])
	return uint64(uintptr(unsafe.Pointer(&s[0])))
}

// BecomeMaster makes this process the one that may change what is shown; the first opener already is.
// The error is unix.EACCES or unix.EBUSY when another process is.
func (c *Card) BecomeMaster() error {
	if err := c.ioctl(IoctlSetMaster, nil); err != nil {
		return fmt.Errorf("become display master: %w", err)
	}
	return nil
}

// DropMaster lets another process become master.
func (c *Card) DropMaster() error {
	if err := c.ioctl(IoctlDropMaster, nil); err != nil {
		return fmt.Errorf("drop display master: %w", err)
	}
	return nil
}

// Resources are a card's objects and the largest framebuffer it takes, in pixels.
type Resources struct {
	Crtcs, Connectors   []uint32
	MaxWidth, MaxHeight int
}

// Resources lists CRTCs and connectors. A card that only renders has none, or answers ErrUnsuitable.
func (c *Card) Resources() (Resources, error) {
	var counts CardRes
	if err := c.ioctl(IoctlGetResources, unsafe.Pointer(&counts)); err != nil {
		return Resources{}, fmt.Errorf("count display resources: %w (%w)", ErrUnsuitable, err)
	}
	for {
		var pins runtime.Pinner
		crtcs, conns := make([]uint32, counts.CountCrtcs), make([]uint32, counts.CountConnectors)
		got := CardRes{
			CrtcIDPtr: address(&pins, crtcs), ConnectorIDPtr: address(&pins, conns),
			CountCrtcs: counts.CountCrtcs, CountConnectors: counts.CountConnectors,
		}
		err := c.ioctl(IoctlGetResources, unsafe.Pointer(&got))
		pins.Unpin()
		if err != nil {
			return Resources{}, fmt.Errorf("list display resources: %w", err)
		}
		if got.CountCrtcs <= counts.CountCrtcs && got.CountConnectors <= counts.CountConnectors {
			return Resources{
				Crtcs: crtcs[:got.CountCrtcs], Connectors: conns[:got.CountConnectors],
				MaxWidth: int(got.MaxWidth), MaxHeight: int(got.MaxHeight),
			}, nil
		}
		counts = got // a connector came in between (DisplayPort daughters do)
	}
}

// Connector is one plug.
type Connector struct {
	ID         uint32
	Type       uint32
	TypeID     uint32
	Connection uint32
	Encoders   []uint32
	Modes      []ModeInfo
	// SizeMM is the picture's physical size as the driver knows it, or 0.
	WidthMM, HeightMM int
}

// Connector describes a plug. With probe the kernel looks at the wire and reads the EDID again (tens of
// milliseconds, master only); without it answers what it knows.
func (c *Card) Connector(id uint32, probe bool) (Connector, error) {
	counts := GetConnector{ConnectorID: id, CountModes: 1}
	if probe {
		counts.CountModes = 0 // drm_mode_getconnector: no room for modes means probe
	} else {
		var one [1]ModeInfo
		var pins runtime.Pinner
		counts.ModesPtr = address(&pins, one[:])
		defer pins.Unpin()
	}
	if err := c.ioctl(IoctlGetConnector, unsafe.Pointer(&counts)); err != nil {
		return Connector{}, fmt.Errorf("look at connector %d: %w", id, err)
	}
	for {
		var pins runtime.Pinner
		encoders, modes := make([]uint32, counts.CountEncoders), make([]ModeInfo, max(1, counts.CountModes))
		got := GetConnector{
			ConnectorID: id,
			EncodersPtr: address(&pins, encoders), CountEncoders: uint32(len(encoders)),
			ModesPtr: address(&pins, modes), CountModes: uint32(len(modes)),
		}
		err := c.ioctl(IoctlGetConnector, unsafe.Pointer(&got))
		pins.Unpin()
		if err != nil {
			return Connector{}, fmt.Errorf("describe connector %d: %w", id, err)
		}
		if int(got.CountEncoders) <= len(encoders) && int(got.CountModes) <= len(modes) {
			return Connector{
				ID: id, Type: got.ConnectorType, TypeID: got.ConnectorTypeID, Connection: got.Connection,
				Encoders: encoders[:got.CountEncoders], Modes: modes[:got.CountModes],
				WidthMM: int(got.MMWidth), HeightMM: int(got.MMHeight),
			}, nil
		}
		counts = got
	}
}

// EncoderCrtcs returns which CRTCs an encoder can be fed from, as a bit mask over Resources.Crtcs.
func (c *Card) EncoderCrtcs(id uint32) (uint32, error) {
	e := GetEncoder{EncoderID: id}
	if err := c.ioctl(IoctlGetEncoder, unsafe.Pointer(&e)); err != nil {
		return 0, fmt.Errorf("describe encoder %d: %w", id, err)
	}
	return e.PossibleCrtcs, nil
}

// Plane is one layer the hardware composes.
type Plane struct {
	ID uint32
	// Crtc is the CRTC it is shown on now, or 0.
	Crtc uint32
	// PossibleCrtcs is a bit mask over Resources.Crtcs.
	PossibleCrtcs uint32
	Formats       []uint32
}

// Planes lists all planes.
func (c *Card) Planes() ([]Plane, error) {
	var res GetPlaneRes
	if err := c.ioctl(IoctlGetPlaneRes, unsafe.Pointer(&res)); err != nil {
		return nil, fmt.Errorf("count planes: %w", err)
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	ids := make([]uint32, res.CountPlanes)
	res = GetPlaneRes{PlaneIDPtr: address(&pins, ids), CountPlanes: uint32(len(ids))}
	if err := c.ioctl(IoctlGetPlaneRes, unsafe.Pointer(&res)); err != nil {
		return nil, fmt.Errorf("list planes: %w", err)
	}
	planes := make([]Plane, 0, len(ids))
	for _, id := range ids[:min(len(ids), int(res.CountPlanes))] {
		p, err := c.plane(id)
		if err != nil {
			return nil, err
		}
		planes = append(planes, p)
	}
	return planes, nil
}

func (c *Card) plane(id uint32) (Plane, error) {
	count := GetPlane{PlaneID: id}
	if err := c.ioctl(IoctlGetPlane, unsafe.Pointer(&count)); err != nil {
		return Plane{}, fmt.Errorf("look at plane %d: %w", id, err)
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	formats := make([]uint32, count.CountFormats)
	got := GetPlane{PlaneID: id, FormatPtr: address(&pins, formats), CountFormats: uint32(len(formats))}
	if err := c.ioctl(IoctlGetPlane, unsafe.Pointer(&got)); err != nil {
		return Plane{}, fmt.Errorf("describe plane %d: %w", id, err)
	}
	return Plane{ID: id, Crtc: got.CrtcID, PossibleCrtcs: got.PossibleCrtcs, Formats: formats}, nil
}

// ReadEvents blocks for completion events. After Close it returns an error.
func (c *Card) ReadEvents() ([]Event, error) {
	buf := make([]byte, 1024)
	n, err := c.file.Read(buf)
	if err != nil {
		return nil, fmt.Errorf("read display events: %w", err)
	}
	return ParseEvents(buf[:n]), nil
}

// Missing tells whether an error means that the kernel does not know a request.
func Missing(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// Text returns a fixed-size, zero-padded name.
func Text(b [32]byte) string {
	name, _, _ := bytes.Cut(b[:], []byte{0})
	return string(name)
}
