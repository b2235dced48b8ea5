package display_test

import (
	"context"
	"errors"
	"image"
	"testing"
	"time"

	"porthole/hw/display"
)

// TestSimulated: nothing comes on the screen before its refresh, and time stands still until then.
func TestSimulated(t *testing.T) {
	c := display.NewClock(50_000)
	s := display.OpenSimulated(64, 36, true, c)
	if i := s.Info(); !i.VideoPlanes || !i.Veils || i.Mode.RefreshMilliHz != 50_000 {
		t.Errorf("described as %+v", i)
	}
	var seen []display.Vblank
	s.Watch(func(v display.Vblank, m *display.Image) { seen = append(seen, v) })
	begin := c.Vblank()
	if _, err := s.Present(canceled(), fill(s, red)); !errors.Is(err, context.Canceled) {
		t.Errorf("a frame without a refresh: %v", err)
	}
	for i := range uint64(3) {
		done := make(chan display.Vblank)
		go func() { done <- present(t, s, fill(s, red)) }()
		want, err := c.Step(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		if v := <-done; v != want || v.Sequence != begin.Sequence+i+1 || v.Time-begin.Time != time.Duration(i+1)*20*time.Millisecond {
			t.Errorf("frame %d came at %+v", i, v)
		}
	}
	if len(seen) != 3 || seen[2] != c.Vblank() || c.Now() != seen[2].Time {
		t.Errorf("seen at %v", seen)
	}
	m, n := s.Last()
	wantAll(t, "on the screen", pixels(m), red)
	if n != 3 {
		t.Errorf("%d frames", n)
	}
	if _, err := c.Step(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("a step while nobody waits: %v", err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestSimulatedTime(t *testing.T) {
	c := display.NewClock(100_000)
	late, stop := c.After(c.Now() + 15*time.Millisecond)
	_, stopOther := c.After(c.Now() + time.Hour)
	stopOther()
	if past, _ := c.After(c.Now()); !over(past) {
		t.Error("what is now is still to come")
	}
	if _, err := c.Step(limited(t)); err != nil || over(late) {
		t.Errorf("15 ms are over after 10: %v", err)
	}
	if _, err := c.Step(limited(t)); err != nil || !over(late) {
		t.Errorf("15 ms are not over after 20: %v", err)
	}
	stop()
	if _, err := c.Step(canceled()); err == nil {
		t.Error("a step while all have stopped waiting")
	}
}

func over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// TestSimulatedDisplay: another display, none, another mode.
func TestSimulatedDisplay(t *testing.T) {
	c := display.NewClock(60_000)
	s := display.OpenSimulated(64, 36, false, c)
	show := func(f display.Frame) error {
		t.Helper()
		done := make(chan error)
		go func() {
			_, err := s.Present(limited(t), f)
			done <- err
		}()
		if _, err := c.Step(limited(t)); err != nil {
			t.Fatal(err)
		}
		return <-done
	}
	if err := show(fill(s, red)); err != nil {
		t.Fatal(err)
	}
	if err := s.Blank(t.Context(), true); err != nil || !s.Off() {
		t.Errorf("off: %v", err)
	}
	s.Unplug()
	if <-s.Changes(); s.Info().Connected {
		t.Error("unplugged, there still is a display")
	}
	if err := show(fill(s, red)); err != nil || s.Off() {
		t.Errorf("a frame for nobody: %v", err)
	}
	s.Plug(image.Pt(64, 36), image.Pt(32, 18))
	if <-s.Changes(); !s.Info().Connected || len(s.Info().Modes) != 2 {
		t.Errorf("plugged in: %+v", s.Info())
	}
	m, _ := s.Last()
	wantAll(t, "plugged in again", pixels(m), red)
	if err := s.SetMode(t.Context(), display.Mode{Width: 32, Height: 18}); err != nil {
		t.Fatal(err)
	}
	if <-s.Changes(); s.Info().Mode.Width != 32 || s.Info().Note != "" {
		t.Errorf("in another mode: %+v", s.Info())
	}
	if err := show(display.Frame{Base: display.NewImage(image.Rect(0, 0, 32, 18))}); err != nil {
		t.Error(err)
	}
	if err := s.SetMode(t.Context(), display.Mode{Width: 99, Height: 99}); err != nil || s.Info().Mode.Width != 64 || s.Info().Note == "" {
		t.Errorf("a mode that there is not: %+v, %v", s.Info(), err)
	}
}

// TestOffscreenVeil: what is before lies over what comes.
func TestOffscreenVeil(t *testing.T) {
	s := display.OpenOffscreenPlanes(64, 36)
	f := fill(s, blue)
	f.Veil, f.VeilShare = fill(s, red).Base, 64
	present(t, s, f)
	m, _ := s.Last()
	if got := pixels(m).RGBAAt(5, 5); !near(got.R, 64) || !near(got.B, 191) || got.G != 0 {
		t.Errorf("a quarter of red over blue is %v", got)
	}
	f.VeilShare = 300
	if _, err := s.Present(limited(t), f); !errors.Is(err, display.ErrVeil) {
		t.Errorf("more than all of it: %v", err)
	}
	if _, err := display.OpenOffscreen(64, 36).Present(limited(t), display.Frame{Veil: f.Veil, VeilShare: 1}); !errors.Is(err, display.ErrVeil) {
		t.Errorf("without planes: %v", err)
	}
}
