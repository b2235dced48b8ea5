package decode_test

import (
	"errors"
	"io"
	"os/exec"
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

// BenchmarkDecode measures a 1080p clip on one thread: through the pipe into a reader, and by the decoder alone into nothing.
func BenchmarkDecode(b *testing.B) {
	const frames = 60
	clip := decodetest.Clip(b, "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=2", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M")
	report := func(b *testing.B, cpu time.Duration) {
		b.ReportMetric(float64(b.N*frames)/b.Elapsed().Seconds(), "frames/s")
		b.ReportMetric(float64(cpu.Microseconds())/float64(b.N*frames)/1000, "cpu-ms/frame")
	}
	b.Run("pipe", func(b *testing.B) {
		cpu := childCPU(b)
		for b.Loop() {
			d := open(b, clip, func(o *decode.Options) { o.Threads = 1 })
			if pts, err := drain(b, d); len(pts) != frames || !errors.Is(err, io.EOF) {
				b.Fatalf("%d frames, %v", len(pts), err)
			}
			d.Close()
		}
		report(b, childCPU(b)-cpu)
	})
	b.Run("null", func(b *testing.B) {
		bin := decodetest.Binary(b)
		cpu := childCPU(b)
		for b.Loop() {
			if out, err := exec.Command(bin, "-v", "error", "-nostdin", "-threads", "1", "-i", clip, "-an", "-f", "null", "-").CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
		report(b, childCPU(b)-cpu)
	})
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
