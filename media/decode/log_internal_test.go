package decode

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/decode/nut"
)

// ffmpegLog is what the decoder says about a film from a phone, sound first.
const ffmpegLog = `[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from '/proc/self/fd/3':
[info]   Duration: 01:02:03.45, start: 0.000000, bitrate: 404 kb/s
[info]   Stream #0:0[0x1](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, 69 kb/s (default)
[info]   Stream #0:1[0x2](und): Video: hevc (Main) (hvc1 / 0x31637668), yuv420p(tv, bt709), 1920x1080 [SAR 1:1 DAR 16:9], 401 kb/s, 29.97 fps, 30 tbr, 12800 tbn (default)
[info]     Side data:
[info]       displaymatrix: rotation of -90.00 degrees
[info] Stream mapping:
[info]   Stream #0:1 -> #0:0 (hevc (native) -> rawvideo (native))
[hevc @ 0x5581c0ffee00] [error] Could not find ref with POC 12
[info] Output #0, nut, to 'pipe:1':
[info]   Stream #0:0(und): Video: rawvideo (I420 / 0x30323449), yuv420p(tv, bt709, progressive), 1920x1080 [SAR 1:1 DAR 16:9], q=2-31, 69120 kb/s, 29.97 fps, 90k tbn (default)
`

func TestLog(t *testing.T) {
	l := newLog()
	l.read(strings.NewReader(ffmpegLog))
	got := l.info(nut.Stream{Width: 1920, Height: 1080})
	want := StreamInfo{
		Codec: "hevc", Width: 1920, Height: 1080, SampleAspect: [2]int{1, 1}, FrameRate: 29.97,
		Duration: time.Hour + 2*time.Minute + 3450*time.Millisecond, Rotation: 90, Matrix: BT709,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if l.errorCount() != 1 || l.lastWords() != "[hevc] Could not find ref with POC 12" {
		t.Errorf("%d errors, last %q", l.errorCount(), l.lastWords())
	}
}

// FuzzLog: whatever an item makes the decoder say, the description stays within bounds and the words can be logged.
func FuzzLog(f *testing.F) {
	f.Add([]byte(ffmpegLog))
	f.Add([]byte("[error] \x1b[2J\r\n[fatal] " + strings.Repeat("é", 2000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLog()
		l.read(strings.NewReader(string(data)))
		i := l.info(nut.Stream{Width: 2, Height: 2})
		if i.Rotation < 0 || i.Rotation > 270 || i.Rotation%90 != 0 || i.Duration < 0 || i.FrameRate < 0 {
			t.Fatalf("%+v", i)
		}
		words := l.lastWords()
		if len(words) > 1000 || strings.ContainsAny(words, "\n\r\x1b\x00") {
			t.Fatalf("%q", words)
		}
		select {
		case <-l.described:
		default:
			t.Fatal("the end of the log was not noticed")
		}
	})
}
