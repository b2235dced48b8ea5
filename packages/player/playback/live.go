package playback

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"porthole/media/render"
	"porthole/media/rtsp"
	"porthole/packages/internal/program"
	"porthole/packages/player/camera"
	"porthole/packages/player/stage"
)

// liveSilence is how long a camera may be silent before it is passed over.
const liveSilence = 5 * time.Second

// live is a camera of this device, or a stream.
type live struct {
	watcher *camera.Watcher
	stop    context.CancelFunc
	work    sync.WaitGroup
	fit     render.Mode
	length  time.Duration
	first   chan struct{}

	mu sync.Mutex // guards what follows
	// newest waits to be shown, missed counts those that it has overtaken.
	newest *camera.Picture
	missed int
	// at is when a picture came last.
	at     time.Time
	began  time.Duration
	closed bool
}

// errLive is a camera or a stream without pictures; it says why.
type errLive struct{ why string }

func (e *errLive) Error() string { return e.why }

// openLive connects and waits for the first picture.
func openLive(ctx context.Context, cfg Config, i program.Item) (show, error) {
	play := func(ctx context.Context, _ string, sink rtsp.Sink) error { return cfg.Camera(ctx, i.Camera, sink) }
	if i.Kind == "stream" {
		play = func(ctx context.Context, _ string, sink rtsp.Sink) error { return cfg.Stream(ctx, i.URL, sink) }
	}
	l := &live{fit: render.Mode(i.Fit), length: time.Duration(i.DurationMS) * time.Millisecond, first: make(chan struct{})}
	l.watcher = camera.New(camera.Config{Log: cfg.Log, Camera: name(i), Play: play, Open: cfg.Live, Show: l.take})
	var run context.Context
	run, l.stop = context.WithCancel(ctx)
	l.work.Go(func() { l.watcher.Run(run) })
	timer := time.NewTimer(liveWithin)
	defer timer.Stop()
	select {
	case <-l.first:
		return l, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	l.close()
	return nil, l.why(fmt.Sprintf("no picture came within %.0f s", liveWithin.Seconds()))
}

// why says why there are no pictures.
func (l *live) why(otherwise string) error {
	if p := l.watcher.State().Problem; p != "" {
		return &errLive{p}
	}
	return &errLive{otherwise}
}

// take takes a picture from the watcher.
func (l *live) take(p camera.Picture) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		p.Release()
		return
	}
	if l.newest != nil {
		l.newest.Release()
		l.missed++
	}
	if l.at.IsZero() {
		close(l.first)
	}
	l.newest, l.at = &p, time.Now()
}

func (l *live) begin(at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.missed = at, 0
}

func (l *live) next(stage.Refresh) (c stage.Change, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, dropped = stage.Change{Video: l.newest, Fit: l.fit}, l.missed
	if l.newest == nil {
		c.Fit = ""
	}
	l.newest, l.missed = nil, 0
	return c, dropped
}

func (l *live) all() stage.Change      { return stage.Change{} }
func (l *live) seams() []uint64        { return nil }
func (l *live) starved() time.Duration { return 0 }

func (l *live) end(r stage.Refresh) (end time.Duration, known bool, err error) {
	l.mu.Lock()
	silent := time.Since(l.at) > liveSilence
	end = l.began + l.length
	l.mu.Unlock()
	if silent {
		return r.Time, true, l.why(errSilent.Error())
	}
	return end, true, nil
}

var errSilent = errors.New("it sends nothing any more")

func (l *live) left(r stage.Refresh) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.began+l.length-r.Time, 0)
}

func (l *live) run(ctx context.Context) {
	<-ctx.Done()
	l.close()
}

func (l *live) close() {
	l.stop()
	l.work.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.newest != nil {
		l.newest.Release()
		l.newest = nil
	}
}
