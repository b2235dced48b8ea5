package drm

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"unsafe"
)

// Property is one setting of an object.
type Property struct {
	ID    uint32
	Value uint64
	// Immutable ones are there to be read.
	Immutable bool
	// Enums are the values that have names.
	Enums map[string]uint64
}

// Properties returns an object's settings by name.
func (c *Card) Properties(object, objectType uint32) (map[string]Property, error) {
	count := ObjGetProperties{ObjID: object, ObjType: objectType}
	if err := c.ioctl(IoctlObjGetProperties, unsafe.Pointer(&count)); err != nil {
		return nil, fmt.Errorf("count properties of %d: %w", object, err)
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	ids, values := make([]uint32, count.CountProps), make([]uint64, count.CountProps)
	got := ObjGetProperties{
		ObjID: object, ObjType: objectType, CountProps: count.CountProps,
		PropsPtr: address(&pins, ids), PropValuesPtr: address(&pins, values),
	}
	if err := c.ioctl(IoctlObjGetProperties, unsafe.Pointer(&got)); err != nil {
		return nil, fmt.Errorf("list properties of %d: %w", object, err)
	}
	props := make(map[string]Property, len(ids))
	for i, id := range ids[:min(len(ids), int(got.CountProps))] {
		name, p, err := c.property(id)
		if err != nil {
			return nil, err
		}
		p.Value = values[i]
		props[name] = p
	}
	return props, nil
}

func (c *Card) property(id uint32) (string, Property, error) {
	count := GetProperty{PropID: id}
	if err := c.ioctl(IoctlGetProperty, unsafe.Pointer(&count)); err != nil {
		return "", Property{}, fmt.Errorf("look at property %d: %w", id, err)
	}
	p := Property{ID: id, Immutable: count.Flags&PropImmutable != 0}
	if count.Flags&(PropEnum|PropBitmask) == 0 {
		return Text(count.Name), p, nil
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	enums, values := make([]PropertyEnum, count.CountEnumBlobs), make([]uint64, count.CountValues)
	got := GetProperty{
		PropID: id, EnumBlobPtr: address(&pins, enums), CountEnumBlobs: count.CountEnumBlobs,
		ValuesPtr: address(&pins, values), CountValues: count.CountValues,
	}
	if err := c.ioctl(IoctlGetProperty, unsafe.Pointer(&got)); err != nil {
		return "", Property{}, fmt.Errorf("describe property %d: %w", id, err)
	}
	p.Enums = make(map[string]uint64, len(enums))
	for _, e := range enums {
		p.Enums[Text(e.Name)] = e.Value
	}
	return Text(got.Name), p, nil
}

// maxBlob bounds a property blob; an EDID has at most 256 blocks of 128 bytes.
const maxBlob = 1 << 20

// Blob reads a property blob.
func (c *Card) Blob(id uint32) ([]byte, error) {
	b := GetBlob{BlobID: id}
	if err := c.ioctl(IoctlGetPropBlob, unsafe.Pointer(&b)); err != nil {
		return nil, fmt.Errorf("look at blob %d: %w", id, err)
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	data := make([]byte, min(b.Length, maxBlob))
	b = GetBlob{BlobID: id, Length: uint32(len(data)), Data: address(&pins, data)}
	if err := c.ioctl(IoctlGetPropBlob, unsafe.Pointer(&b)); err != nil {
		return nil, fmt.Errorf("read blob %d: %w", id, err)
	}
	return data, nil
}

// CreateModeBlob hands the kernel a mode, for a CRTC's MODE_ID.
func (c *Card) CreateModeBlob(m ModeInfo) (uint32, error) {
	b := CreateBlob{Length: uint32(unsafe.Sizeof(m))}
	var pins runtime.Pinner
	defer pins.Unpin()
	b.Data = address(&pins, []ModeInfo{m})
	if err := c.ioctl(IoctlCreatePropBlob, unsafe.Pointer(&b)); err != nil {
		return 0, fmt.Errorf("create blob for mode %s: %w", Text(m.Name), err)
	}
	return b.BlobID, nil
}

// DestroyBlob undoes CreateModeBlob.
func (c *Card) DestroyBlob(id uint32) error {
	if err := c.ioctl(IoctlDestroyPropBlob, unsafe.Pointer(&id)); err != nil {
		return fmt.Errorf("destroy blob %d: %w", id, err)
	}
	return nil
}

// Request is an atomic commit in the making: values of properties of objects.
type Request struct {
	objects []uint32
	props   map[uint32][]assignment
}

type assignment struct {
	prop  uint32
	value uint64
}

// Set adds one value; the last one for a property counts.
func (r *Request) Set(object, prop uint32, value uint64) {
	if r.props == nil {
		r.props = make(map[uint32][]assignment)
	}
	list, known := r.props[object]
	if !known {
		r.objects = append(r.objects, object)
	}
	i := slices.IndexFunc(list, func(a assignment) bool { return a.prop == prop })
	if i >= 0 {
		list[i].value = value
		return
	}
	r.props[object] = append(list, assignment{prop, value})
}

// Empty tells whether nothing was set.
func (r *Request) Empty() bool { return len(r.objects) == 0 }

// Commit asks the kernel to apply a request as a whole, or with CommitTestOnly whether it could. With CommitEvent the
// completion event carries userData.
func (c *Card) Commit(r *Request, flags uint32, userData uint64) error {
	counts := make([]uint32, 0, len(r.objects))
	var props []uint32
	var values []uint64
	for _, o := range r.objects {
		counts = append(counts, uint32(len(r.props[o])))
		for _, a := range r.props[o] {
			props, values = append(props, a.prop), append(values, a.value)
		}
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	arg := Atomic{
		Flags: flags, CountObjs: uint32(len(r.objects)), UserData: userData,
		ObjsPtr: address(&pins, r.objects), CountPropsPtr: address(&pins, counts),
		PropsPtr: address(&pins, props), PropValuesPtr: address(&pins, values),
	}
	if err := c.ioctl(IoctlAtomic, unsafe.Pointer(&arg)); err != nil {
		return fmt.Errorf("commit to the display: %w", err)
	}
	return nil
}

// ParseEvents reads what the device's read returned: flips that completed. Other events and a cut end are passed over.
func ParseEvents(p []byte) []Event {
	var events []Event
	for len(p) >= 8 {
		length := binary.NativeEndian.Uint32(p[4:])
		if length < 8 || uint64(length) > uint64(len(p)) {
			break
		}
		var ev Event
		if binary.NativeEndian.Uint32(p) == eventFlipComplete && uintptr(length) >= unsafe.Sizeof(ev) {
			if _, err := binary.Decode(p, binary.NativeEndian, &ev); err == nil {
				events = append(events, ev)
			}
		}
		p = p[length:]
	}
	return events
}
