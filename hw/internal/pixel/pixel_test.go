package pixel_test

import (
	"testing"

	"porthole/hw/internal/pixel"
)

// TestRGB compares with the 75 % and 100 % colour bar values of ITU-R BT.601 and BT.709.
func TestRGB(t *testing.T) {
	for _, c := range []struct {
		name        string
		yuv         [3]byte
		full, bt709 bool
		want        [3]byte
	}{
		{"black", [3]byte{16, 128, 128}, false, true, [3]byte{0, 0, 0}},
		{"white", [3]byte{235, 128, 128}, false, true, [3]byte{255, 255, 255}},
		{"white, full range", [3]byte{255, 128, 128}, true, false, [3]byte{255, 255, 255}},
		{"red in BT.601", [3]byte{81, 90, 240}, false, false, [3]byte{255, 0, 0}},
		{"red in BT.709", [3]byte{63, 102, 240}, false, true, [3]byte{255, 0, 0}},
		{"green in BT.709", [3]byte{173, 42, 26}, false, true, [3]byte{0, 255, 0}},
		{"blue in BT.601", [3]byte{41, 240, 110}, false, false, [3]byte{0, 0, 255}},
		{"red in BT.601, full range (JPEG)", [3]byte{76, 85, 255}, true, false, [3]byte{255, 0, 0}},
	} {
		r, g, b := pixel.RGB(c.yuv[0], c.yuv[1], c.yuv[2], c.full, c.bt709)
		for i, got := range []byte{r, g, b} {
			if d := int(got) - int(c.want[i]); d < -3 || d > 3 {
				t.Errorf("%s: got %v, want %v", c.name, [3]byte{r, g, b}, c.want)
				break
			}
		}
	}
}
