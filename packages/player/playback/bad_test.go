package playback_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/packages/internal/program"
	"porthole/packages/player/playback"
)

// TestBadMedia: what cannot be played is passed over with a reason, and the next item comes at the very refresh at which
// it would have come anyway.
func TestBadMedia(t *testing.T) {
	for name, c := range map[string]struct {
		item   program.Item
		make   func(r *rig, path string)
		reason string
	}{
		"a file that is not here":     {item: still('k', time.Second), reason: "its file is not here"},
		"a picture of nonsense":       {item: still('x', time.Second), make: write([]byte("no picture at all")), reason: "damaged"},
		"a truncated picture":         {item: still('x', time.Second), make: truncate("r.png"), reason: "damaged"},
		"a picture of 900 megapixels": {item: still('x', time.Second), make: write(hugePNG()), reason: "too large"},
		"a video of nonsense":         {item: video("x.mp4", 0), make: write(bytes.Repeat([]byte("nonsense"), 10000)), reason: "damaged or incomplete"},
		"an empty video":              {item: video("x.mp4", time.Second), make: write(nil), reason: "damaged or incomplete"},
		"a picture that is a folder": {item: still('x', time.Second), make: func(r *rig, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				r.t.Fatal(err)
			}
		}, reason: "damaged"},
		"a video without its index": {item: video("x.mp4", 0), make: func(r *rig, path string) {
			r.colour('y', "whole.mp4", 1)
			b, err := os.ReadFile(filepath.Join(r.dir, "whole.mp4"))
			if err != nil {
				r.t.Fatal(err)
			}
			write(b[:len(b)/2])(r, path)
		}, reason: "damaged or incomplete"},
		"a kind of the future": {item: program.Item{Kind: "hologram", Fit: "fit", DurationMS: 1000, Description: "x"}, reason: "does not know how to show it"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, program.Program{}, setup{})
			if c.make != nil {
				c.make(r, filepath.Join(r.dir, c.item.FileName))
			}
			r.engine.SetProgram(list("cut", still('r', time.Second), c.item, still('g', time.Second)))
			r.step(1 + 4*60 + 20)
			r.checkSpans("r60 g60 r60 g60 r20")
			s := r.engine.State()
			if len(s.Skipped) != 1 || s.Skipped[0].Item != 2 || !strings.Contains(s.Skipped[0].Reason, c.reason) {
				t.Errorf("skipped %+v, want %q", s.Skipped, c.reason)
			}
			if s.Gaps.Late != 0 || s.Gaps.Changes < 3 {
				t.Errorf("gaps %+v", s.Gaps)
			}
			var errors int
			for _, ev := range r.reported() {
				if ev.Status == "error" {
					errors++
					if ev.Item != 2 || !strings.Contains(ev.Message, c.reason) {
						t.Errorf("%+v", ev)
					}
				}
			}
			if errors != 1 {
				t.Errorf("%d errors were reported, want one", errors)
			}
		})
	}
}

func write(b []byte) func(*rig, string) {
	return func(r *rig, path string) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// truncate makes a file of the first half of another.
func truncate(name string) func(*rig, string) {
	return func(r *rig, path string) {
		b, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			r.t.Fatal(err)
		}
		write(b[:len(b)/2])(r, path)
	}
}

// hugePNG claims to be 30,000 pixels wide and high.
func hugePNG() []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, 30000)
	b = binary.BigEndian.AppendUint32(b, 30000)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func (r *rig) reported() []playback.Event {
	r.engine.Tell()
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]playback.Event(nil), r.events...)
}

// TestAllBad: with nothing that can be played it says so, does not spin, and plays when something can.
func TestAllBad(t *testing.T) {
	r := start(t, program.Program{}, setup{})
	p := list("cut", still('x', time.Second), video("x.mp4", 0))
	r.engine.SetProgram(p)
	r.until("both are given up", func() bool { return len(r.engine.State().Skipped) == 2 })
	if s := r.engine.State(); s.Playing || s.Item != nil {
		t.Errorf("state %+v", s)
	}
	truncated := filepath.Join(r.dir, "x.png")
	b, err := os.ReadFile(filepath.Join(r.dir, "c.png"))
	if err != nil {
		t.Fatal(err)
	}
	write(b)(r, truncated)
	r.until("the one that came is ready", r.engine.Settled)
	r.step(10)
	if got := r.hues(); got != "c" || !r.engine.State().Playing {
		t.Errorf("on the screen: %s, %+v", got, r.engine.State())
	}
}

// TestTruncatedVideo: a video that ends in the middle is shown as far as it goes, then the next item comes.
func TestTruncatedVideo(t *testing.T) {
	r := start(t, program.Program{}, setup{})
	r.clip("whole.ts", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=30:d=3", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast")
	b, err := os.ReadFile(filepath.Join(r.dir, "whole.ts"))
	if err != nil {
		t.Fatal(err)
	}
	write(b[:len(b)/2])(r, filepath.Join(r.dir, "half.ts"))
	r.engine.SetProgram(list("cut", still('r', time.Second), video("half.ts", 0), still('g', time.Second)))
	r.step(1 + 60 + 180 + 60)
	h := r.hues()
	if !strings.HasPrefix(h, "r") || !strings.Contains(h, "g") || strings.Contains(h, "k") {
		t.Errorf("on the screen: %s", r.spans())
	}
	if g := r.engine.State().Gaps; g.Changes < 2 {
		t.Errorf("gaps %+v", g)
	}
}

// children are the processes of decoders.
func children(t *testing.T) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid …, proc_pid_stat(5)
		rest := string(b[bytes.LastIndexByte(b, ')')+1:])
		if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestDecoderLost: a decoder that is killed or hangs in the middle of an item costs the rest of that item. Its last frame
// stays until the next item comes; nothing else is ever on the screen.
func TestDecoderLost(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		reason string
	}{
		"killed": {syscall.SIGKILL, decode.ErrCrashed.Error()}, "hung": {syscall.SIGSTOP, decode.ErrHung.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, program.Program{}, setup{})
			r.clip("long.mp4", "-f", "lavfi", "-i", "color=c=0x0000ff:s=1280x720:r=30:d=10", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast")
			r.engine.SetProgram(list("cut", video("long.mp4", 0), still('g', time.Second)))
			r.step(30)
			before := children(t)
			if len(before) != 1 {
				t.Fatalf("%d decoders", len(before))
			}
			if err := syscall.Kill(before[0], c.signal); err != nil {
				t.Fatal(err)
			}
			r.step(60)
			var blue, green int
			if n, err := fmt.Sscanf(r.spans(), "b%d g%d", &blue, &green); n != 2 || blue < 28 || blue > 60 {
				t.Errorf("on the screen: %s (%v)", r.spans(), err)
			}
			s := r.engine.State()
			if len(s.Skipped) != 1 || s.Skipped[0].Reason != c.reason || s.Gaps.Late != 0 || s.Restarts != 0 {
				t.Errorf("state %+v", s)
			}
			// It comes again in its turn.
			r.step(90)
			if h := r.hues(); h != "bgb" {
				t.Errorf("on the screen: %s", h)
			}
			r.until("the lost decoder is gone", func() bool {
				for _, pid := range children(t) {
					if pid == before[0] {
						return false
					}
				}
				return true
			})
		})
	}
}

// TestSlowDecoder: while the next item is not ready, the last good frame stays, and another item that is ready does not
// wait for it. It comes when it is ready.
func TestSlowDecoder(t *testing.T) {
	var opened atomic.Int32
	free := make(chan struct{})
	binary := decodetest.Binary(t)
	r := start(t, program.Program{}, setup{video: func(ctx context.Context, f *os.File) (*decode.Decoder, error) {
		opened.Add(1)
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return decode.Open(ctx, decode.Options{Binary: binary, File: f, Frames: 6})
	}})
	r.colour('b', "b.mp4", 1)
	r.engine.SetProgram(list("cut", still('r', time.Second), video("b.mp4", 0), still('g', time.Second)))
	r.run("red came again", func() bool { return strings.HasPrefix(r.hues(), "rgr") })
	if s := r.engine.State(); opened.Load() != 1 || len(s.Skipped) != 0 {
		t.Errorf("opened %d times, state %+v", opened.Load(), s)
	}
	close(free)
	r.run("blue is on the screen", func() bool { return strings.Contains(r.hues(), "b") })
	if strings.Contains(r.hues(), "k") {
		t.Errorf("on the screen: %s", r.hues())
	}
}

// TestHungDecoder: one that never gets anywhere is given up, with a reason.
func TestHungDecoder(t *testing.T) {
	t.Parallel()
	r := start(t, program.Program{}, setup{video: func(ctx context.Context, _ *os.File) (*decode.Decoder, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	r.colour('b', "b.mp4", 1)
	r.engine.SetProgram(list("cut", still('r', time.Second), video("b.mp4", 0), still('g', time.Second)))
	r.run("green is on the screen", func() bool { return strings.HasPrefix(r.hues(), "rg") })
	r.run("the reason is there", func() bool { return len(r.engine.State().Skipped) > 0 })
	if s := r.engine.State(); s.Skipped[0].Item != 2 || s.Skipped[0].Reason != decode.ErrHung.Error() || s.Restarts != 0 || strings.ContainsAny(r.hues(), "bk") {
		t.Errorf("on the screen: %s, state %+v", r.hues(), s)
	}
}
