package main_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"porthole/hw/display"
	player "porthole/packages/player"
)

// TestFirstPicture: init's call shows a screen as soon as there is one that may be used, and it does not ask anybody to
// scan or type anything yet.
func TestFirstPicture(t *testing.T) {
	screen := display.OpenOffscreen(1280, 720)
	d := newDevice(t, screen)
	refusals := []error{fmt.Errorf("no card yet: %w", display.ErrNoDevice), fs.ErrPermission, display.ErrBusy}
	err := player.FirstPicture(t.Context(), func(context.Context) (display.Screen, error) {
		if len(refusals) > 0 {
			err := refusals[0]
			refusals = refusals[1:]
			return nil, err
		}
		return screen, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, n := screen.Last()
	if n != 1 || len(refusals) > 0 {
		t.Errorf("%d frames, refusals left: %v", n, refusals)
	}
	colours := map[[3]byte]bool{}
	for i := 0; i+4 <= len(m.Pix); i += 4 {
		colours[[3]byte(m.Pix[i:])] = true
	}
	if len(colours) < 32 {
		t.Errorf("the first picture has %d colours", len(colours))
	}
	d.keep("first")
}

// TestFirstPictureWithoutScreen: a device without any, or with one that is broken, goes on without.
func TestFirstPictureWithoutScreen(t *testing.T) {
	broken := errors.New("broken")
	for _, refusal := range []error{display.ErrNoDevice, broken} {
		err := player.FirstPicture(t.Context(), func(context.Context) (display.Screen, error) { return nil, refusal })
		if !errors.Is(err, refusal) {
			t.Errorf("%v became %v", refusal, err)
		}
	}
}
