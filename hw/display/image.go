package display

import (
	"fmt"
	"image"
	"image/color"
)

// Image is a picture of B, G, R, X bytes: the layout display hardware reads (XRGB8888). X is ignored; every pixel is
// opaque. It implements draw.Image and draw.RGBA64Image.
type Image struct {
	// Pix holds the pixels, line after line.
	Pix []byte
	// Stride is the distance between lines in bytes.
	Stride int
	Rect   image.Rectangle
}

// NewImage returns a black picture.
func NewImage(r image.Rectangle) *Image {
	return &Image{Pix: make([]byte, 4*r.Dx()*r.Dy()), Stride: 4 * r.Dx(), Rect: r}
}

// PixOffset is the index in Pix of the pixel at x, y.
func (m *Image) PixOffset(x, y int) int {
	return (y-m.Rect.Min.Y)*m.Stride + (x-m.Rect.Min.X)*4
}

// ColorModel implements image.Image.
func (m *Image) ColorModel() color.Model { return color.RGBAModel }

// Bounds implements image.Image.
func (m *Image) Bounds() image.Rectangle { return m.Rect }

// Opaque tells image/draw and the encoders that there is no transparency.
func (m *Image) Opaque() bool { return true }

// At implements image.Image.
func (m *Image) At(x, y int) color.Color {
	if !(image.Point{X: x, Y: y}).In(m.Rect) {
		return color.RGBA{}
	}
	p := m.Pix[m.PixOffset(x, y):]
	return color.RGBA{R: p[2], G: p[1], B: p[0], A: 255}
}

// RGBA64At implements image.RGBA64Image.
func (m *Image) RGBA64At(x, y int) color.RGBA64 {
	if !(image.Point{X: x, Y: y}).In(m.Rect) {
		return color.RGBA64{}
	}
	p := m.Pix[m.PixOffset(x, y):]
	return color.RGBA64{R: uint16(p[2]) * 0x101, G: uint16(p[1]) * 0x101, B: uint16(p[0]) * 0x101, A: 0xffff}
}

// Set implements draw.Image. A transparent colour is laid over black.
func (m *Image) Set(x, y int, c color.Color) {
	r, g, b, a := c.RGBA()
	m.SetRGBA64(x, y, color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)})
}

// SetRGBA64 implements draw.RGBA64Image.
func (m *Image) SetRGBA64(x, y int, c color.RGBA64) {
	if !(image.Point{X: x, Y: y}).In(m.Rect) {
		return
	}
	p := m.Pix[m.PixOffset(x, y):][:4]
	p[0], p[1], p[2], p[3] = byte(c.B>>8), byte(c.G>>8), byte(c.R>>8), 255
}

// SubImage returns the part within r; it shares the pixels.
func (m *Image) SubImage(r image.Rectangle) image.Image {
	r = r.Intersect(m.Rect)
	if r.Empty() {
		return &Image{}
	}
	return &Image{Pix: m.Pix[m.PixOffset(r.Min.X, r.Min.Y):], Stride: m.Stride, Rect: r}
}

// check says why a picture cannot be shown in a mode.
func (m *Image) check(mode Mode) error {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	switch {
	case w != mode.Width || h != mode.Height:
		return fmt.Errorf("frame of %d×%d for a mode of %d×%d: %w", w, h, mode.Width, mode.Height, ErrSize)
	case m.Stride < 4*w || len(m.Pix) < (h-1)*m.Stride+4*w:
		return fmt.Errorf("frame of %d×%d has %d bytes in lines of %d: %w", w, h, len(m.Pix), m.Stride, ErrSize)
	}
	return nil
}

// YUV is a planar 4:2:0 picture, the decoders' layout: U and V have half the lines, half as long, rounded up.
type YUV struct {
	Y, U, V []byte
	// YStride and UVStride are the distances between lines in bytes.
	YStride, UVStride int
	// Width and Height are in pixels.
	Width, Height int
	// FullRange means that Y reaches from 0 to 255, else from 16 to 235.
	FullRange bool
	// BT709 means the colour matrix of ITU-R BT.709, else BT.601.
	BT709 bool
}

// check says why a picture cannot be shown.
func (v *YUV) check() error {
	w, h := v.Width, v.Height
	cw, ch := (w+1)/2, (h+1)/2
	switch {
	case w < 2 || h < 2:
		return fmt.Errorf("video of %d×%d: %w", w, h, ErrVideo)
	case v.YStride < w || len(v.Y) < (h-1)*v.YStride+w,
		v.UVStride < cw || len(v.U) < (ch-1)*v.UVStride+cw || len(v.V) < (ch-1)*v.UVStride+cw:
		return fmt.Errorf("video of %d×%d has %d+%d+%d bytes in lines of %d and %d: %w",
			w, h, len(v.Y), len(v.U), len(v.V), v.YStride, v.UVStride, ErrVideo)
	}
	return nil
}

// copyLines copies n lines of length bytes each.
func copyLines(dst []byte, dstStride int, src []byte, srcStride, length, n int) {
	if dstStride == srcStride && srcStride == length {
		copy(dst, src[:length*n])
		return
	}
	for i := range n {
		copy(dst[i*dstStride:][:length], src[i*srcStride:])
	}
}
