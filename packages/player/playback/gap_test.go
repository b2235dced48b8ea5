package playback_test

import (
	"testing"
	"time"

	"porthole/packages/internal/program"
)

// TestGaps: on a machine that is fast enough, the next item is on the screen at the very refresh after the last one's time
// is over, whatever they are, and never anything else.
func TestGaps(t *testing.T) {
	const second = time.Second
	for name, c := range map[string]struct {
		items []program.Item
		want  string
		most  uint64 // changes
	}{
		"image to image": {[]program.Item{still('r', second), still('g', second)}, "r60 g60 r60 g60 r60", 4},
		"image to video": {[]program.Item{still('r', second), video("b.mp4", 0)}, "r60 b60 r60 b60 r60", 4},
		"video to video": {[]program.Item{video("b.mp4", 0), video("y.mp4", 0)}, "b60 y60 b60 y60 b60", 4},
		"a video is cut": {[]program.Item{video("b.mp4", second/2), still('r', second)}, "b30 r60 b30 r60 b30 r60", 4},
		"seam":           {[]program.Item{video("ramp.mp4", 0)}, "", 4},
		"seam of one that is longer than its file": {[]program.Item{video("ramp.mp4", 3*second), still('r', second)}, "", 1},
	} {
		for _, planes := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", planes", false: ", drawn"}[planes], func(t *testing.T) {
				r := start(t, program.Program{}, setup{planes: planes, rests: true})
				r.colour('b', "b.mp4", 1)
				r.colour('y', "y.mp4", 1)
				r.ramp("ramp.mp4")
				r.engine.SetProgram(list("cut", c.items...))
				if c.want != "" {
					r.step(1 + 4*60 + 20)
					r.checkSpans(c.want)
				} else {
					r.step(1 + 60*4 + 10)
					r.checkRamp(3)
				}
				if g := r.engine.State().Gaps; g.Changes < c.most-1 || g.Late != 0 || g.Max != 0 {
					t.Errorf("gaps %+v", g)
				}
			})
		}
	}
}

// ramp is a video of 30 frames per second whose brightness says which frame it is.
func (r *rig) ramp(name string) {
	r.clip(name, "-f", "lavfi", "-i", "nullsrc=s=64x36:r=30:d=1,geq=lum=40+6*N:cb=128:cr=128", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-qp", "1", "-preset", "ultrafast")
}

// checkRamp checks that each frame of a ramp came in its turn, two refreshes after the one before it, for so many rounds.
func (r *rig) checkRamp(rounds int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.shots) < 30*rounds {
		r.t.Fatalf("only %d frames", len(r.shots))
	}
	for i, s := range r.shots[:30*rounds] {
		// Luma 16 to 235 becomes 0 to 255.
		want := (40 + 6*(i%30) - 16) * 255 / 219
		if diff := int(s.grey) - want; diff < -3 || diff > 3 || s.seq != r.shots[0].seq+2*uint64(i) {
			r.t.Fatalf("frame %d is %d at refresh %d; want %d at %d", i, s.grey, s.seq, want, r.shots[0].seq+2*uint64(i))
		}
	}
}

// checkSpans compares what was on the screen, but for the last, which goes on.
func (r *rig) checkSpans(want string) {
	r.t.Helper()
	got := r.spans()
	cut := func(s string) string {
		for i := len(s) - 1; i >= 0; i-- {
			if s[i] == ' ' {
				return s[:i+2] // the last one's colour
			}
		}
		return s
	}
	if cut(got) != cut(want) {
		r.t.Errorf("on the screen: %s; want %s", got, want)
	}
}
