package stage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/packages/player/stage"
)

// TestMode: every screen is asked once for the mode that is wanted, also one that was opened anew, and one that fails to
// change it is shown what there is.
func TestMode(t *testing.T) {
	s := newScreen(100, 60, false)
	play(t, s, nil, func(t *testing.T, st *stage.Stage, _ *painter, log *bytes.Buffer) {
		asked := func() string {
			settle(time.Second)
			s.mu.Lock()
			defer s.mu.Unlock()
			a := strings.Join(s.modes, "; ")
			s.modes = nil
			return a
		}
		st.Status(stage.Status{Name: "box"})
		same(t, "nothing wanted", asked(), "")
		st.Mode(display.Mode{Width: 640, Height: 480})
		st.Mode(display.Mode{Width: 640, Height: 480})
		same(t, "wanted", asked(), "640x480")
		st.Status(stage.Status{Name: "other"})
		same(t, "wanted still", asked(), "")
		s.took()
		s.failWith(errors.New("no memory"))
		st.Mode(display.Mode{Width: 800, Height: 600, RefreshMilliHz: 50_000})
		same(t, "a mode that fails", asked(), "800x600 at 50 Hz")
		s.failWith(nil)
		settle(time.Second)
		st.Status(stage.Status{Name: "third"})
		settle(time.Second)
		if got := s.took(); got == "" || !strings.Contains(log.String(), "cannot change the screen's mode") {
			t.Errorf("after a mode that fails: %q, %s", got, log)
		}
		st.Mode(display.Mode{})
		same(t, "nothing wanted any more", asked(), "0x0")
	})
	first, second := newScreen(100, 60, false), newScreen(100, 60, false)
	list := []*screen{first, second}
	open := func(context.Context) (display.Screen, error) {
		if len(list) == 0 {
			return nil, display.ErrNoDevice
		}
		next := list[0]
		next.changes = make(chan struct{}, 1)
		list = list[1:]
		return next, nil
	}
	play(t, newScreen(50, 50, false), open, func(t *testing.T, st *stage.Stage, _ *painter, _ *bytes.Buffer) {
		st.Mode(display.Mode{Width: 640, Height: 480})
		st.Status(stage.Status{Name: "box"})
		settle(time.Second)
		st.Reopen()
		settle(time.Second)
		for i, sc := range []*screen{first, second} {
			sc.mu.Lock()
			same(t, fmt.Sprint("screen ", i), strings.Join(sc.modes, "; "), "640x480")
			sc.mu.Unlock()
		}
	})
}
