// Package fbdev holds the interface of framebuffer devices (/dev/fbN).
package fbdev

// The structs below are those of include/uapi/linux/fb.h; their sizes are checked by a test.

// Bitfield is struct fb_bitfield: where a colour's bits are in a pixel.
type Bitfield struct {
	Offset, Length, MSBRight uint32
}

// Var is struct fb_var_screeninfo.
type Var struct {
	XRes, YRes, XResVirtual, YResVirtual, XOffset, YOffset uint32
	BitsPerPixel, Grayscale                                uint32
	Red, Green, Blue, Transp                               Bitfield
	NonStd, Activate, HeightMM, WidthMM, AccelFlags        uint32
	PixClock, LeftMargin, RightMargin, UpperMargin         uint32
	LowerMargin, HSyncLen, VSyncLen, Sync, VMode, Rotate   uint32
	Colorspace                                             uint32
	_                                                      [4]uint32
}

// Fix is struct fb_fix_screeninfo, as on 64-bit machines.
type Fix struct {
	ID                             [16]byte
	SmemStart                      uint64
	SmemLen, Type, TypeAux, Visual uint32
	XPanStep, YPanStep, YWrapStep  uint16
	LineLength                     uint32
	MMIOStart                      uint64
	MMIOLen, Accel                 uint32
	Capabilities                   uint16
	_                              [2]uint16
}

// Requests (fb.h). Their numbers carry no size.
const (
	GetVar     = 0x4600
	GetFix     = 0x4602
	PanDisplay = 0x4606
	Blank      = 0x4611
)

// Arguments of Blank, and values in Fix (fb.h).
const (
	BlankUnblank    = 0
	BlankPowerdown  = 4
	TypePacked      = 0
	VisualTrueColor = 2
	VisualDirect    = 4
)
