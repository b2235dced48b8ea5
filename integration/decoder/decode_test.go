package decoder_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clip makes a file with Debian's ffmpeg.
func clip(t *testing.T, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	debian(t, append(args, path)...)
	return path
}

// pictures is an input of one second, 25 pictures of an awkward size.
var pictures = []string{"-f", "lavfi", "-i", "testsrc2=s=322x242:r=25:d=1"}

// TestPictures: every kind of video gives the very pixels that Debian's own ffmpeg gives. The standards of MPEG-4 and JPEG
// let each decoder round its transform in its own way, and ffmpeg does on each processor: there a step or two is allowed.
func TestPictures(t *testing.T) {
	each(t, func(t *testing.T, g target) {
		for _, c := range []struct {
			name, file string
			args       []string
			tolerance  int
		}{
			{"H.264 in MP4", "a.mp4", []string{"-c:v", "libx264", "-bf", "2"}, 0},
			{"H.264 in MPEG-TS", "a.ts", []string{"-c:v", "libx264"}, 0},
			{"H.264 raw", "a.h264", []string{"-c:v", "libx264"}, 0},
			{"HEVC in Matroska", "a.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none"}, 0},
			{"HEVC raw", "a.hevc", []string{"-c:v", "libx265", "-x265-params", "log-level=none"}, 0},
			{"MPEG-4", "a.mov", []string{"-c:v", "mpeg4", "-q:v", "3"}, 2},
			{"VP8", "a.webm", []string{"-c:v", "libvpx", "-deadline", "realtime"}, 0},
			{"VP9", "a.webm", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"}, 0},
			{"Motion JPEG", "a.mjpeg", []string{"-c:v", "mjpeg", "-q:v", "3"}, 2},
		} {
			t.Run(c.name, func(t *testing.T) {
				path := clip(t, c.file, append(pictures, c.args...)...)
				decode := []string{"-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-"}
				want, got := debian(t, decode...), g.run(t, decode...)
				if frame := 322 * 242 * 3 / 2; len(want) != 25*frame {
					t.Fatalf("Debian's ffmpeg gives %d bytes, not 25 pictures of %d", len(want), frame)
				}
				if len(got) != len(want) {
					t.Fatalf("%d bytes of pictures, want %d", len(got), len(want))
				}
				if worst := worstStep(want, got); worst > c.tolerance {
					t.Errorf("pixels differ by up to %d of 256 steps", worst)
				}
			})
		}
	})
}

// worstStep is the largest difference of two pictures of the same size.
func worstStep(a, b []byte) (worst int) {
	for i := range a {
		worst = max(worst, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return worst
}

// TestSound: every kind of sound gives the samples that Debian's ffmpeg gives. Decoders that compute with fractions may
// round otherwise on another processor, by a step or two of 65,536.
func TestSound(t *testing.T) {
	tone := []string{"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=1"}
	each(t, func(t *testing.T, g target) {
		for _, c := range []struct {
			name, file string
			args       []string
			tolerance  int
		}{
			{"AAC", "a.m4a", []string{"-c:a", "aac"}, 2},
			{"AAC raw", "a.aac", []string{"-c:a", "aac"}, 2},
			{"MP3", "a.mp3", []string{"-c:a", "libmp3lame"}, 2},
			{"Opus", "a.mka", []string{"-c:a", "libopus"}, 2},
			{"G.711 A-law", "a.wav", []string{"-ar", "8000", "-c:a", "pcm_alaw"}, 0},
			{"G.711 µ-law", "a.wav", []string{"-ar", "8000", "-c:a", "pcm_mulaw"}, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				path := clip(t, c.file, append(tone, c.args...)...)
				// NUT for want of a muxer for bare samples here; Debian's ffmpeg takes them out of it.
				nut := filepath.Join(t.TempDir(), "a.nut")
				g.run(t, "-i", path, "-c:a", "pcm_s16le", nut)
				raw := []string{"-c:a", "pcm_s16le", "-f", "s16le", "-"}
				want, got := debian(t, append([]string{"-i", path}, raw...)...), debian(t, append([]string{"-i", nut}, raw...)...)
				if len(want) < 8000 || len(want) != len(got) {
					t.Fatalf("%d bytes of samples, want %d", len(got), len(want))
				}
				if worst, loudest := compareSamples(want, got); worst > c.tolerance || loudest < 1000 {
					t.Errorf("samples differ by up to %d; the loudest is %d", worst, loudest)
				}
			})
		}
	})
}

// compareSamples returns the largest difference of two runs of 16-bit samples, and the loudest of the first.
func compareSamples(a, b []byte) (worst, loudest int) {
	for i := 0; i+1 < min(len(a), len(b)); i += 2 {
		x, y := int(int16(binary.LittleEndian.Uint16(a[i:]))), int(int16(binary.LittleEndian.Uint16(b[i:])))
		worst, loudest = max(worst, x-y, y-x), max(loudest, x, -x)
	}
	return worst, loudest
}

// TestEncoders: what the program makes for browsers (VP8 and Opus) is what Debian's ffmpeg plays.
func TestEncoders(t *testing.T) {
	each(t, func(t *testing.T, g target) {
		in := clip(t, "in.mp4", append(pictures, "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=1", "-c:v", "libx264", "-c:a", "aac")...)
		video, sound := filepath.Join(t.TempDir(), "a.ivf"), filepath.Join(t.TempDir(), "a.ogg")
		// Compiled in for live pictures only: it looks at no frame ahead.
		g.run(t, "-i", in, "-map", "0:v", "-c:v", "libvpx", "-deadline", "realtime", "-lag-in-frames", "0", "-b:v", "2M", video)
		g.run(t, "-i", in, "-map", "0:a", "-c:a", "libopus", sound)
		raw := debian(t, "-i", video, "-f", "rawvideo", "-")
		if frame := 322 * 242 * 3 / 2; len(raw) != 25*frame {
			t.Errorf("VP8: %d bytes, not 25 pictures of %d", len(raw), frame)
		}
		// A tenth of the range of brightness: far more than 2 Mbit/s lose, far less than another picture has.
		if off := meanSquare(debian(t, "-i", in, "-map", "0:v", "-f", "rawvideo", "-"), raw); off > 25*25 {
			t.Errorf("VP8: the pictures are not those that went in (mean square difference %d)", off)
		}
		if head, err := os.ReadFile(video); err != nil || !strings.HasPrefix(string(head), "DKIF") || string(head[8:12]) != "VP80" {
			t.Errorf("the video is no VP8: %.32q (%v)", head, err)
		}
		samples := debian(t, "-i", sound, "-ar", "48000", "-ac", "1", "-f", "s16le", "-")
		if _, loudest := compareSamples(samples, samples); len(samples) < 2*45000 || loudest < 1000 {
			t.Errorf("Opus: %d bytes of sound, the loudest sample %d", len(samples), loudest)
		}
	})
}

// meanSquare is the mean of the squared differences.
func meanSquare(a, b []byte) int {
	n := min(len(a), len(b))
	if n == 0 {
		return 0
	}
	sum := 0
	for i := range n {
		d := int(a[i]) - int(b[i])
		sum += d * d
	}
	return sum / n
}
