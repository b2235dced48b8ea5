package playback_test

import (
	"image"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/stage"
)

// TestCrossfade: between items of all kinds there are half a second of mixtures and nothing else, and the change begins at
// the very refresh after the last item's time is over.
func TestCrossfade(t *testing.T) {
	const second = time.Second
	for name, items := range map[string][]program.Item{
		"stills":              {still('r', second), still('b', second)},
		"a still and a video": {still('r', second), video("b.mp4", 0)},
		"videos":              {video("r.mp4", 0), video("b.mp4", 0)},
	} {
		for _, planes := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", planes", false: ", drawn"}[planes], func(t *testing.T) {
				r := start(t, program.Program{}, setup{planes: planes})
				r.colour('r', "r.mp4", 1)
				r.colour('b', "b.mp4", 1)
				r.engine.SetProgram(list("crossfade", items...))
				r.step(1 + 3*60 + 45)
				// Of a mixture that is nearly one of them it cannot be told: about five refreshes at either end.
				spans := strings.Fields(r.spans())
				if h := r.hues(); h != "r+b+r+b" || g(r).Late != 0 || g(r).Changes != 3 {
					t.Errorf("on the screen: %v, gaps %+v", spans, g(r))
				}
				for i, s := range spans {
					if i%2 == 1 && (s < "+18" || s > "+30") {
						t.Errorf("on the screen: %v", spans)
					}
				}
			})
		}
	}
}

// TestPlug: when the display is pulled out, or another is there, it goes on, with all that is on the screen.
func TestPlug(t *testing.T) {
	r := start(t, program.Program{}, setup{planes: true})
	r.colour('b', "b.mp4", 1)
	r.engine.SetProgram(list("cut", still('r', time.Second), video("b.mp4", 0)))
	r.step(20)
	r.screen.Unplug()
	r.step(20)
	r.screen.Plug(image.Pt(128, 72))
	r.step(20)
	if m, _ := r.screen.Last(); m.Rect.Dx() != 128 || hue(m) != 'r' {
		t.Errorf("%v, %c", m.Rect, hue(m))
	}
	r.step(60)
	if m, _ := r.screen.Last(); hue(m) != 'b' {
		t.Errorf("%c", hue(m))
	}
	r.step(70)
	if s := r.engine.State(); s.Gaps.Changes != 3 || s.Gaps.Late != 0 || s.Restarts != 0 {
		t.Errorf("state %+v", s)
	}
}

// TestTurn: everything is turned with the screen, what is on it at once.
func TestTurn(t *testing.T) {
	r := start(t, list("cut", still('r', time.Second), still('g', time.Second)), setup{})
	r.step(20)
	r.stage.Orient(stage.Turn("portrait"))
	r.step(20)
	m, _ := r.screen.Last()
	// 64 by 36 on a screen that is seen as 36 by 64 has bars above and below, which lie left and right on the turned one.
	if hue(m) != 'r' || m.Pix[m.PixOffset(4, 18)+2] > 40 || m.Pix[m.PixOffset(32, 2)+2] < 200 {
		t.Errorf("%c, %v, %v", hue(m), m.Pix[m.PixOffset(4, 18):][:4], m.Pix[m.PixOffset(32, 2):][:4])
	}
	r.step(60)
	if m, _ := r.screen.Last(); hue(m) != 'g' || m.Pix[m.PixOffset(4, 18)+1] > 40 {
		t.Errorf("%c", hue(m))
	}
	if g := g(r); g.Late != 0 {
		t.Errorf("gaps %+v", g)
	}
}
