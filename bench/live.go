package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"porthole/media/rtsp"
)

// whepViewers is what that load is called.
const whepViewers = "WHEP viewers"

// besideLive asks the live views the same questions: how soon a page shows a picture, what viewers cost, how old the
// pictures are.
func besideLive(ctx context.Context, dir, bin string, p plan) error {
	clip, err := makeClock(ctx, dir)
	if err != nil {
		return err
	}
	camera, err := startCameraOf(ctx, clip.ts)
	if err != nil {
		return err
	}
	defer camera.stop()
	browser, err := startChromium(ctx)
	if err != nil {
		return err
	}
	defer browser.cancel()
	bare, feed, err := startFloor()
	if err != nil {
		return err
	}
	defer bare.stop()
	times := &clockTimes{clip: clip, pass: feed, at: map[int][2]time.Time{}}
	reading, stopReading := context.WithCancel(ctx)
	read := make(chan error, 1)
	go func() {
		read <- rtsp.Play(reading, rtsp.PlayConfig{Camera: "demo", Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", camera.addr)
		}}, times)
	}()
	defer func() {
		stopReading()
		<-read //nolint:errcheck // it was told to end
	}()

	table := newTable()
	if err := glass(ctx, table, bare, browser, times, p.perStep); err != nil {
		return err
	}
	for _, start := range []func(context.Context, string, string, string) (*server, error){startPorthole, startMediaMTX, startGo2RTC} {
		srv, err := start(ctx, dir, bin, camera.url)
		if err != nil {
			return err
		}
		if srv == nil {
			continue
		}
		err = measureLive(ctx, table, srv, browser, times, p)
		srv.stop()
		if err != nil {
			return fmt.Errorf("measure %s: %w", srv.name, err)
		}
	}
	return table.print(os.Stdout)
}

func measureLive(ctx context.Context, t *table, srv *server, browser *chromium, times *clockTimes, p plan) error {
	for _, n := range append([]int{0}, p.viewers...) {
		if err := underLoad(ctx, t, srv, p.perStep, n, whepViewers, viewWHEP); err != nil {
			return err
		}
	}
	if p.tries == 0 {
		return nil
	}
	if srv.enter != nil {
		if err := srv.enter(browser); err != nil {
			return err
		}
	}
	// Somebody else keeps the camera running, as in a house with a recorder.
	keep, cancel := context.WithCancel(ctx)
	kept := make(chan error, 1)
	go func() { kept <- readRTSP(keep, srv, func() {}) }()
	defer func() {
		cancel()
		<-kept //nolint:errcheck // it was told to end
	}()
	if err := pageOpen(ctx, t, srv, browser, p.tries); err != nil {
		return err
	}
	return glass(ctx, t, srv, browser, times, p.perStep)
}
