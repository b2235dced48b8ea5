package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
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
	noteLoad(table, "floor", "load average at the start")
	var servers []*server
	for _, start := range []func(context.Context, string, string, string) (*server, error){startPorthole, startMediaMTX, startGo2RTC} {
		srv, err := start(ctx, dir, bin, camera.url)
		if err != nil {
			return err
		}
		if srv != nil {
			defer srv.stop()
			servers = append(servers, srv)
		}
	}
	for _, srv := range servers {
		for _, n := range append([]int{0}, p.viewers...) {
			if err := underLoad(ctx, table, srv, p.perStep, n, whepViewers, viewWHEP); err != nil {
				return fmt.Errorf("measure %s: %w", srv.name, err)
			}
		}
	}
	if p.tries > 0 {
		if err := pages(ctx, table, bare, servers, browser, times, p); err != nil {
			return err
		}
	}
	noteLoad(table, "floor", "load average at the end")
	return table.print(os.Stdout)
}

// noteLoad says how busy the machine is.
func noteLoad(t *table, column, row string) {
	if l, err := procfsLoad(); err == nil {
		t.set(column, row, fmt.Sprintf("%.1f", l))
	}
}

// pages looks at the servers' own pages in turn, so that what else the machine does meets all of them, and at the floor's.
func pages(ctx context.Context, t *table, bare *server, servers []*server, browser *chromium, times *clockTimes, p plan) error {
	// Somebody else keeps the cameras running, as in a house with a recorder.
	keep, cancel := context.WithCancel(ctx)
	var kept sync.WaitGroup
	defer kept.Wait()
	defer cancel()
	for _, srv := range servers {
		if srv.enter != nil {
			if err := srv.enter(browser); err != nil {
				return fmt.Errorf("log in at %s: %w", srv.name, err)
			}
		}
		kept.Go(func() {
			if err := unlessEnded(keep, readRTSP(keep, srv, func() {})); err != nil {
				fmt.Fprintf(os.Stderr, "the reader that keeps %s busy: %v\n", srv.name, err)
			}
		})
	}
	if err := pageOpen(ctx, t, servers, browser, p.tries); err != nil {
		return err
	}
	return glass(ctx, t, append([]*server{bare}, servers...), browser, times, p.perStep)
}
