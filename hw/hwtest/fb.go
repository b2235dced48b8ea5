package hwtest

import (
	"encoding/binary"
	"image"
	"image/color"
	"os"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/fbdev"
)

// Framebuffer is a framebuffer device (/dev/fb0).
type Framebuffer struct {
	mu   sync.Mutex // guards what follows
	vari fbdev.Var
	fix  fbdev.Fix
	mem  []byte
	off  bool
	deaf bool
	pans int
}

// NewFramebuffer adds a device of 16 (RGB565), 24 or 32 bits a pixel. With pages of 2 its picture can be panned.
func NewFramebuffer(d *Devices, width, height, bits, pages int) *Framebuffer {
	f := &Framebuffer{vari: fbdev.Var{
		XRes: uint32(width), YRes: uint32(height), XResVirtual: uint32(width), YResVirtual: uint32(height * pages),
		BitsPerPixel: uint32(bits), HeightMM: 0xffffffff, WidthMM: 0xffffffff,
		Red: fbdev.Bitfield{Offset: 16, Length: 8}, Green: fbdev.Bitfield{Offset: 8, Length: 8}, Blue: fbdev.Bitfield{Length: 8},
	}}
	if bits == 16 {
		f.vari.Red, f.vari.Green, f.vari.Blue = fbdev.Bitfield{Offset: 11, Length: 5}, fbdev.Bitfield{Offset: 5, Length: 6}, fbdev.Bitfield{Length: 5}
	}
	f.fix = fbdev.Fix{Visual: fbdev.VisualTrueColor, LineLength: uint32((width*bits/8 + 31) / 16 * 16)}
	copy(f.fix.ID[:], "BCM2708 FB")
	if pages > 1 {
		f.fix.YPanStep = 1
	}
	f.mem = make([]byte, int(f.fix.LineLength)*height*pages)
	f.fix.SmemLen = uint32(len(f.mem))
	d.add("dev/fb0", f)
	return f
}

// BGR swaps red and blue.
func (f *Framebuffer) BGR() { f.vari.Red, f.vari.Blue = f.vari.Blue, f.vari.Red }

// Palette makes the pixels indices into a colour table.
func (f *Framebuffer) Palette() { f.fix.Visual = 3 } // FB_VISUAL_PSEUDOCOLOR

// NoPower takes away the ability to switch the signal off.
func (f *Framebuffer) NoPower() { f.deaf = true }

// Pans counts how often the picture was panned.
func (f *Framebuffer) Pans() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pans
}

// Screen returns what a display shows, or nil while the signal is off.
func (f *Framebuffer) Screen() *image.RGBA {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return nil
	}
	v := f.vari
	img := image.NewRGBA(image.Rect(0, 0, int(v.XRes), int(v.YRes)))
	size := int(v.BitsPerPixel / 8)
	for y := range int(v.YRes) {
		line := f.mem[(y+int(v.YOffset))*int(f.fix.LineLength):]
		for x := range int(v.XRes) {
			p := binary.LittleEndian.Uint32(append(slices.Clone(line[x*size:][:size]), 0, 0, 0))
			part := func(b fbdev.Bitfield) byte {
				top := uint32(1)<<b.Length - 1
				return byte((p >> b.Offset & top) * 255 / top)
			}
			img.SetRGBA(x, y, color.RGBA{R: part(v.Red), G: part(v.Green), B: part(v.Blue), A: 255})
		}
	}
	return img
}

func (f *Framebuffer) open() (*os.File, error) { return os.Open(os.DevNull) }

func (f *Framebuffer) close(*os.File) {}

func (f *Framebuffer) ioctl(_ *os.File, request uintptr, arg unsafe.Pointer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch request {
	case fbdev.GetVar:
		*(*fbdev.Var)(arg) = f.vari
	case fbdev.GetFix:
		*(*fbdev.Fix)(arg) = f.fix
	case fbdev.PanDisplay:
		y := (*fbdev.Var)(arg).YOffset
		if f.fix.YPanStep == 0 || y+f.vari.YRes > f.vari.YResVirtual {
			return unix.EINVAL
		}
		f.vari.YOffset = y
		f.pans++
	default:
		return unix.ENOTTY
	}
	return nil
}

func (f *Framebuffer) ioctlInt(_ *os.File, request, arg uintptr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if request != fbdev.Blank || f.deaf {
		return unix.EINVAL
	}
	f.off = arg != fbdev.BlankUnblank
	return nil
}

func (f *Framebuffer) mmap(_ *os.File, offset int64, length int) ([]byte, error) {
	if offset != 0 || length > len(f.mem) {
		return nil, unix.EINVAL
	}
	return f.mem[:length], nil
}
