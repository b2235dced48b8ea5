// Package snapshot makes single pictures of cameras: the last key picture, decoded by a child process that is gone
// right after. However many ask, a stream is decoded once a second at most, and only a few streams at once.
package snapshot

import (
	"cmp"
	"context"
	"errors"
	"image"
	"log/slog"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
)

// Why there is no picture. Errors of Take are one of these, or that of its context.
var (
	ErrUnknown = errors.New("there is no such camera")
	ErrOffline = errors.New("the camera is offline")
	ErrBusy    = errors.New("too many pictures are being made")
	ErrCodec   = errors.New("the camera's video format cannot be decoded here")
	ErrDecoder = errors.New("the picture cannot be decoded")
)

// Limits of a Taker that Config leaves at zero.
const (
	defaultFresh    = time.Second
	defaultTimeout  = 15 * time.Second // a Hub may take ten seconds to connect to a camera
	defaultChildren = 2
	defaultWaiting  = 32
)

// MinWidth is the smallest width in pixels a picture is scaled to.
const MinWidth = 16

// Config is what a Taker needs.
type Config struct {
	Log *slog.Logger
	// Play reads a stream, as rtsp.Play does.
	Play func(ctx context.Context, stream string, sink rtsp.Sink) error
	// Open starts a decoder.
	Open func(context.Context, decode.Live) (*decode.Decoder, error)
	// Fresh is how long a picture is good for others who ask; zero means a second.
	Fresh time.Duration
	// Timeout is how long a picture may take; zero means 15 s.
	Timeout time.Duration
	// Children is how many decoders run at once, Waiting how many callers may wait; zero means 2 and 32.
	Children, Waiting int
}

// Picture is a camera's picture.
type Picture struct {
	JPEG          []byte
	Width, Height int
	// Taken is when it was decoded.
	Taken time.Time
}

// Taker takes pictures.
type Taker struct {
	cfg Config
	// begin returns the context of a flight, which is for all its callers; false means that the Taker's has ended.
	begin func() (context.Context, context.CancelFunc, bool)
	// ended is closed with the Taker's context.
	ended <-chan struct{}
	slots chan struct{}
	// encoding holds a token while a picture is scaled: a 4K one takes 70 MB meanwhile.
	encoding chan struct{}
	wg       sync.WaitGroup

	mu      sync.Mutex         // guards what follows
	flights map[string]*flight // running ones, and those whose picture is still fresh
	waiting int
}

// flight is one picture on its way, or there.
type flight struct {
	stream string
	cancel context.CancelFunc
	// done is closed when picture, taken and err are set.
	done    chan struct{}
	picture *still
	taken   time.Time
	err     error
	// callers counts those who wait; guarded by the Taker's mu.
	callers int

	mu   sync.Mutex      // guards made
	made map[int]Picture // by width
}

// still is a decoded picture, or a JPEG as the camera sent it.
type still struct {
	yuv  *image.YCbCr
	info decode.StreamInfo
	jpeg []byte
}

// New returns a Taker whose work ends with ctx; Wait waits for that.
func New(ctx context.Context, cfg Config) *Taker {
	cfg.Fresh = cmp.Or(cfg.Fresh, defaultFresh)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.Children = cmp.Or(cfg.Children, defaultChildren)
	cfg.Waiting = cmp.Or(cfg.Waiting, defaultWaiting)
	return &Taker{
		cfg: cfg, ended: ctx.Done(),
		begin: func() (context.Context, context.CancelFunc, bool) {
			flight, cancel := context.WithTimeout(ctx, cfg.Timeout)
			return flight, cancel, ctx.Err() == nil
		},
		slots: make(chan struct{}, cfg.Children), encoding: make(chan struct{}, 1), flights: map[string]*flight{},
	}
}

// Wait returns when nothing runs any more. Call it after the context given to New has ended and no Take runs.
func (t *Taker) Wait() { t.wg.Wait() }

// Take returns a picture of the stream that is at most a second old when several ask for it. It is scaled down to width
// pixels, never up; 0 leaves it as it is.
func (t *Taker) Take(ctx context.Context, stream string, width int) (Picture, error) {
	f, err := t.enter(stream)
	if err != nil {
		return Picture{}, err
	}
	defer t.leave(f)
	select {
	case <-f.done:
	case <-ctx.Done():
		return Picture{}, ctx.Err()
	}
	if f.err != nil {
		return Picture{}, f.err
	}
	return t.encoded(ctx, f, width)
}

// enter joins the stream's flight, or starts one.
func (t *Taker) enter(stream string) (*flight, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting >= t.cfg.Waiting {
		return nil, ErrBusy
	}
	f := t.flights[stream]
	if f == nil {
		ctx, cancel, ok := t.begin()
		if !ok {
			cancel()
			return nil, ErrBusy
		}
		f = &flight{stream: stream, cancel: cancel, done: make(chan struct{}), made: map[int]Picture{}}
		t.flights[stream] = f
		t.wg.Go(func() { t.fly(ctx, f) })
	}
	f.callers++
	t.waiting++
	return f, nil
}

// leave ends a flight that nobody waits for any more.
func (t *Taker) leave(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
	if f.callers--; f.callers > 0 {
		return
	}
	select {
	case <-f.done:
	default:
		f.cancel()
		t.drop(f)
	}
}

// fly takes the picture and keeps it while it is fresh. An error is kept by those who waited only.
func (t *Taker) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	f.picture, f.err = t.grab(ctx, f.stream)
	f.taken = time.Now()
	if f.err == nil {
		close(f.done)
		fresh := time.NewTimer(t.cfg.Fresh)
		defer fresh.Stop()
		select {
		case <-fresh.C:
		case <-t.ended:
		}
		t.forget(f)
		return
	}
	t.forget(f)
	close(f.done)
}

func (t *Taker) forget(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(f)
}

// drop makes the next caller start anew. t.mu is held.
func (t *Taker) drop(f *flight) {
	if t.flights[f.stream] == f {
		delete(t.flights, f.stream)
	}
}

// grab takes the picture as soon as a decoder is free.
func (t *Taker) grab(ctx context.Context, stream string) (*still, error) {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return nil, ErrBusy
	}
	g := &grabber{log: t.cfg.Log.With("camera", stream), open: t.cfg.Open}
	return g.run(ctx, func(ctx context.Context, sink rtsp.Sink) error { return t.cfg.Play(ctx, stream, sink) })
}

// maxWidths bounds the sizes kept of one picture.
const maxWidths = 8

// encoded returns the flight's picture in a width.
func (t *Taker) encoded(ctx context.Context, f *flight, width int) (Picture, error) {
	width = f.picture.width(width)
	f.mu.Lock()
	p, ok := f.made[width]
	f.mu.Unlock()
	if ok {
		return p, nil
	}
	select {
	case t.encoding <- struct{}{}:
		defer func() { <-t.encoding }()
	case <-ctx.Done():
		return Picture{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.made[width]; ok {
		return p, nil
	}
	p, err := f.picture.encode(width)
	if err != nil {
		t.cfg.Log.Warn("a snapshot cannot be made", "err", err)
		return Picture{}, ErrDecoder
	}
	p.Taken = f.taken
	if len(f.made) < maxWidths {
		f.made[width] = p
	}
	return p, nil
}
