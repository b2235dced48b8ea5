package playback_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/media/render"
	"porthole/packages/player/playback"
	"porthole/packages/player/stage"
)

// dummy is a stage that asks and shows only while it is well.
type dummy struct {
	mu       sync.Mutex // guards what follows
	src      stage.Source
	dark     bool
	sick     string // "" for well, "deaf" does not ask, "blind" does not show
	reopened int
	changes  []stage.Change
}

func (d *dummy) Play(s stage.Source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.src = s
}

func (d *dummy) Plays(s stage.Source) (asked, lit bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.src == s, !d.dark
}
func (d *dummy) Prepare(image.Image, render.Mode) *stage.Still { return &stage.Still{} }
func (d *dummy) PrepareText(string) *stage.Still               { return &stage.Still{} }
func (d *dummy) Reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reopened++
}

func (d *dummy) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// run is the stage's goroutine.
func (d *dummy) run(ctx context.Context) {
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for r := (stage.Refresh{Interval: time.Second / 50}); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.Number++
		r.Time += r.Interval
		d.mu.Lock()
		src, sick, dark := d.src, d.sick, d.dark
		d.mu.Unlock()
		if src == nil || dark || sick == "deaf" {
			continue
		}
		c := src.Next(r)
		c.Rest = 0
		if c == (stage.Change{}) || sick == "blind" {
			continue
		}
		d.set(func() { d.changes = append(d.changes, c) })
		src.Shown(r)
	}
}

// watched runs an engine on a dummy in a bubble of its own time.
func watched(t *testing.T, dir string, f func(e *playback.Engine, d *dummy, events func() string, done <-chan error)) {
	synctest.Test(t, func(t *testing.T) {
		d := &dummy{}
		var mu sync.Mutex
		var said []string
		e := playback.New(playback.Config{
			Log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)), Stage: d, Files: files(dir), Dir: dir,
			Picture: func(context.Context, *os.File) (image.Image, error) {
				return image.NewGray(image.Rect(0, 0, 1, 1)), nil
			},
			Report: func(ev playback.Event) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, ev.Status)
			},
		})
		if err := os.WriteFile(filepath.Join(dir, "r.png"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "g.png"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		e.SetProgram(list("cut", still('r', time.Second), still('g', time.Second)))
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { d.run(ctx) })
		done := make(chan error, 1)
		work.Go(func() { done <- e.Run(ctx) })
		f(e, d, func() string {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(said, " ")
		}, done)
		cancel()
		work.Wait()
	})
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestWatchdog: a frame that is not on the screen for ten seconds lets everything begin anew, with the screen opened anew;
// after ten more Run gives up. The reason outlives the process.
func TestWatchdog(t *testing.T) {
	for _, sick := range []string{"deaf", "blind"} {
		t.Run(sick, func(t *testing.T) {
			dir := t.TempDir()
			watched(t, dir, func(e *playback.Engine, d *dummy, events func() string, done <-chan error) {
				after(5 * time.Second)
				if s := e.State(); !s.Playing || s.Restarts != 0 || s.Item == nil || s.Item.Presented != 1 {
					t.Errorf("state %+v", s)
				}
				d.set(func() { d.sick = sick })
				after(8 * time.Second)
				if s := e.State(); s.Restarts != 0 {
					t.Errorf("too early: %+v", s)
				}
				after(6 * time.Second)
				if s := e.State(); s.Restarts != 1 || s.LastRestart == "" || d.reopened != 1 {
					t.Errorf("state %+v, reopened %d times", s, d.reopened)
				}
				d.set(func() { d.sick = "" })
				after(10 * time.Second)
				if s := e.State(); !s.Playing || s.Item == nil || s.Item.Presented == 0 || !strings.Contains(events(), "restarting playing playing playing playing") {
					t.Errorf("it does not play again: %+v, %s", s, events())
				}
				d.set(func() { d.sick = sick })
				after(40 * time.Second)
				select {
				case err := <-done:
					if !errors.Is(err, playback.ErrStuck) {
						t.Errorf("Run: %v", err)
					}
				default:
					t.Error("Run goes on")
				}
			})
			n := playback.New(playback.Config{Stage: &dummy{}, Dir: dir})
			if s := n.State(); s.Restarts != 3 || !strings.Contains(s.LastRestart, "10 s") {
				t.Errorf("after the process: %+v", s)
			}
		})
	}
}

// TestDark: while the screen is off nothing is overdue and nothing is kept; then it goes on.
func TestDark(t *testing.T) {
	watched(t, t.TempDir(), func(e *playback.Engine, d *dummy, events func() string, _ <-chan error) {
		after(5 * time.Second)
		d.set(func() { d.dark = true })
		after(time.Hour)
		if s := e.State(); s.Restarts != 0 || s.Item != nil || !s.Playing {
			t.Errorf("state %+v", s)
		}
		d.set(func() { d.dark = false })
		after(2 * time.Second)
		if s := e.State(); s.Restarts != 0 || s.Item == nil || s.Gaps.Late != 0 {
			t.Errorf("state %+v", s)
		}
	})
}

// TestTakenAway: when something else takes the screen while a program plays, it is taken back, with all that is on it.
func TestTakenAway(t *testing.T) {
	watched(t, t.TempDir(), func(e *playback.Engine, d *dummy, _ func() string, _ <-chan error) {
		after(500 * time.Millisecond)
		d.set(func() { d.src, d.changes = nil, nil })
		after(400 * time.Millisecond)
		d.set(func() {
			if len(d.changes) != 1 || !d.changes[0].Begin || d.changes[0].Still == nil {
				t.Errorf("changes %+v", d.changes)
			}
		})
		if s := e.State(); s.Gaps.Late != 0 || s.Restarts != 0 {
			t.Errorf("state %+v", s)
		}
	})
}

// FuzzKept: whatever is on the disk, the engine starts.
func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"restarts":3,"reason":"x","time":"2027-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"restarts":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, reason := playback.ParseKept(b)
		if n < 0 || len(reason) > 4096 {
			t.Errorf("%d, %d bytes", n, len(reason))
		}
	})
}
