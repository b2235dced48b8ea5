package library

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// maxHead is how far into a JPEG its headers are looked for, in bytes: those that matter are the first few, of at most 64
// KiB each, but a colour profile or a preview may come before.
const maxHead = 2 << 20

// upright is the orientation of a picture that needs no turning; from sideways on, width and height change places (Exif 2.3, tag
// 0x0112).
const (
	upright  = 1
	sideways = 5
)

// jpegHead is what a JPEG says in its headers besides its size.
type jpegHead struct {
	orientation int
	progressive bool
	arithmetic  bool // arithmetic coding, or lossless: hardly anything decodes it
	precision   int  // bits of a sample
}

// readJPEGHead reads the segments before the first scan (ITU-T T.81, B.1.1.4).
func readJPEGHead(r io.Reader) jpegHead {
	h := jpegHead{orientation: upright, precision: 8}
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
			h.precision, h.progressive, h.arithmetic = int(segment[0]), code == 0xc2, code != 0xc0 && code != 0xc1 && code != 0xc2
			continue
		}
		if tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok {
			h.orientation = tiffOrientation(tiff)
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
		const size, tag, short, last = 12, 0x0112, 3, 8
		if len(entries) < size {
			return upright
		}
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short {
			if v := int(order.Uint16(entries[8:])); v >= upright && v <= last {
				return v
			}
			return upright
		}
		entries = entries[size:]
	}
	return upright
}
