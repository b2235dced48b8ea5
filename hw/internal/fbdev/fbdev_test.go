package fbdev_test

import (
	"testing"
	"unsafe"

	"porthole/hw/internal/fbdev"
)

// TestABI compares with what a C compiler makes of linux/fb.h.
func TestABI(t *testing.T) {
	if s := unsafe.Sizeof(fbdev.Var{}); s != 160 {
		t.Errorf("fb_var_screeninfo has %d bytes, want 160", s)
	}
	if s := unsafe.Sizeof(fbdev.Fix{}); s != 80 {
		t.Errorf("fb_fix_screeninfo has %d bytes, want 80", s)
	}
	if o := unsafe.Offsetof(fbdev.Fix{}.LineLength); o != 48 {
		t.Errorf("line_length is at %d, want 48", o)
	}
	if o := unsafe.Offsetof(fbdev.Var{}.PixClock); o != 100 {
		t.Errorf("pixclock is at %d, want 100", o)
	}
}
