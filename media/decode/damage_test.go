package decode_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// write makes a file of the bytes.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestIndexAtTheEnd: an MP4 as cameras and editors write it, its index behind the pictures, needs a file that can seek.
func TestIndexAtTheEnd(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264")
	data := string(read(t, path))
	if strings.Index(data, "moov") < strings.Index(data, "mdat") {
		t.Fatal("the clip has its index in front")
	}
	if pts, err := drain(t, open(t, path)); len(pts) != 50 || !errors.Is(err, io.EOF) {
		t.Errorf("%d frames, %v", len(pts), err)
	}
}

// TestNotAVideo: what is no video says so, and what it was.
func TestNotAVideo(t *testing.T) {
	for _, tt := range []struct {
		name string
		path string
		kind error
	}{
		{"sound only", decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac"), decode.ErrUnsupported},
		{"text", write(t, "a.mp4", []byte(strings.Repeat("Not a video at all. ", 1000))), decode.ErrDamaged},
		{"empty", write(t, "a.mp4", nil), decode.ErrDamaged},
		{"a codec that is not built in", decodetest.Clip(t, "a.mkv", "-f", "lavfi", "-i", "testsrc2=d=1:s=320x240", "-c:v", "ffv1"), decode.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, tt.path)
			pts, err := drain(t, d)
			var item *decode.Error
			if len(pts) != 0 || !errors.Is(err, tt.kind) || !errors.As(err, &item) || item.Detail == "" {
				t.Errorf("%d frames, %v", len(pts), err)
			}
			if _, infoErr := d.Info(t.Context()); !errors.Is(infoErr, tt.kind) {
				t.Errorf("info: %v", infoErr)
			}
		})
	}
}

// TestDamaged: cut off or overwritten, a file gives the pictures that are left and then an error, within the watchdog's time.
func TestDamaged(t *testing.T) {
	front := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-movflags", "+faststart")
	back := decodetest.Clip(t, "b.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264")
	whole := read(t, front)

	t.Run("cut, index in front", func(t *testing.T) {
		pts, err := drain(t, open(t, write(t, "cut.mp4", whole[:len(whole)/2])))
		if len(pts) < 5 || len(pts) >= 50 || !errors.Is(err, decode.ErrDamaged) {
			t.Errorf("%d frames, %v", len(pts), err)
		}
	})
	t.Run("cut, index lost", func(t *testing.T) {
		data := read(t, back)
		pts, err := drain(t, open(t, write(t, "cut.mp4", data[:len(data)/2])))
		if len(pts) != 0 || !errors.Is(err, decode.ErrDamaged) || !strings.Contains(err.Error(), "moov") {
			t.Errorf("%d frames, %v", len(pts), err)
		}
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		data := append([]byte(nil), whole...)
		for range 1 + rng.IntN(40) {
			data[rng.IntN(len(data))] = byte(rng.Uint32())
		}
		start := time.Now()
		pts, err := drain(t, open(t, write(t, "noise.mp4", data), func(o *decode.Options) { o.FrameTimeout = 20 * time.Second }))
		var item *decode.Error
		if !errors.Is(err, io.EOF) && !errors.As(err, &item) {
			t.Errorf("noise: %d frames, %v", len(pts), err)
		}
		if errors.Is(err, decode.ErrHung) || errors.Is(err, decode.ErrCrashed) {
			t.Errorf("noise: %v after %v", err, time.Since(start))
		}
	}
}

// TestTooLarge: a picture of absurd size is refused before memory is taken for it.
func TestTooLarge(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", "color=s=1280x720:r=5:d=1", "-c:v", "libx264")
	pts, err := drain(t, open(t, path, func(o *decode.Options) { o.MaxPixels = 1000 * 700 }))
	if len(pts) != 0 || !errors.Is(err, decode.ErrUnsupported) {
		t.Errorf("%d frames, %v", len(pts), err)
	}
}

func TestMemoryLimit(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=25:d=1", "-c:v", "libx264", "-refs", "8", "-bf", "3", "-preset", "ultrafast")
	pts, err := drain(t, open(t, path, func(o *decode.Options) { o.MaxMemory = 64 << 20 }))
	if !errors.Is(err, decode.ErrMemory) {
		t.Errorf("with 64 MB: %d frames, %v", len(pts), err)
	}
	if pts, err := drain(t, open(t, path)); len(pts) != 25 || !errors.Is(err, io.EOF) {
		t.Errorf("with the default: %d frames, %v", len(pts), err)
	}
}

func TestTimeout(t *testing.T) {
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264")
	d := open(t, path, func(o *decode.Options) { o.Timeout = 300 * time.Millisecond; o.Frames = 1 })
	f, err := d.Next(t.Context())
	for err == nil { // the frame is kept, so the child waits until its time is up
		_, err = d.Next(t.Context())
	}
	if !errors.Is(err, decode.ErrTimeout) {
		t.Error(err)
	}
	f.Release()
}
