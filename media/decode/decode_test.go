package decode_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

func TestMain(m *testing.M) {
	decode.Child()
	if order, ok := os.LookupEnv(parentEnv); ok {
		dyingPlayer(order)
	}
	goleak.VerifyTestMain(m)
}

// dyingPlayer is the process that TestParentDies kills.
func dyingPlayer(order string) {
	binary, clip, _ := strings.Cut(order, "\n")
	f, err := os.Open(clip)
	if err == nil {
		var d *decode.Decoder
		if d, err = decode.Open(context.Background(), decode.Options{Binary: binary, File: f}); err == nil {
			_, err = d.Next(context.Background())
		}
	}
	fmt.Fprintln(os.Stdout, "playing:", err)
	select {}
}

// open starts the decoder for a file and closes it when the test ends.
func open(t testing.TB, path string, change ...func(*decode.Options)) *decode.Decoder {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	opts := decode.Options{Binary: decodetest.Binary(t), File: f}
	for _, c := range change {
		c(&opts)
	}
	d, err := decode.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// drain reads to the end and returns the times of all frames and why it ended.
func drain(t testing.TB, d *decode.Decoder) ([]time.Duration, error) {
	t.Helper()
	var pts []time.Duration
	for {
		f, err := d.Next(t.Context())
		if err != nil {
			return pts, err
		}
		pts = append(pts, f.PTS)
		f.Release()
	}
}

// every is n times, a step apart.
func every(n int, step time.Duration) (out []time.Duration) {
	for i := range n {
		out = append(out, time.Duration(i)*step)
	}
	return out
}

// aboutEqual compares times: containers round them to a millisecond.
var aboutEqual = cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() <= time.Millisecond })

const source = "testsrc2=s=320x240:r=25:d=2"

func TestEveryCodec(t *testing.T) {
	for _, tt := range []struct {
		name, file, codec string
		args              []string
	}{
		{"H.264", "a.mp4", "h264", []string{"-c:v", "libx264", "-bf", "2"}},
		{"H.264, MPEG-TS", "a.ts", "h264", []string{"-c:v", "libx264"}},
		{"H.264, raw", "a.h264", "h264", []string{"-c:v", "libx264", "-bf", "0"}},
		{"H.264 beside sound", "a.mkv", "h264", []string{"-f", "lavfi", "-i", "sine=d=2", "-map", "1", "-map", "0", "-c:a", "aac", "-c:v", "libx264"}},
		{"HEVC", "a.mp4", "hevc", []string{"-c:v", "libx265", "-x265-params", "log-level=none"}},
		{"HEVC 10 bit", "a.mkv", "hevc", []string{"-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"}},
		{"MPEG-4", "a.avi", "mpeg4", []string{"-c:v", "mpeg4"}},
		{"VP8", "a.webm", "vp8", []string{"-c:v", "libvpx", "-deadline", "realtime"}},
		{"VP9", "a.webm", "vp9", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"}},
		{"Motion JPEG", "a.mov", "mjpeg", []string{"-c:v", "mjpeg"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := decodetest.Clip(t, tt.file, append([]string{"-f", "lavfi", "-i", source}, tt.args...)...)
			d := open(t, path)
			info, err := d.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.Codec != tt.codec || info.Width != 320 || info.Height != 240 || info.FrameRate != 25 || info.Rotation != 0 {
				t.Errorf("info %+v", info)
			}
			if want := 2 * time.Second; tt.file != "a.h264" && (info.Duration-want).Abs() > 100*time.Millisecond {
				t.Errorf("duration %v", info.Duration)
			}
			got, err := drain(t, d)
			if !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v", err)
			}
			// Sound may start a little before the first picture; times count from there.
			want := every(50, 40*time.Millisecond)
			for i := range want {
				if len(got) > 0 && got[0] < 50*time.Millisecond {
					want[i] += got[0]
				}
			}
			if diff := cmp.Diff(want, got, aboutEqual); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIrregularTimes(t *testing.T) {
	path := decodetest.Clip(t, "vfr.mkv", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=1000:d=0.02,setpts=N*(N+1)*10",
		"-fps_mode", "passthrough", "-c:v", "libx264")
	got, err := drain(t, open(t, path))
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	var want []time.Duration
	for n := range 20 {
		want = append(want, time.Duration(n*(n+1)*10)*time.Millisecond)
	}
	if diff := cmp.Diff(want, got, aboutEqual); diff != "" {
		t.Error(diff)
	}
}

func TestColoursAndRotation(t *testing.T) {
	for _, tt := range []struct {
		name string
		size string
		args []string
		want decode.StreamInfo
	}{
		{"high definition", "1280x720", nil, decode.StreamInfo{Matrix: decode.BT709}},
		{"standard definition", "320x240", nil, decode.StreamInfo{Matrix: decode.BT601}},
		{"said otherwise", "320x240", []string{"-colorspace", "bt709"}, decode.StreamInfo{Matrix: decode.BT709}},
		{"full range", "320x240", []string{"-vf", "scale=out_range=full,format=yuvj420p"}, decode.StreamInfo{Matrix: decode.BT601, FullRange: true}},
		{"BT.2020", "1280x720", []string{"-colorspace", "bt2020nc"}, decode.StreamInfo{Matrix: decode.BT2020}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"-f", "lavfi", "-i", "testsrc2=r=5:d=1:s=" + tt.size}, tt.args...)
			info, err := open(t, decodetest.Clip(t, "a.mp4", append(args, "-c:v", "libx264")...)).Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := decode.StreamInfo{Matrix: info.Matrix, FullRange: info.FullRange}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	// FFmpeg's own player turns what is marked 90 counterclockwise.
	for angle, want := range map[string]int{"90": 270, "-90": 90, "180": 180} {
		t.Run("rotated by "+angle, func(t *testing.T) {
			plain := decodetest.Clip(t, "plain.mp4", "-f", "lavfi", "-i", "testsrc2=r=5:d=1:s=320x240", "-c:v", "libx264")
			path := decodetest.Clip(t, "a.mp4", "-i", plain, "-c", "copy", "-metadata:s:v:0", "rotate="+angle)
			info, err := open(t, path).Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.Width != 320 || info.Rotation != want {
				t.Errorf("%d×%d, turn by %d, want %d", info.Width, info.Height, info.Rotation, want)
			}
		})
	}
}

func TestPictureContent(t *testing.T) {
	// Two colours in odd places.
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", "color=red:s=162x122:r=5:d=1[a];color=blue:s=81x61:r=5:d=1[b];[a][b]overlay=0:0",
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-qp", "1")
	for name, libraries := range map[string][]string{"shared memory": nil, "a pipe": {"/nonexistent"}} {
		t.Run(name, func(t *testing.T) {
			d := open(t, path, func(o *decode.Options) { o.Frames, o.Libraries = 2, libraries })
			frames, places := 0, map[*byte]bool{}
			for {
				f, err := d.Next(t.Context())
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					break
				}
				frames++
				places[&f.Image.Y[0]] = true
				for _, p := range []struct {
					x, y      int
					y0, u, v0 uint8
				}{{20, 20, 41, 240, 110}, {140, 100, 81, 90, 240}} {
					i, c := f.Image.YOffset(p.x, p.y), f.Image.COffset(p.x, p.y)
					if got := [3]uint8{f.Image.Y[i], f.Image.Cb[c], f.Image.Cr[c]}; !near(got, [3]uint8{p.y0, p.u, p.v0}, 3) {
						t.Errorf("frame %d at %d,%d: %v", frames, p.x, p.y, got)
					}
				}
				f.Release()
				f.Release()
			}
			if frames != 5 || len(places) > 2 {
				t.Errorf("%d frames in %d places", frames, len(places))
			}
		})
	}
}

func near(a, b [3]uint8, tolerance int) bool {
	for i := range a {
		if d := int(a[i]) - int(b[i]); d > tolerance || -d > tolerance {
			return false
		}
	}
	return true
}

func TestMaxSize(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", "testsrc2=r=5:d=1:s=640x360", "-c:v", "libx264")
	for _, tt := range []struct{ max, want image.Point }{
		{image.Pt(320, 320), image.Pt(320, 180)},
		{image.Pt(0, 90), image.Pt(160, 90)},
		{image.Pt(2048, 2048), image.Pt(640, 360)},
	} {
		d := open(t, path, func(o *decode.Options) { o.MaxSize = tt.max })
		info, err := d.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := image.Pt(info.Width, info.Height); got != tt.want {
			t.Errorf("at most %v: %v, want %v", tt.max, got, tt.want)
		}
		if pts, err := drain(t, d); len(pts) != 5 || !errors.Is(err, io.EOF) {
			t.Errorf("%d frames, %v", len(pts), err)
		}
	}
}

// TestPausedFile: whoever holds all frames for a while loses nothing.
func TestPausedFile(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264")
	d := open(t, path, func(o *decode.Options) { o.Frames = 2; o.FrameTimeout = 2 * time.Second })
	a, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if f, err := d.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a third frame of two: %v, %v", f, err)
	}
	a.Release()
	b.Release()
	if pts, err := drain(t, d); len(pts) != 48 || !errors.Is(err, io.EOF) {
		t.Errorf("%d more frames, %v", len(pts), err)
	}
}

func TestCanceled(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	d, err := decode.Open(ctx, decode.Options{Binary: decodetest.Binary(t), File: f, Frames: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	frame, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := d.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	d.Close()
	frame.Release() // after Close, as a player that shows a last frame does
}

func TestBadOptions(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	bin := decodetest.Binary(t)
	for name, o := range map[string]decode.Options{
		"no program":      {File: dir},
		"no input":        {Binary: bin},
		"a folder":        {Binary: bin, File: dir},
		"two inputs":      {Binary: bin, File: dir, Live: &decode.Live{}},
		"negative":        {Binary: bin, Live: &decode.Live{Codec: decode.H264}, Frames: -1},
		"missing program": {Binary: "/nonexistent/ffmpeg", Live: &decode.Live{Codec: decode.H264}},
	} {
		if d, err := decode.Open(t.Context(), o); err == nil {
			d.Close()
			t.Errorf("%s: opened", name)
		} else {
			t.Log(fmt.Sprintf("%s:", name), err)
		}
	}
}
