package display

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"porthole/hw/internal/fbdev"
)

// pixelFormat says how a framebuffer stores a pixel.
type pixelFormat struct {
	size             int // bytes: 2, 3 or 4
	red, green, blue fbdev.Bitfield
	direct           bool // B, G, R, X: ours
}

// newPixelFormat returns errors.ErrUnsupported for anything but colours in 16, 24 or 32 bits.
func newPixelFormat(v fbdev.Var) (pixelFormat, error) {
	f := pixelFormat{size: int(v.BitsPerPixel) / 8, red: v.Red, green: v.Green, blue: v.Blue}
	bad := v.BitsPerPixel != 16 && v.BitsPerPixel != 24 && v.BitsPerPixel != 32
	for _, c := range []fbdev.Bitfield{v.Red, v.Green, v.Blue} {
		bad = bad || c.Length == 0 || c.Length > 8 || c.MSBRight != 0 || c.Offset > v.BitsPerPixel-c.Length
	}
	if bad {
		return f, fmt.Errorf("%d bits per pixel, red %v, green %v, blue %v: %w", v.BitsPerPixel, v.Red, v.Green, v.Blue, errors.ErrUnsupported)
	}
	direct := fbdev.Var{Red: fbdev.Bitfield{Offset: 16, Length: 8}, Green: fbdev.Bitfield{Offset: 8, Length: 8}, Blue: fbdev.Bitfield{Length: 8}}
	f.direct = f.size == 4 && v.Red == direct.Red && v.Green == direct.Green && v.Blue == direct.Blue
	return f, nil
}

// line converts one line of B, G, R, X bytes.
func (f pixelFormat) line(dst, src []byte) {
	if f.direct {
		copy(dst, src)
		return
	}
	put := func(c fbdev.Bitfield, v byte) uint32 { return uint32(v>>(8-c.Length)) << c.Offset }
	for i := 0; i+4 <= len(src); i += 4 {
		v := put(f.blue, src[i]) | put(f.green, src[i+1]) | put(f.red, src[i+2])
		switch f.size {
		case 2:
			binary.NativeEndian.PutUint16(dst, uint16(v))
		case 3:
			dst[0], dst[1], dst[2] = byte(v), byte(v>>8), byte(v>>16)
		default:
			binary.NativeEndian.PutUint32(dst, v)
		}
		dst = dst[f.size:]
	}
}

// cString is the text before the first zero byte.
func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
