package playback_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/packages/internal/program"
	"porthole/packages/player/picture"
	"porthole/packages/player/playback"
	"porthole/packages/player/stage"
)

// playFor is how long each thing is played; BENCHTIME says otherwise, as `make bench` does.
func playFor(b *testing.B) time.Duration {
	text := os.Getenv("BENCHTIME")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.Fatalf("BENCHTIME: %v", err)
	}
	return d
}

// processorTime is that of this process and of all its children that have ended.
func processorTime(b *testing.B) (all time.Duration) {
	b.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return all
}

// played is what a program did for a while.
type played struct {
	state  playback.State
	report stage.Report
	cpu    time.Duration // of this process and its decoders, from before their start until after their end
}

// play plays a program for a while, as player does, on a screen in memory that refreshes 60 times a second.
func play(b *testing.B, screen *display.Offscreen, dir string, p program.Program) (r played) {
	b.Helper()
	binary, log, state := decodetest.Binary(b), slog.New(slog.DiscardHandler), b.TempDir()
	st := stage.New(stage.Config{Log: log, Fallback: screen, Painter: painter{}})
	e := playback.New(playback.Config{
		Log: log, Stage: st, Files: files(dir), Dir: state,
		Video: func(ctx context.Context, f *os.File) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: binary, File: f, Frames: 6})
		},
		Picture: func(ctx context.Context, f *os.File) (image.Image, error) {
			return picture.LoadFile(ctx, f, image.Pt(1920, 1080), picture.Decoder(binary))
		},
	})
	e.SetProgram(p)
	before := processorTime(b)
	ctx, stop := context.WithTimeout(b.Context(), playFor(b))
	defer stop()
	var work sync.WaitGroup
	failed := make(chan error, 2)
	work.Go(func() { failed <- st.Run(ctx) })
	work.Go(func() { failed <- e.Run(ctx) })
	<-ctx.Done()
	r.state, r.report = e.State(), st.Report()
	work.Wait()
	r.cpu = processorTime(b) - before
	if err := errors.Join(<-failed, <-failed); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		b.Fatal(err)
	}
	if len(r.state.Skipped) > 0 || r.report.Presented < 2 {
		b.Fatalf("%d frames, skipped %+v", r.report.Presented, r.state.Skipped)
	}
	return r
}

// film makes a clip as editors write it: H.264 with B-frames, 6 Mbit/s, some noise in it.
func film(b *testing.B, source string) string {
	b.Helper()
	return decodetest.Clip(b, "a.mp4", "-f", "lavfi", "-i", source, "-vf", "noise=alls=6:allf=t,format=yuv420p",
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "6M")
}

// BenchmarkVideo plays a clip where the hardware shows video, and has the same decoder throw its pictures away, before and after. What a
// frame costs is all of it: the decoder with its start, playback, and the copy that a display's memory takes.
func BenchmarkVideo(b *testing.B) {
	for _, clip := range []struct {
		name, source string
		frames       int
	}{
		{"1080p30", "testsrc2=s=1920x1080:r=30:d=10", 300},
		{"720p60", "testsrc2=s=1280x720:r=60:d=10", 600},
	} {
		b.Run(clip.name, func(b *testing.B) {
			short, bin := film(b, clip.source), decodetest.Binary(b)
			// Longer than it is played: a second decoder is for the gaps' sake, and measured there.
			loops := int(playFor(b)/(10*time.Second)) + 2
			path := decodetest.Clip(b, "a.mp4", "-stream_loop", strconv.Itoa(loops-1), "-i", short, "-c", "copy")
			floor := func() time.Duration {
				before := processorTime(b)
				if out, err := exec.Command(bin, "-v", "error", "-nostdin", "-i", short, "-map", "0:v", "-f", "null", "-").CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				return processorTime(b) - before
			}
			var frames, late uint64
			var cost, nothing time.Duration
			for b.Loop() {
				nothing += floor()
				r := play(b, display.OpenOffscreenPlanes(1920, 1080), filepath.Dir(path), list("cut", video("a.mp4", 0)))
				nothing += floor()
				frames, late, cost = frames+r.report.Presented, late+r.state.Item.Dropped, cost+r.cpu
			}
			perFrame, null := float64(cost)/float64(frames+late), float64(nothing)/float64(2*b.N*clip.frames)
			b.ReportMetric(perFrame/1e6, "cpu-ms/frame")
			b.ReportMetric(null/1e6, "null-ms/frame")
			b.ReportMetric(perFrame/null, "of-null")
			b.ReportMetric(float64(frames), "frames")
			b.ReportMetric(float64(late), "late-frames")
		})
	}
}

// BenchmarkGaps counts how many changes came later than at the first possible refresh, and how late the latest: pictures and videos of
// full size, in real time.
func BenchmarkGaps(b *testing.B) {
	dir := b.TempDir()
	for name, from := range map[string]string{
		"a.mp4": film(b, "testsrc2=s=1920x1080:r=30:d=2"), "b.mp4": film(b, "smptebars=s=1280x720:r=60:d=2"),
		"a.png": photo(b, 200), "b.png": photo(b, 90),
	} {
		if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
			b.Fatal(err)
		}
	}
	var g playback.Gaps
	for b.Loop() {
		r := play(b, display.OpenOffscreenPlanes(1920, 1080), dir, list("cut",
			still('a', time.Second), still('b', time.Second), video("a.mp4", 0), video("b.mp4", 0)))
		g.Changes, g.Late, g.Max = g.Changes+r.state.Gaps.Changes, g.Late+r.state.Gaps.Late, max(g.Max, r.state.Gaps.Max)
	}
	b.ReportMetric(float64(g.Changes), "changes")
	b.ReportMetric(float64(g.Late), "late")
	b.ReportMetric(float64(g.Max), "longest-refreshes")
}

// photo is a picture of full size.
func photo(b *testing.B, shade uint8) string {
	b.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 1920, 1080))
	for y := range 1080 {
		for x := range 1920 {
			m.SetRGBA(x, y, color.RGBA{shade, uint8(x / 8), uint8(y / 5), 255})
		}
	}
	f, err := os.Create(filepath.Join(b.TempDir(), fmt.Sprintf("%d.png", shade)))
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		b.Fatal(err)
	}
	return f.Name()
}

// BenchmarkFade is what a frame in the middle of a crossfade costs: pictures with and without, drawn and with the hardware's help.
func BenchmarkFade(b *testing.B) {
	for name, open := range map[string]func(w, h int) *display.Offscreen{"drawn": display.OpenOffscreen, "plane-alpha": display.OpenOffscreenPlanes} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for name, from := range map[string]string{"a.png": photo(b, 200), "b.png": photo(b, 90)} {
				if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
					b.Fatal(err)
				}
			}
			var frames float64
			var cost time.Duration
			for b.Loop() {
				plain := play(b, open(1920, 1080), dir, list("cut", still('a', time.Second), still('b', time.Second)))
				faded := play(b, open(1920, 1080), dir, list("crossfade", still('a', time.Second), still('b', time.Second)))
				frames += float64(faded.report.Presented) - float64(plain.report.Presented)
				cost += faded.cpu - plain.cpu
			}
			b.ReportMetric(float64(cost)/frames/1e6, "cpu-ms/frame")
			b.ReportMetric(frames, "frames")
		})
	}
}
