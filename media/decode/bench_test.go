package decode_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// childCPU is the processor time of all children that have ended.
func childCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ownCPU is the processor time of this process.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecode measures what a frame costs, of the child and of this process together, that is taken and copied once more
// as into a display's memory: in shared memory, and through a pipe as where the decoder is a common ffmpeg. Beside it stands the
// decoder alone that throws its pictures away.
func BenchmarkDecode(b *testing.B) {
	for _, clip := range []struct {
		name, source string
		frames       int
	}{
		{"1080p30", "testsrc2=s=1920x1080:r=30:d=10", 300},
		{"720p60", "testsrc2=s=1280x720:r=60:d=10", 600},
	} {
		path := decodetest.Clip(b, "a.mp4", "-f", "lavfi", "-i", clip.source, "-vf", "noise=alls=6:allf=t,format=yuv420p",
			"-c:v", "libx264", "-preset", "veryfast", "-b:v", "6M")
		var per [3]time.Duration
		measure := func(b *testing.B, which int, once func(b *testing.B)) {
			cpu, own := childCPU(b)+ownCPU(b), ownCPU(b)
			for b.Loop() {
				once(b)
			}
			b.ReportMetric(float64((ownCPU(b)-own).Microseconds())/float64(b.N*clip.frames)/1000, "own-ms/frame")
			per[which] = (childCPU(b) + ownCPU(b) - cpu) / time.Duration(b.N*clip.frames)
			b.ReportMetric(float64(b.N*clip.frames)/b.Elapsed().Seconds(), "frames/s")
			b.ReportMetric(float64(per[which].Microseconds())/1000, "cpu-ms/frame")
			if per[0] > 0 {
				b.ReportMetric(float64(per[which])/float64(per[0]), "of-null")
			}
		}
		b.Run(clip.name+"/null", func(b *testing.B) {
			bin := decodetest.Binary(b)
			measure(b, 0, func(b *testing.B) {
				if out, err := exec.Command(bin, "-v", "error", "-nostdin", "-i", path, "-an", "-f", "null", "-").CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			})
		})
		present := func(b *testing.B, change ...func(*decode.Options)) {
			var y, cb, cr []byte
			d := open(b, path, change...)
			for n := 0; ; n++ {
				f, err := d.Next(b.Context())
				if err != nil {
					if n != clip.frames || !errors.Is(err, io.EOF) {
						b.Fatalf("%d frames, %v", n, err)
					}
					break
				}
				y, cb, cr = append(y[:0], f.Image.Y...), append(cb[:0], f.Image.Cb...), append(cr[:0], f.Image.Cr...)
				f.Release()
			}
			d.Close()
		}
		b.Run(clip.name+"/shared", func(b *testing.B) { measure(b, 1, func(b *testing.B) { present(b) }) })
		b.Run(clip.name+"/pipe", func(b *testing.B) {
			measure(b, 2, func(b *testing.B) { present(b, func(o *decode.Options) { o.Libraries = []string{"/nonexistent"} }) })
		})
	}
}

// BenchmarkFirstFrame is the time from Open to the first picture of a small clip.
func BenchmarkFirstFrame(b *testing.B) {
	clip := decodetest.Clip(b, "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=1", "-c:v", "libx264", "-preset", "veryfast")
	for b.Loop() {
		d := open(b, clip)
		f, err := d.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
		d.Close()
	}
}

// BenchmarkEncode is what converting costs: processor time in percent of the time that is converted, and memory at the
// peak, for 720p and 1080p of 25 pictures a second and for AAC.
func BenchmarkEncode(b *testing.B) {
	measure := func(b *testing.B, live decode.Live, to decode.Codec, units []decode.Unit, last func(time.Duration) bool) {
		cpu, peak := childCPU(b), int64(0)
		for b.Loop() {
			d := openLive(b, live, func(o *decode.Options) { o.Encode = &decode.Encode{Codec: to, BitRate: 2_000_000} })
			got := time.Duration(-1)
			for i, u := range units {
				if err := d.Send(u); err != nil {
					b.Fatal(err)
				}
				for i%10 == 9 && !last(u.PTS-got) {
					got = packet(b, d).PTS
				}
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", childPID(b, os.Getpid())))
			if err != nil {
				b.Fatal(err)
			}
			var kb int64
			if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
				_, _ = fmt.Sscan(rest, &kb)
			}
			peak = max(peak, kb)
			d.Close()
		}
		seconds := (units[len(units)-1].PTS - units[0].PTS).Seconds() * float64(b.N)
		b.ReportMetric((childCPU(b)-cpu).Seconds()/seconds*100, "cpu-%")
		b.ReportMetric(float64(peak)/1024, "MB")
	}
	b.Run("H.264 to VP8", func(b *testing.B) {
		units := camera(b, decode.H264, "10", "-vf", "scale=1280:720,noise=alls=8:allf=t")
		measure(b, decode.Live{Codec: decode.H264}, decode.VP8, units, func(behind time.Duration) bool { return behind <= 0 })
	})
	b.Run("H.265 1080p to VP8", func(b *testing.B) {
		units := camera(b, decode.H265, "10", "-vf", "scale=1920:1080,noise=alls=8:allf=t")
		measure(b, decode.Live{Codec: decode.H265}, decode.VP8, units, func(behind time.Duration) bool { return behind <= 0 })
	})
	b.Run("AAC to Opus", func(b *testing.B) {
		measure(b, decode.Live{Codec: decode.AAC, SampleRate: 16000, Channels: 1, Config: []byte{0x14, 0x08}}, decode.Opus, aacUnits(b),
			func(behind time.Duration) bool { return behind <= 200*time.Millisecond })
	})
}
