package decode_test

import (
	"errors"
	"image"
	"io"
	"os"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// TestInput: what a file says of itself, whatever is made of its pictures.
func TestInput(t *testing.T) {
	video := []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1"}
	with := func(args ...string) []string { return append(append([]string{}, video...), args...) }
	for name, c := range map[string]struct {
		args []string
		want decode.Input
		err  error
	}{
		"sound.mp4": {append([]string{"-f", "lavfi", "-i", "sine=d=1"}, with("-c:v", "libx264", "-c:a", "aac")...),
			decode.Input{Demuxer: "mov,mp4,m4a,3gp,3g2,mj2", Codec: "h264", Profile: "High", PixelFormat: "yuv420p", BitDepth: 8, Width: 320, Height: 180, FrameRate: 25, Audio: "aac"}, nil},
		"deep.mkv": {with("-c:v", "libx264", "-pix_fmt", "yuv420p10le"),
			decode.Input{Demuxer: "matroska,webm", Codec: "h264", Profile: "High 10", PixelFormat: "yuv420p10le", BitDepth: 10, Width: 320, Height: 180, FrameRate: 25}, nil},
		"alpha.webm": {with("-vf", "format=yuva420p", "-c:v", "libvpx-vp9", "-deadline", "realtime"),
			decode.Input{Demuxer: "matroska,webm", Codec: "vp9", Profile: "Profile 0", PixelFormat: "yuv420p", BitDepth: 8, Alpha: true, Width: 320, Height: 180, FrameRate: 25}, nil},
		"unknown.mov": {with("-c:v", "prores"),
			decode.Input{Demuxer: "mov,mp4,m4a,3gp,3g2,mj2", Codec: "prores", Width: 320, Height: 180, FrameRate: 25}, decode.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, decodetest.Clip(t, name, c.args...), func(o *decode.Options) { o.MaxSize.X = 64 })
			_, err := d.Info(t.Context())
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			got := d.Input()
			if (got.Duration - time.Second).Abs() > 50*time.Millisecond {
				t.Errorf("duration %v", got.Duration)
			}
			c.want.SampleAspect, got.Duration = [2]int{1, 1}, 0
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestStart: decoding begins with the last key picture before the place.
func TestStart(t *testing.T) {
	clip := decodetest.Clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=4", "-g", "10")
	d := open(t, clip, func(o *decode.Options) { o.Start = 2500 * time.Millisecond })
	n := 0
	for {
		f, err := d.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		f.Release()
	}
	if n != 20 {
		t.Errorf("%d pictures from 2.5 s on, want those from 2 s to 4 s", n)
	}
}

// TestLargePhoto: a photo of more bytes than FFmpeg looks at to find out what a file is; half of it is damaged.
func TestLargePhoto(t *testing.T) {
	path := decodetest.Clip(t, "large.jpg", "-f", "lavfi", "-i", "testsrc2=s=3600x2700,noise=alls=100", "-frames:v", "1", "-pix_fmt", "yuvj444p", "-q:v", "1")
	st, err := os.Stat(path)
	if err != nil || st.Size() < 6<<20 {
		t.Fatalf("the photo has %v bytes, %v", st.Size(), err)
	}
	last := func() error {
		d := open(t, path, func(o *decode.Options) { o.MaxSize, o.MaxPixels = image.Pt(640, 640), 10_000_000 })
		for {
			f, err := d.Next(t.Context())
			if err != nil {
				return err
			}
			if f.Image.Rect.Size() != image.Pt(640, 480) {
				t.Errorf("a picture of %v", f.Image.Rect)
			}
			f.Release()
		}
	}
	if err := last(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := os.Truncate(path, st.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := last(); !errors.Is(err, decode.ErrDamaged) {
		t.Errorf("half of it: %v", err)
	}
}
