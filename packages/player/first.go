package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/privileges"
)

// firstArgument is what init calls player with, as player's user and before all else, for one picture that says that the
// device is starting. It stays on the screen until the player that the supervisor starts shows the next.
const firstArgument = "first-picture"

const (
	// firstWithin bounds the whole of it, firstDevice how long there may be no screen device: its driver may be a moment late.
	firstWithin, firstDevice = 5 * time.Second, 500 * time.Millisecond
	// firstRetry is how often a screen is looked for.
	firstRetry = 20 * time.Millisecond
)

// first shows the first picture and returns the exit code.
func first() int {
	ctx, cancel := context.WithTimeout(context.Background(), firstWithin)
	defer cancel()
	// Nothing but devices. A kernel that cannot do this is told of by the player that stays.
	plan := privileges.Plan{UID: os.Getuid(), Files: &privileges.Files{Devices: []string{"/dev"}}}
	if _, err := plan.Confine(); err != nil && !errors.Is(err, privileges.ErrNoLandlock) {
		fmt.Fprintln(os.Stderr, "player: first picture:", err)
	}
	err := firstPicture(ctx, func(ctx context.Context) (display.Screen, error) {
		return display.Open(ctx, display.Options{Prefer: display.KindPlanes, KeepFrame: true})
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "player: no first picture:", err)
		return 1
	}
	return 0
}

// firstPicture opens a screen and shows on it that the device is starting.
func firstPicture(ctx context.Context, open func(context.Context) (display.Screen, error)) error {
	screen, err := openFirst(ctx, open)
	if err != nil {
		return err
	}
	mode := screen.Info().Mode
	m := display.NewImage(image.Rect(0, 0, mode.Width, mode.Height))
	s := render.Status{Name: defaultName, Starting: true, Version: "Porthole " + daemon.Version()}
	if name, err := os.Hostname(); err == nil && name != "(none)" {
		s.Name = name
	}
	render.StatusScreen((*render.Image)(m), s)
	_, err = screen.Present(ctx, display.Frame{Base: m})
	return errors.Join(err, screen.Close())
}

// openFirst opens the screen as soon as it is there and ours.
func openFirst(ctx context.Context, open func(context.Context) (display.Screen, error)) (display.Screen, error) {
	begin := time.Now()
	tick := time.NewTicker(firstRetry)
	defer tick.Stop()
	for {
		screen, err := open(ctx)
		switch {
		case err == nil:
			return screen, nil
		case errors.Is(err, display.ErrNoDevice) && time.Since(begin) < firstDevice:
		case errors.Is(err, fs.ErrPermission) || errors.Is(err, display.ErrBusy):
		default:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
