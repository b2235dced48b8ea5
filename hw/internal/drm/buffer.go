package drm

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// Buffer is a framebuffer in plain memory that CPU and display both see.
type Buffer struct {
	// FB is its id as a framebuffer; 0 after Detach, until Attach.
	FB            uint32
	Width, Height int
	// Pix is the memory: write only, in order; reading it back is slow (it is uncached on a Pi).
	Pix []byte
	// Strides and Offsets of up to three components, in bytes.
	Strides, Offsets [3]int

	handle     uint32
	format     uint32
	components int
}

// ErrTooLarge is a buffer beyond what the interface can express.
var ErrTooLarge = errors.New("buffer size out of range")

// NewXRGB makes a buffer of B, G, R, X bytes. Width and height are in pixels.
func (c *Card) NewXRGB(width, height int) (*Buffer, error) {
	b, pitch, err := c.dumb(width, height, 32)
	if err != nil {
		return nil, err
	}
	b.Strides[0], b.Width, b.Height = pitch, width, height
	b.format, b.components = FormatXRGB8888, 1
	return c.announce(b)
}

// NewYUV420 makes a planar 4:2:0 buffer, Y then U then V. Width and height must be even.
func (c *Card) NewYUV420(width, height int) (*Buffer, error) {
	if width%2 != 0 || height%2 != 0 {
		return nil, fmt.Errorf("YUV buffer of %d×%d has an odd side: %w", width, height, ErrTooLarge)
	}
	// One allocation holds all three: the lines of U and V are half as long, together half as many again. A multiple
	// of 64 keeps the chroma lines aligned to 32 bytes, as the hardware scalers like them.
	b, pitch, err := c.dumb((width+63)/64*64, height+(height+1)/2, 8)
	if err != nil {
		return nil, err
	}
	b.Strides = [3]int{pitch, pitch / 2, pitch / 2}
	b.Offsets = [3]int{0, pitch * height, pitch*height + pitch/2*(height/2)}
	b.Width, b.Height = width, height
	b.format, b.components = FormatYUV420, 3
	return c.announce(b)
}

// dumb allocates and maps memory for height lines of width pixels with bpp bits each.
func (c *Card) dumb(width, height, bpp int) (*Buffer, int, error) {
	if width <= 0 || height <= 0 || width > math.MaxUint16 || height > math.MaxUint16 {
		return nil, 0, fmt.Errorf("display buffer of %d×%d: %w", width, height, ErrTooLarge)
	}
	d := CreateDumb{Width: uint32(width), Height: uint32(height), BPP: uint32(bpp)}
	if err := c.ioctl(IoctlCreateDumb, unsafe.Pointer(&d)); err != nil {
		return nil, 0, fmt.Errorf("allocate display buffer of %d×%d: %w", width, height, err)
	}
	b := &Buffer{handle: d.Handle}
	m := MapDumb{Handle: d.Handle}
	err := c.ioctl(IoctlMapDumb, unsafe.Pointer(&m))
	if err == nil {
		b.Pix, err = c.sys.Mmap(c.file, int64(m.Offset), int(d.Size))
	}
	if err != nil {
		c.Free(b)
		return nil, 0, fmt.Errorf("map display buffer of %d×%d: %w", width, height, err)
	}
	return b, int(d.Pitch), nil
}

// announce makes a new buffer a framebuffer; it frees b when the kernel refuses.
func (c *Card) announce(b *Buffer) (*Buffer, error) {
	if err := c.Attach(b); err != nil {
		c.Free(b)
		return nil, err
	}
	return b, nil
}

// Attach makes b a framebuffer, unless it is one.
func (c *Card) Attach(b *Buffer) error {
	if b.FB != 0 {
		return nil
	}
	cmd := FBCmd2{Width: uint32(b.Width), Height: uint32(b.Height), PixelFormat: b.format}
	for i := range b.components {
		cmd.Handles[i], cmd.Pitches[i], cmd.Offsets[i] = b.handle, uint32(b.Strides[i]), uint32(b.Offsets[i])
	}
	if err := c.ioctl(IoctlAddFB2, unsafe.Pointer(&cmd)); err != nil {
		return fmt.Errorf("add framebuffer of %d×%d: %w", b.Width, b.Height, err)
	}
	b.FB = cmd.FBID
	return nil
}

// Detach makes b no framebuffer any more, except for planes that show it: they go on until they are told to show
// something else, also when this process has died, while the kernel would switch off what belongs to a dead process.
// It reports false, and does nothing, on kernels before 6.8 (DRM_IOCTL_MODE_CLOSEFB, include/uapi/drm/drm_mode.h).
func (c *Card) Detach(b *Buffer) bool {
	if b.FB == 0 {
		return true
	}
	if c.ioctl(IoctlCloseFB, unsafe.Pointer(&CloseFB{FBID: b.FB})) != nil {
		return false
	}
	b.FB = 0
	return true
}

// Free removes the framebuffer and gives back its memory. A plane that still shows it is switched off by the kernel, unless
// b was detached.
//
// Nothing here fails in a way anybody could act on: whatever the kernel keeps goes when the card is closed.
func (c *Card) Free(b *Buffer) {
	if b.FB != 0 {
		_ = c.ioctl(IoctlRmFB, unsafe.Pointer(&b.FB))
	}
	if b.Pix != nil {
		_ = c.sys.Munmap(b.Pix)
	}
	if b.handle != 0 {
		_ = c.ioctl(IoctlDestroyDumb, unsafe.Pointer(&b.handle))
	}
	*b = Buffer{}
}

// Leave gives back a buffer's memory as Free does, but a plane that shows it goes on until somebody else uses it. It
// reports false, and does nothing, where Detach does.
func (c *Card) Leave(b *Buffer) bool {
	if !c.Detach(b) {
		return false
	}
	c.Free(b)
	return true
}
