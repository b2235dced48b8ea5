// Package display shows pictures on a screen without a desktop: through the kernel's mode setting (KMS) where there is
// any, with video scaled and converted by the hardware's planes where it can; else through the framebuffer device;
// else off-screen.
//
// One process at a time owns a screen. Nothing here logs; what a user should know about a display is in Info.
package display

import (
	"context"
	"errors"
	"image"
	"path/filepath"
	"time"

	"porthole/hw/internal/sys"
)

var (
	// ErrNoDevice means that there is no screen device at all.
	ErrNoDevice = errors.New("no display device")
	// ErrBusy means that another process owns the screen: try again when it has gone.
	ErrBusy = errors.New("another program owns the screen")
	// ErrClosed is returned by a Screen after Close.
	ErrClosed = errors.New("screen is closed")
	// ErrSize is a frame that does not fit the mode: call Info again, draw again.
	ErrSize = errors.New("frame does not have the size of the screen's mode")
	// ErrVideo is a video that this hardware cannot show in this place: draw it into Base.
	ErrVideo = errors.New("the display hardware cannot show this video")
	// ErrVeil is a veil that this hardware cannot lay over the rest: mix it into Base.
	ErrVeil = errors.New("the display hardware cannot lay a picture over the others")
	// ErrNoFlip means that the hardware did not report that a frame is on the screen.
	ErrNoFlip = errors.New("the display did not confirm the frame")
)

// Kind says what a screen is driven by.
type Kind string

// The kinds, best first.
const (
	KindPlanes      Kind = "planes"      // KMS, with planes for video
	KindPrimary     Kind = "primary"     // KMS, one plane
	KindFramebuffer Kind = "framebuffer" // /dev/fbN
	KindOffscreen   Kind = "offscreen"   // memory
)

// Mode is a picture size and rate.
type Mode struct {
	// Width and Height are in pixels.
	Width, Height int
	// RefreshMilliHz is frames per 1000 seconds: 59940 is 59.94 Hz.
	RefreshMilliHz int
	// Name is the kernel's, for example "1920x1080".
	Name string
	// Preferred is the display's own choice.
	Preferred bool
	// Interlaced modes show every other line in turn.
	Interlaced bool
}

// interval is the time between two frames.
func (m Mode) interval() time.Duration {
	if m.RefreshMilliHz <= 0 {
		return time.Second / 60
	}
	return time.Duration(1e12 / int64(m.RefreshMilliHz))
}

// Info describes a screen as it is now.
type Info struct {
	Kind Kind
	// Driver is the kernel driver's name, for example "vc4".
	Driver string
	// Connector is the plug, for example "HDMI-A-1".
	Connector string
	// Connected says whether a display is plugged in; without one, Mode is what the next frame is expected in.
	Connected bool
	Mode      Mode
	// Modes are all that display and hardware can do, in the display's order.
	Modes []Mode
	// Monitor is the display's maker and name, for example "SAM The Frame", or empty.
	Monitor string
	// SizeMM is the picture's physical size in millimetres, or zero.
	SizeMM image.Point
	// VideoPlanes says that Frame.Video may be used: YUV 4:2:0 scaled by the hardware.
	VideoPlanes bool
	// Veils says that Frame.Veil may be used: another picture over all, transparent to any degree.
	Veils bool
	// Note is empty, or says in a sentence what is unusual, for example that the display told nothing about itself.
	Note string
}

// Frame is what to show.
type Frame struct {
	// Base fills the screen and has the mode's size; nil keeps the last one.
	Base *Image
	// Video is laid over Base, scaled to VideoRect; nil for none. Only when Info.VideoPlanes. Odd last columns and
	// lines are not shown.
	Video *YUV
	// VideoRect is in screen pixels and may reach beyond the screen; empty means all of it.
	VideoRect image.Rectangle
	// Veil lies over Base and Video, for crossfades: what was on the screen before. It has the mode's size; nil for none.
	// Only when Info.Veils. One that was in the last frame already is not read again, so it must not change.
	Veil *Image
	// VeilShare is how much of Veil is seen, from 1 to 256; 256 hides all else.
	VeilShare int
}

// Vblank is the moment a frame came on the screen.
type Vblank struct {
	// Sequence counts the screen's refreshes and strictly increases from one Present to the next.
	Sequence uint64
	// Time is CLOCK_MONOTONIC.
	Time time.Duration
}

// Screen is one display. Its methods may be called from several goroutines; frames are shown in the order of Present.
type Screen interface {
	// Info describes the screen; it does not block.
	Info() Info
	// Present shows a frame and returns when it is on the screen; the frame's memory but Veil's is then the caller's again
	// (also after an error). It never returns faster than the screen refreshes. Without a display it keeps the frame for the
	// moment one is plugged in and returns after one refresh interval. Errors: ErrSize, ErrVideo, ErrVeil, ErrClosed,
	// ErrNoFlip, the context's; after any of them another frame may be tried.
	Present(ctx context.Context, f Frame) (Vblank, error)
	// Blank shows black, or with off switches the signal off, so that a display goes to sleep. The next Present ends
	// both.
	Blank(ctx context.Context, off bool) error
	// SetMode wants another mode from now on, as Options.Mode does. What is on the screen stays there, scaled. Where there is
	// no such mode, Info.Note says so. It is no error when a screen has only one.
	SetMode(ctx context.Context, wanted Mode) error
	// Changes receives a value when a display was plugged in or out, or the mode changed: call Info again. It is never
	// closed.
	Changes() <-chan struct{}
	// Close gives the screen back. Methods called later return ErrClosed.
	Close() error
}

// Options for Open. The zero value is right for a device.
type Options struct {
	// Root is where dev lies; empty means /.
	Root string
	// Mode is the wanted one by Width, Height and, unless 0, RefreshMilliHz (to half a hertz). Zero means the display's
	// own choice, which is also used when the display does not offer this one.
	Mode Mode
	// Connector is the wanted plug, for example "HDMI-A-2"; empty means the first with a display.
	Connector string
	// Prefer is the best kind to use: KindPrimary leaves video planes alone, KindFramebuffer leaves KMS alone. Empty means
	// KindPlanes.
	Prefer Kind
	// KeepFrame leaves the last frame on the screen after Close, and when this process is killed, where the kernel can
	// (KMS, Linux 6.8), so that nobody sees a restart.
	KeepFrame bool
	// Sys is the kernel; nil means the real one.
	Sys *sys.Sys
}

func (o Options) glob(pattern string) []string {
	root := o.Root
	if root == "" {
		root = "/"
	}
	paths, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		return nil // only for a malformed pattern
	}
	return paths
}

// Open finds the best screen there is and takes it; what is on it stays until the first Present. A card without a
// display plugged in is taken too. It returns ErrNoDevice where there is nothing, ErrBusy while another process owns the
// screen, and an error that is fs.ErrPermission while the device node is not ours to open.
func Open(ctx context.Context, opts Options) (Screen, error) {
	if opts.Sys == nil {
		opts.Sys = sys.Kernel()
	}
	if opts.Prefer != KindFramebuffer {
		s, err := openKMS(ctx, opts)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, ErrNoDevice) {
			return nil, err
		}
	}
	s, err := openFramebuffer(opts)
	if err != nil {
		return nil, err
	}
	return s, nil
}
