package playback

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/internal/program"
	"porthole/packages/player/camera"
	"porthole/packages/player/stage"
)

// primeAhead is how long before its end a video that begins anew gets its second decoder.
const primeAhead = 3 * time.Second

// video is a video file, again and again where it is shorter than it has to be.
type video struct {
	open   func(context.Context) (*reel, error)
	fit    render.Mode
	length time.Duration // 0: its own
	wake   chan struct{}

	mu sync.Mutex // guards what follows
	// reel plays, spare plays then; gone are those to be closed.
	reel, spare *reel
	gone        []*reel
	// began is when the item began, start when the reel did.
	began, start time.Duration
	// wanted says that a spare is to be opened, spareErr why there is none.
	wanted   bool
	spareErr error
	// late are the seams that were not told of yet.
	late []uint64
	// lacking is since when a frame should be there, by the real clock.
	lacking time.Time
}

// openVideo opens a file and waits for its first frame.
func openVideo(ctx context.Context, cfg Config, i program.Item) (show, error) {
	open := func(ctx context.Context) (*reel, error) { return openReel(ctx, cfg, i) }
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &video{
		open: open, fit: render.Mode(i.Fit), length: time.Duration(i.DurationMS) * time.Millisecond, wake: make(chan struct{}, 1), reel: r,
	}, nil
}

// openReel opens a file and waits for its first frame, but not for ever.
func openReel(ctx context.Context, cfg Config, i program.Item) (*reel, error) {
	f, err := cfg.Files.Open(i.SHA256)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The decoder ends with its context.
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(videoWithin, cancel)
	d, err := cfg.Video(ctx, f)
	if err != nil {
		defer cancel()
		if !late.Stop() {
			return nil, decode.ErrHung
		}
		return nil, errors.Join(errDecoder, err)
	}
	r := newReel(ctx, d)
	stop := r.cancel
	r.cancel = func() { stop(); cancel() }
	err = r.primed(ctx)
	if !late.Stop() && err == nil {
		err = decode.ErrHung
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (v *video) begin(at time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began, v.start = at, at
}

func (v *video) all() stage.Change { return stage.Change{} }

func (v *video) next(r stage.Refresh) (c stage.Change, dropped int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// The refresh nearest to a frame's time is its own.
	at := r.Time + r.Interval/2
	f, dropped := v.reel.due(at - v.start)
	if end, done := v.reel.end(); f == nil && done && at >= v.start+end && v.again(v.start+end) && v.spare != nil {
		v.start += end
		late := max(r.Time-v.start+r.Interval/2, 0) / r.Interval
		if late > 0 {
			v.start = r.Time
		}
		v.late = append(v.late, uint64(late))
		v.gone = append(v.gone, v.reel)
		v.reel, v.spare = v.spare, nil
		v.poke()
		f, dropped = v.reel.due(at - v.start)
	}
	v.prime()
	switch {
	case f != nil || !v.reel.lacks():
		v.lacking = time.Time{}
	case v.lacking.IsZero():
		v.lacking = time.Now()
	}
	if f == nil {
		return stage.Change{}, dropped
	}
	return stage.Change{
		Video: &camera.Picture{Image: f.Image, PTS: f.PTS, Info: v.reel.info, Release: f.Release}, Fit: v.fit,
	}, dropped
}

func (v *video) seams() []uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.late
	v.late = nil
	return l
}

// again reports whether the video is to begin anew at a time.
func (v *video) again(at time.Duration) bool {
	return v.length > 0 && at < v.began+v.length && v.reel.fault() == nil
}

// prime asks for a second decoder when the first is near its end.
func (v *video) prime() {
	if v.wanted || v.spare != nil || v.length <= 0 {
		return
	}
	end, known := v.reel.expected()
	if known && (v.start+end >= v.began+v.length || v.reel.position() < end-primeAhead) {
		return
	}
	v.wanted = true
	v.poke()
}

func (v *video) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

func (v *video) end(r stage.Refresh) (end time.Duration, known bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	own, done := v.reel.end()
	own += v.start
	if done && r.Time+r.Interval/2 >= own {
		if err := v.reel.fault(); err != nil {
			return own, true, err
		}
		if v.again(own) && v.spare == nil && v.spareErr != nil {
			return own, true, v.spareErr
		}
	}
	if v.length > 0 {
		return v.began + v.length, true, nil
	}
	return own, done, nil
}

func (v *video) left(r stage.Refresh) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.length > 0 {
		return max(v.began+v.length-r.Time, 0)
	}
	end, known := v.reel.expected()
	if !known {
		return -1
	}
	return max(v.start+end-r.Time, 0)
}

func (v *video) starved() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.lacking.IsZero() {
		return 0
	}
	return time.Since(v.lacking)
}

// run opens and closes decoders.
func (v *video) run(ctx context.Context) {
	for ctx.Err() == nil {
		v.mu.Lock()
		gone, wanted := v.gone, v.wanted
		v.gone = nil
		v.mu.Unlock()
		for _, r := range gone {
			r.close()
		}
		if wanted {
			r, err := v.open(ctx)
			v.mu.Lock()
			v.spare, v.spareErr, v.wanted = r, err, err != nil
			v.mu.Unlock()
			if err != nil {
				// There is no other try: the item ends, and comes again in its turn.
				<-ctx.Done()
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-v.wake:
		}
	}
	v.mu.Lock()
	all := append(slices.Clone(v.gone), v.reel, v.spare)
	v.mu.Unlock()
	for _, r := range all {
		if r != nil {
			r.close()
		}
	}
}

// isEnd reports whether a decoder has come to the end of its file.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }
