package render

import (
	"encoding/binary"
	"fmt"
)

// Crossfade mixes two pictures of dst's size into dst: 0 of 256 shows a, 256 shows b.
func Crossfade(dst, a, b *Image, share int) error {
	size := dst.Rect.Size()
	if a.Rect.Size() != size || b.Rect.Size() != size {
		return fmt.Errorf("crossfade pictures: %v and %v do not fit %v", a.Rect.Size(), b.Rect.Size(), size)
	}
	share = min(max(share, 0), 256)
	wb := uint64(share)
	wa := 256 - wb
	parallel(0, size.Y, func(y int) {
		d := dst.row(dst.Rect, dst.Rect.Min.Y+y)
		mixRow(d, a.row(a.Rect, a.Rect.Min.Y+y)[:len(d)], b.row(b.Rect, b.Rect.Min.Y+y)[:len(d)], wa, wb)
	})
	return nil
}

// mixRow mixes two pixels at a time: four channels of 8 bits in 16 bits each, so that no product runs into its neighbour
// (255 × 256 fits).
func mixRow(dst, a, b []byte, wa, wb uint64) {
	const even = 0x00ff00ff00ff00ff
	for len(dst) >= 8 && len(a) >= 8 && len(b) >= 8 {
		x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		lo := (x&even*wa + y&even*wb) >> 8 & even
		hi := (x>>8&even*wa + y>>8&even*wb) &^ even
		binary.LittleEndian.PutUint64(dst, lo|hi)
		dst, a, b = dst[8:], a[8:], b[8:]
	}
	for i := range dst {
		dst[i] = byte((uint64(a[i])*wa + uint64(b[i])*wb) >> 8)
	}
}
