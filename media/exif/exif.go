// Package exif reads what a JPEG says of itself before its first scan, and turns pictures as it says.
package exif

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"io"
)

// maxHead is how far into a JPEG its headers are looked for, in bytes: those that matter are the first few, of at most 64
// KiB each, but a colour profile or a preview may come before.
const maxHead = 2 << 20

// Orientation says how the first line and column of a file lie when its picture is held as it should be (Exif 2.3, tag 0x0112).
// It is 1 to 8.
type Orientation int

// Upright needs no turning. From sideways on, width and height change places.
const (
	Upright  Orientation = 1
	sideways Orientation = 5
	last     Orientation = 8
)

// Sideways reports whether width and height change places.
func (o Orientation) Sideways() bool { return o >= sideways && o <= last }

// Degrees is by how much it has to be turned clockwise: 0, 90, 180 or 270. What is mirrored as well is not told apart.
func (o Orientation) Degrees() int {
	switch o {
	case 3, 4:
		return 180
	case 5, 6:
		return 90
	case 7, 8:
		return 270
	}
	return 0
}

// Rotated is the orientation of what has to be turned by 0, 90, 180 or 270 degrees clockwise.
func Rotated(degrees int) Orientation {
	if o, ok := map[int]Orientation{90: 6, 180: 3, 270: 8}[degrees]; ok {
		return o
	}
	return Upright
}

// Head is what a JPEG says in its headers besides its size.
type Head struct {
	Orientation Orientation
	Progressive bool
	Arithmetic  bool // arithmetic coding, or lossless: hardly anything decodes it
	Precision   int  // bits of a sample
}

// ReadHead reads the segments before the first scan (ITU-T T.81, B.1.1.4). What is no JPEG, or damaged, is upright and says
// nothing else.
func ReadHead(r io.Reader) Head {
	h := Head{Orientation: Upright, Precision: 8}
	b := bufio.NewReader(io.LimitReader(r, maxHead))
	var marker [4]byte
	if _, err := io.ReadFull(b, marker[:2]); err != nil || marker[0] != 0xff || marker[1] != 0xd8 {
		return h
	}
	for {
		if _, err := io.ReadFull(b, marker[:]); err != nil || marker[0] != 0xff {
			return h
		}
		size := int(binary.BigEndian.Uint16(marker[2:])) - 2
		const startOfScan, app1 = 0xda, 0xe1
		code := marker[1]
		if size < 0 || code == startOfScan {
			return h
		}
		frame := code >= 0xc0 && code <= 0xcf && code != 0xc4 && code != 0xc8 && code != 0xcc
		if code != app1 && !frame {
			if _, err := b.Discard(size); err != nil {
				return h
			}
			continue
		}
		segment := make([]byte, size)
		if _, err := io.ReadFull(b, segment); err != nil {
			return h
		}
		if frame && size > 0 {
			h.Precision, h.Progressive, h.Arithmetic = int(segment[0]), code == 0xc2, code != 0xc0 && code != 0xc1 && code != 0xc2
			continue
		}
		if tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok {
			h.Orientation = tiffOrientation(tiff)
		}
	}
}

// tiffOrientation looks into the first directory (TIFF 6.0, section 2).
func tiffOrientation(b []byte) Orientation {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(b, []byte("MM")) {
		order = binary.BigEndian
	}
	if len(b) < 8 {
		return Upright
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return Upright
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		const size, tag, short = 12, 0x0112, 3
		if len(entries) < size {
			return Upright
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if v := Orientation(order.Uint16(entries[8:])); v >= Upright && v <= last {
				return v
			}
			return Upright
		}
		entries = entries[size:]
	}
	return Upright
}

// Turned returns m as it should be held. What is no orientation turns nothing.
func Turned(m *image.RGBA, o Orientation) *image.RGBA {
	if o <= Upright || o > last {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	size := image.Pt(w, h)
	if o.Sideways() {
		size = image.Pt(h, w)
	}
	to := image.NewRGBA(image.Rectangle{Max: size})
	from := m.Rect.Min
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch o {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			copy(to.Pix[to.PixOffset(tx, ty):][:4], m.Pix[m.PixOffset(from.X+x, from.Y+y):][:4])
		}
	}
	return to
}
