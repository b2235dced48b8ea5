// Package render composes pictures in memory: scaling, rotation, colour conversion, text, QR codes, crossfades, and the player's
// status screen. It is plain Go without state; whoever calls it owns the buffers.
//
// Pictures are XRGB8888 as displays have them. Compose in ordinary memory and copy the result: reading back from mapped video
// memory is many times slower. Convert, Rotate and Crossfade only write to their destination and may go there directly.
package render

import (
	"encoding/binary"
	"image"
	"image/color"
)

// Image is a picture in the format of a framebuffer: 4 bytes a pixel in the order blue, green, red, unused (DRM_FORMAT_XRGB8888,
// linux/drm_fourcc.h). It has the same fields as hw/display's image, so that a pointer to one converts to the other.
type Image struct {
	// Pix holds the pixels, line after line.
	Pix []byte
	// Stride is the distance between lines in bytes.
	Stride int
	Rect   image.Rectangle
}

// NewImage makes a black picture with its top left corner at 0,0.
func NewImage(w, h int) *Image {
	return &Image{Pix: make([]byte, 4*w*h), Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
}

// ColorModel implements image.Image.
func (m *Image) ColorModel() color.Model { return color.RGBAModel }

// Bounds implements image.Image.
func (m *Image) Bounds() image.Rectangle { return m.Rect }

// At implements image.Image; every pixel is opaque.
func (m *Image) At(x, y int) color.Color {
	if !image.Pt(x, y).In(m.Rect) {
		return color.RGBA{}
	}
	p := m.Pix[m.offset(x, y):]
	return color.RGBA{R: p[2], G: p[1], B: p[0], A: 0xff}
}

// Set implements draw.Image.
func (m *Image) Set(x, y int, c color.Color) {
	if !image.Pt(x, y).In(m.Rect) {
		return
	}
	rgba := color.RGBAModel.Convert(c).(color.RGBA)
	p := m.Pix[m.offset(x, y):]
	p[0], p[1], p[2], p[3] = rgba.B, rgba.G, rgba.R, 0xff
}

// SubImage returns the part of the picture inside r, sharing its pixels.
func (m *Image) SubImage(r image.Rectangle) *Image {
	r = r.Intersect(m.Rect)
	if r.Empty() {
		return &Image{}
	}
	return &Image{Pix: m.Pix[m.offset(r.Min.X, r.Min.Y):], Stride: m.Stride, Rect: r}
}

// Fill paints a rectangle in one opaque colour.
func (m *Image) Fill(r image.Rectangle, c color.RGBA) {
	r = r.Intersect(m.Rect)
	if r.Empty() {
		return
	}
	first := m.row(r, r.Min.Y)
	first[0], first[1], first[2], first[3] = c.B, c.G, c.R, 0xff
	for n := 4; n < len(first); n *= 2 {
		copy(first[n:], first[:n])
	}
	for y := r.Min.Y + 1; y < r.Max.Y; y++ {
		copy(m.row(r, y), first)
	}
}

// RGBA returns a copy as the image package has it, for encoders.
func (m *Image) RGBA() *image.RGBA {
	out := image.NewRGBA(m.Rect)
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		src, dst := m.row(m.Rect, y), out.Pix[out.PixOffset(m.Rect.Min.X, y):]
		for i := 0; i < len(src); i += 4 {
			v := binary.LittleEndian.Uint32(src[i:])
			binary.LittleEndian.PutUint32(dst[i:], swapRedBlue(v)|0xff000000)
		}
	}
	return out
}

func (m *Image) offset(x, y int) int {
	return (y-m.Rect.Min.Y)*m.Stride + (x-m.Rect.Min.X)*4
}

// row is the bytes of one line within r, which must be inside the picture.
func (m *Image) row(r image.Rectangle, y int) []byte {
	return m.Pix[m.offset(r.Min.X, y):][: 4*r.Dx() : 4*r.Dx()]
}

// swapped is the same memory as an image that golang.org/x/image/draw has fast paths for. Red and blue change places:
// colours drawn into it have to be swapped, or the result with swap.
func (m *Image) swapped() *image.RGBA {
	return &image.RGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}
}

// swap exchanges red and blue in a part of the picture.
func (m *Image) swap(r image.Rectangle) {
	r = r.Intersect(m.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := m.row(r, y)
		for i := 0; i < len(row); i += 4 {
			binary.LittleEndian.PutUint32(row[i:], swapRedBlue(binary.LittleEndian.Uint32(row[i:])))
		}
	}
}

func swapRedBlue(v uint32) uint32 {
	return v&0xff00ff00 | v>>16&0xff | v&0xff<<16
}
