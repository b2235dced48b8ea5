package decode_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// TestMatrix: each codec in each container that a playlist may have, with every frame's time and colour: a second of red, then a
// second of blue, with frames that refer to later ones where the codec has such.
func TestMatrix(t *testing.T) {
	type kind struct {
		name, codec string
		args        []string
		containers  []string
	}
	all := []string{"mp4", "mkv", "ts"}
	for _, k := range []kind{
		{"H.264", "h264", []string{"-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"}, all},
		{"H.264 baseline", "h264", []string{"-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p"}, all},
		{"H.264 interlaced", "h264", []string{"-c:v", "libx264", "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p"}, all},
		{"H.264 4:4:4", "h264", []string{"-c:v", "libx264", "-pix_fmt", "yuv444p"}, all},
		{"HEVC", "hevc", []string{"-c:v", "libx265", "-x265-params", "log-level=none:bframes=3", "-pix_fmt", "yuv420p"}, all},
		{"HEVC 10 bit", "hevc", []string{"-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"}, all},
		{"VP9", "vp9", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"}, []string{"mp4", "mkv", "webm"}},
		{"MPEG-4", "mpeg4", []string{"-c:v", "mpeg4", "-bf", "2", "-q:v", "2"}, append(all, "avi")},
	} {
		for _, container := range k.containers {
			t.Run(fmt.Sprintf("%s in %s", k.name, container), func(t *testing.T) {
				path := decodetest.Clip(t, "a."+container, append([]string{
					"-f", "lavfi", "-i", "color=red:s=320x180:r=25:d=1", "-f", "lavfi", "-i", "color=blue:s=320x180:r=25:d=1",
					"-filter_complex", "[0][1]concat=n=2", "-g", "20",
				}, k.args...)...)
				redThenBlue(t, open(t, path), k.codec)
			})
		}
	}
}

// redThenBlue reads 50 frames, 40 ms apart, of which the second half is blue.
func redThenBlue(t *testing.T, d *decode.Decoder, codec string) {
	t.Helper()
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Codec != codec || info.Width != 320 || info.Height != 180 || (info.Duration-2*time.Second).Abs() > 100*time.Millisecond {
		t.Errorf("info %+v", info)
	}
	var got []time.Duration
	for {
		f, err := d.Next(t.Context())
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		want := [3]uint8{81, 90, 240}
		if len(got) >= 25 {
			want = [3]uint8{41, 240, 110}
		}
		for _, at := range [][2]int{{2, 2}, {160, 90}, {317, 177}} {
			i, c := f.Image.YOffset(at[0], at[1]), f.Image.COffset(at[0], at[1])
			if is := [3]uint8{f.Image.Y[i], f.Image.Cb[c], f.Image.Cr[c]}; !near(is, want, 6) {
				t.Errorf("frame %d has %v at %v, want %v", len(got), is, at, want)
			}
		}
		got = append(got, f.PTS)
		f.Release()
	}
	if len(got) == 0 || got[0] > 100*time.Millisecond {
		t.Fatalf("%d frames, from %v on", len(got), got)
	}
	want := every(50, 40*time.Millisecond)
	for i := range want {
		want[i] += got[0] // B-frames may put the first one a little later
	}
	if diff := cmp.Diff(want, got, aboutEqual); diff != "" {
		t.Error(diff)
	}
}
