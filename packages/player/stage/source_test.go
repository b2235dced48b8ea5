package stage_test

import (
	"bytes"
	"context"
	"image"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/player/stage"
)

// reels is a source that shows what it is given, at the refreshes it is given for.
type reels struct {
	mu    sync.Mutex // guards what follows
	at    map[int]stage.Change
	rest  time.Duration // Rest of all changes, after the first refresh
	asked []stage.Refresh
	shown []stage.Refresh
}

func (s *reels) Next(r stage.Refresh) stage.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	c := s.at[len(s.asked)-1]
	if s.rest > 0 {
		c.Rest = s.asked[0].Time + s.rest
	}
	return c
}

func (s *reels) Shown(r stage.Refresh) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = append(s.shown, r)
}

func (s *reels) counts() (asked, shown int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked), len(s.shown)
}

// TestSource: a source is asked once for each refresh, and what it gives is on the screen at that very refresh.
func TestSource(t *testing.T) {
	clock := display.NewClock(50_000)
	screen := display.OpenSimulated(40, 20, false, clock)
	var mu sync.Mutex
	on := map[uint64]byte{}
	screen.Watch(func(v display.Vblank, m *display.Image) {
		mu.Lock()
		defer mu.Unlock()
		on[v.Sequence] = m.Pix[m.PixOffset(20, 10)]
	})
	f := &frames{}
	st := stage.New(stage.Config{Log: slog.New(slog.DiscardHandler), Fallback: screen, Painter: &painter{}, Clock: clock})
	one, two := f.picture(1), f.picture(2)
	src := &reels{at: map[int]stage.Change{
		3:  {Begin: true, Video: &one, Fit: render.Fit},
		7:  {Video: &two, Fit: render.Fit},
		20: {Begin: true, Still: st.Prepare(image.NewGray(image.Rect(0, 0, 40, 20)), render.Fit)},
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := st.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	st.Play(src)
	// The stage waits for nothing but its clock from now on.
	limit, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	for n := 0; n < 40; n, _ = src.counts() {
		if _, err := clock.Step(limit); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	work.Wait()
	for i, r := range src.asked[1:] {
		if last := src.asked[i]; r.Number != last.Number+1 || r.Time != last.Time+20*time.Millisecond || r.Interval != 20*time.Millisecond {
			t.Errorf("asked for %+v after %+v", r, last)
		}
	}
	if len(src.shown) != 3 || src.shown[0] != src.asked[3] || src.shown[1] != src.asked[7] || src.shown[2] != src.asked[20] {
		t.Errorf("shown at %+v; asked for %+v", src.shown, src.asked)
	}
	if len(on) < 3 {
		t.Errorf("on the screen: %v", on)
	}
	if held := f.held(); len(held) != 0 {
		t.Errorf("pictures held: %v", held)
	}
}

// lamp is a screen that remembers when it was dark.
type lamp struct {
	*screen
	dark []bool
}

func (l *lamp) Blank(_ context.Context, off bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dark = append(l.dark, off)
	return nil
}

// with runs f with a stage on a lamp, and a source that changes at certain refreshes.
func with(t *testing.T, at func(*frames) map[int]stage.Change, f func(l *lamp, st *stage.Stage, src *reels, opened *int)) {
	synctest.Test(t, func(t *testing.T) {
		held := &frames{}
		l := &lamp{screen: newScreen(100, 60, true)}
		l.changes = make(chan struct{}, 1)
		fallback := newScreen(100, 60, true)
		fallback.changes = make(chan struct{}, 1)
		opened := 0
		st := stage.New(stage.Config{
			Log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)), Fallback: fallback, Painter: &painter{},
			Open: func(context.Context) (display.Screen, error) { opened++; return l, nil },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() {
			if err := st.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		src := &reels{at: at(held)}
		st.Play(src)
		f(l, st, src, &opened)
		cancel()
		work.Wait()
		if held := held.held(); len(held) != 0 {
			t.Errorf("pictures held: %v", held)
		}
	})
}

func first(f *frames) map[int]stage.Change {
	one := f.picture(1)
	return map[int]stage.Change{0: {Begin: true, Video: &one, Fit: render.Fit}}
}

// TestLight: while the screen is off no source is asked and nothing is shown; then the last picture is there again.
func TestLight(t *testing.T) {
	with(t, first, func(l *lamp, st *stage.Stage, src *reels, opened *int) {
		settle(time.Second)
		l.took()
		st.Light(stage.SignalOff)
		settle(time.Second)
		l.took()
		n, _ := src.counts()
		settle(time.Hour)
		same(t, "off", l.took(), "")
		if after, _ := src.counts(); after != n {
			t.Errorf("asked %d times in the dark", after-n)
		}
		l.change(func(*display.Info) {}) // somebody pulls the plug
		settle(time.Second)
		same(t, "still off", l.took(), "")
		st.Light(stage.Black)
		settle(time.Second)
		st.Reopen()
		settle(time.Second)
		if !slices.Equal(l.dark, []bool{true, false, false}) || *opened != 2 {
			t.Errorf("dark %v, opened %d times", l.dark, *opened)
		}
		st.Light(stage.Lit)
		settle(100 * time.Millisecond)
		same(t, "on", l.took(), "base \x00, video 1 in (0,5)-(100,55)")
		if after, _ := src.counts(); after == n {
			t.Error("not asked in the light")
		}
	})
}

// TestReopen: a screen that is opened anew shows what the old one did.
func TestReopen(t *testing.T) {
	with(t, first, func(l *lamp, st *stage.Stage, src *reels, opened *int) {
		settle(time.Second)
		l.took()
		st.Reopen()
		settle(time.Second)
		if *opened != 2 || !l.closed {
			t.Errorf("opened %d times, closed %v", *opened, l.closed)
		}
		same(t, "anew", l.took(), "base \x00, video 1 in (0,5)-(100,55)")
	})
}

// TestFailedFrame: what could not be shown is not said to be, until it could.
func TestFailedFrame(t *testing.T) {
	with(t, first, func(l *lamp, st *stage.Stage, src *reels, opened *int) {
		l.failWith(display.ErrNoFlip)
		settle(500 * time.Millisecond)
		if _, shown := src.counts(); shown != 0 {
			t.Error("shown, it says")
		}
		l.failWith(nil)
		settle(500 * time.Millisecond)
		if _, shown := src.counts(); shown != 1 {
			t.Errorf("shown %d times, it says", shown)
		}
		same(t, "at last", l.took(), "base \x00, video 1 in (0,5)-(100,55)")
	})
}

// TestAnotherScene: when something else is wanted the source is not asked any more, and what was there before it comes back
// when it stops.
func TestAnotherScene(t *testing.T) {
	with(t, first, func(l *lamp, st *stage.Stage, src *reels, opened *int) {
		settle(time.Second)
		if asked, lit := st.Plays(src); !asked || !lit {
			t.Error("it does not play")
		}
		l.took()
		st.Status(stage.Status{Name: "box"})
		settle(time.Second)
		same(t, "status", l.took(), "base s")
		n, _ := src.counts()
		settle(time.Second)
		if after, _ := src.counts(); after != n {
			t.Error("it is asked")
		}
		if asked, _ := st.Plays(src); asked {
			t.Error("it plays")
		}
		if r := st.Report(); r.Showing != stage.ShowStatus {
			t.Errorf("report %+v", r)
		}
	})
}

// TestPulse: while a still is on the screen the screen is asked for its refreshes, but not often, and that counts as nothing.
func TestPulse(t *testing.T) {
	with(t, func(*frames) map[int]stage.Change { return nil }, func(l *lamp, st *stage.Stage, src *reels, opened *int) {
		src.mu.Lock()
		n := len(src.asked)
		src.at = map[int]stage.Change{n + 1: {Begin: true, Still: st.Prepare(image.NewGray(image.Rect(0, 0, 100, 60)), render.Fit)}}
		src.mu.Unlock()
		settle(10 * time.Second)
		l.mu.Lock()
		frames := len(l.frames)
		l.mu.Unlock()
		if frames < 8 || frames > 12 {
			t.Errorf("%d frames in 10 s", frames)
		}
		if r := st.Report(); r.Presented != 1 || r.Showing != stage.ShowProgram {
			t.Errorf("report %+v", r)
		}
		if asked, _ := src.counts(); asked < 900 || asked > 1010 {
			t.Errorf("asked %d times in 1000 refreshes", asked)
		}
	})
}

func none(*frames) map[int]stage.Change { return nil }

// TestRest: a source that says that nothing will change is asked seldom, but in time, and at once when it wants to be.
func TestRest(t *testing.T) {
	with(t, none, func(_ *lamp, st *stage.Stage, src *reels, _ *int) {
		src.mu.Lock()
		src.at = map[int]stage.Change{len(src.asked): {Begin: true, Still: st.Prepare(image.NewGray(image.Rect(0, 0, 100, 60)), render.Fit)}}
		src.rest = time.Hour
		src.mu.Unlock()
		settle(10 * time.Second)
		before, _ := src.counts()
		settle(10 * time.Second)
		if n, _ := src.counts(); n-before < 9 || n-before > 40 {
			t.Errorf("asked %d times in 10 s, of 1000 refreshes", n-before)
		}
		src.mu.Lock()
		src.rest = src.asked[len(src.asked)-1].Time - src.asked[0].Time + 5*time.Second
		over := src.asked[0].Time + src.rest
		src.mu.Unlock()
		st.Play(src)
		settle(10 * time.Second)
		src.mu.Lock()
		defer src.mu.Unlock()
		if !slices.ContainsFunc(src.asked, func(r stage.Refresh) bool { return r.Time-over < r.Interval && over-r.Time < r.Interval }) {
			t.Errorf("not asked at the end of its rest, %v: %v", over, src.asked)
		}
		if n := len(src.asked); n < before+300 {
			t.Errorf("asked only %d times after its rest", n-before)
		}
	})
}

// TestNudge: a source that rests is asked at once when it is given once more.
func TestNudge(t *testing.T) {
	with(t, none, func(_ *lamp, st *stage.Stage, src *reels, _ *int) {
		src.mu.Lock()
		src.at = map[int]stage.Change{len(src.asked): {Begin: true, Still: st.Prepare(image.NewGray(image.Rect(0, 0, 100, 60)), render.Fit)}}
		src.rest = time.Hour
		src.mu.Unlock()
		settle(10*time.Second + 500*time.Millisecond)
		before, _ := src.counts()
		settle(20 * time.Millisecond)
		if n, _ := src.counts(); n != before {
			t.Fatal("it does not rest")
		}
		st.Play(src)
		settle(20 * time.Millisecond)
		if n, _ := src.counts(); n == before {
			t.Error("not asked")
		}
	})
}
