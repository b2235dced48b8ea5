package render

import (
	"encoding/binary"
	"fmt"
	"image"
)

// block is the side of the squares that a rotation works in: lines of both pictures stay in the cache.
const block = 32

// Rotate copies src into dst, turned clockwise. dst must have the size of the turned src; anything else is a caller's bug and an error.
func Rotate(dst, src *Image, turn Turn) error {
	size := src.Rect.Size()
	if err := checkTurn(dst.Rect.Size(), size, turn); err != nil {
		return err
	}
	if size.X == 0 || size.Y == 0 {
		return nil
	}
	rotate(dst.Pix, dst.Stride, src.Pix, src.Stride, 4, size.X, size.Y, turn)
	return nil
}

// RotateYUV is Rotate for a 4:2:0 picture with its corner at 0,0.
func RotateYUV(dst, src *image.YCbCr, turn Turn) error {
	size := src.Rect.Size()
	if err := checkTurn(dst.Rect.Size(), size, turn); err != nil {
		return err
	}
	if src.SubsampleRatio != image.YCbCrSubsampleRatio420 || dst.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		return fmt.Errorf("rotate picture: its chroma is %v, not 4:2:0", src.SubsampleRatio)
	}
	if size.X == 0 || size.Y == 0 {
		return nil
	}
	cw, ch := (size.X+1)/2, (size.Y+1)/2
	rotate(dst.Y, dst.YStride, src.Y, src.YStride, 1, size.X, size.Y, turn)
	rotate(dst.Cb, dst.CStride, src.Cb, src.CStride, 1, cw, ch, turn)
	rotate(dst.Cr, dst.CStride, src.Cr, src.CStride, 1, cw, ch, turn)
	return nil
}

func checkTurn(dst, src image.Point, turn Turn) error {
	switch turn {
	case 0, 90, 180, 270:
	default:
		return fmt.Errorf("rotate picture: %d is not a multiple of 90 degrees", turn)
	}
	if turn.Size(src) != dst {
		return fmt.Errorf("rotate picture: %v turned by %d does not fit %v", src, turn, dst)
	}
	return nil
}

// rotate turns a plane of w × h pixels of n bytes (1 or 4), block by block, on all processors.
func rotate(dst []byte, dstStride int, src []byte, srcStride, n, w, h int, turn Turn) {
	if turn == 0 {
		for y := range h {
			copy(dst[y*dstStride:][:w*n], src[y*srcStride:][:w*n])
		}
		return
	}
	// Where pixel 0,0 of dst comes from, and how far a step right and a step down in dst leads in src. Reading is done across
	// the lines and writing along them: that is the faster way round, more so into video memory.
	var start, right, down int
	dw, dh := w, h
	switch turn {
	case 90:
		start, right, down, dw, dh = (h-1)*srcStride, -srcStride, n, h, w
	case 180:
		start, right, down = (h-1)*srcStride+(w-1)*n, -n, -srcStride
	case 270:
		start, right, down, dw, dh = (w-1)*n, srcStride, -n, h, w
	}
	share(0, (dh+block-1)/block, 64/block, func(band int) {
		by := band * block
		for bx := 0; bx < dw; bx += block {
			for y := by; y < min(by+block, dh); y++ {
				d := dst[y*dstStride+bx*n:][:min(block, dw-bx)*n]
				at := start + y*down + bx*right
				if n == 1 {
					for i := range d {
						d[i] = src[at]
						at += right
					}
					continue
				}
				for ; len(d) >= 4; d = d[4:] {
					binary.LittleEndian.PutUint32(d, binary.LittleEndian.Uint32(src[at:]))
					at += right
				}
			}
		}
	})
}
