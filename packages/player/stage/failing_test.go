package stage_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hw/display"
	"porthole/packages/player/stage"
)

// blind paints no status screen.
type blind struct{ *painter }

func (blind) Status(*display.Image, stage.Status) {}

// TestBlack: a screen that is drawn on with nothing is black; one with a picture, or a video in a plane of its own, is not.
func TestBlack(t *testing.T) {
	for black, paints := range map[bool]stage.Painter{true: blind{&painter{}}, false: &painter{}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScreen(64, 36, true)
			s.changes = make(chan struct{}, 1) // of this bubble
			st := stage.New(stage.Config{
				Log: slog.New(slog.DiscardHandler), Fallback: newScreen(16, 16, false), Painter: paints,
				Open: func(context.Context) (display.Screen, error) { return s, nil },
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- st.Run(ctx) }()
			settle(time.Second)
			if st.Black() {
				t.Error("a screen that shows nothing yet is black")
			}
			st.Status(stage.Status{Name: "a"})
			settle(time.Second)
			if st.Black() != black {
				t.Errorf("black: %v, want %v", st.Black(), black)
			}
			var f frames
			st.Video(f.picture(7))
			settle(time.Second)
			if st.Black() {
				t.Error("a video is black")
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFailing: that the screen takes no frames is told until it takes one.
func TestFailing(t *testing.T) {
	s := newScreen(64, 36, false)
	play(t, s, func(context.Context) (display.Screen, error) { return s, nil }, func(t *testing.T, st *stage.Stage, _ *painter, _ *bytes.Buffer) {
		st.Status(stage.Status{Name: "a"})
		settle(time.Second)
		if r := st.Report(); r.Failing != "" || r.Presented == 0 {
			t.Errorf("%+v", r)
		}
		s.failWith(display.ErrNoFlip)
		st.Status(stage.Status{Name: "b"})
		settle(10 * time.Second)
		if r := st.Report(); r.Failing != display.ErrNoFlip.Error() {
			t.Errorf("%+v", r)
		}
		s.failWith(nil)
		settle(10 * time.Second)
		if r := st.Report(); r.Failing != "" {
			t.Errorf("%+v", r)
		}
	})
}
