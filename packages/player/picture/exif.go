package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
	"io"
)

// maxHead is how far into a JPEG its orientation is looked for: the segment that says it is the first or second one and
// has at most 64 KiB.
const maxHead = 256 << 10

// orientations of a picture: how the first line and column of the file lie when it is held as it should be (Exif 2.3,
// tag 0x0112). Of the eight, 5 to 8 change width and height.
const (
	upright    = 1
	lastTurn   = 8
	firstTurns = 5
)

// orientation reads how a JPEG has to be turned; upright when it does not say.
func orientation(r io.Reader) int {
	b := bufio.NewReader(r)
	var marker [4]byte
	if _, err := io.ReadFull(b, marker[:2]); err != nil || marker[0] != 0xff || marker[1] != 0xd8 {
		return upright
	}
	for {
		// Segments: marker, then the length with its own two bytes (ITU-T T.81, B.1.1.4).
		if _, err := io.ReadFull(b, marker[:]); err != nil || marker[0] != 0xff {
			return upright
		}
		size := int(binary.BigEndian.Uint16(marker[2:])) - 2
		const startOfScan, app1 = 0xda, 0xe1
		if size < 0 || marker[1] == startOfScan {
			return upright
		}
		if marker[1] != app1 {
			if _, err := b.Discard(size); err != nil {
				return upright
			}
			continue
		}
		segment := make([]byte, size)
		if _, err := io.ReadFull(b, segment); err != nil {
			return upright
		}
		if tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok {
			return tiffOrientation(tiff)
		}
	}
}

// tiffOrientation looks into the first directory (TIFF 6.0, section 2).
func tiffOrientation(b []byte) int {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(b, []byte("MM")) {
		order = binary.BigEndian
	}
	if len(b) < 8 {
		return upright
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return upright
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		const size, tag, short = 12, 0x0112, 3
		if len(entries) < size {
			return upright
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if v := int(order.Uint16(entries[8:])); v >= upright && v <= lastTurn {
				return v
			}
			return upright
		}
		entries = entries[size:]
	}
	return upright
}

// turned returns m as it should be held.
func turned(m image.Image, turn int) image.Image {
	if turn == upright {
		return m
	}
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	from := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(from, from.Rect, m, b.Min, draw.Src)
	ow, oh := w, h
	if turn >= firstTurns {
		ow, oh = h, w
	}
	to := image.NewRGBA(image.Rect(0, 0, ow, oh))
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch turn {
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
			copy(to.Pix[to.PixOffset(tx, ty):][:4], from.Pix[from.PixOffset(x, y):][:4])
		}
	}
	return to
}
