package playback

import (
	"context"
	"sync"
	"time"

	"porthole/media/decode"
)

const (
	// waitingFrames is how many frames are taken from the decoder ahead of their time: enough to know the end before it comes.
	waitingFrames = 2
	// leastLength is how long a video takes at least: a picture that calls itself a video would come over and over.
	leastLength = time.Second
	// longestStep bounds the time from one frame to the next: files that lie have steps of days.
	longestStep = 10 * time.Second
)

// reel is a video file being decoded once. Frames wait in it until they are due; then its decoder waits too.
type reel struct {
	decoder decoder
	cancel  context.CancelFunc
	work    sync.WaitGroup
	room    chan struct{}
	first   chan struct{} // closed when there is a frame, or none will come

	info decode.StreamInfo // set before first is closed

	mu     sync.Mutex // guards what follows
	frames []timed
	// last is the time of the newest frame and step that from the one before it; shown is the time of the last that was due.
	last, step, shown time.Duration
	done              bool
	err               error
}

// timed is a frame and when it is due after the reel's beginning.
type timed struct {
	*decode.Frame
	at time.Duration
}

// decoder is a decode.Decoder.
type decoder interface {
	Next(context.Context) (*decode.Frame, error)
	Info(context.Context) (decode.StreamInfo, error)
	Close() error
}

func newReel(ctx context.Context, d decoder) *reel {
	r := &reel{decoder: d, room: make(chan struct{}, 1), first: make(chan struct{})}
	ctx, r.cancel = context.WithCancel(ctx)
	r.work.Go(func() { r.read(ctx) })
	return r
}

// read takes frames from the decoder while there is room.
func (r *reel) read(ctx context.Context) {
	once := sync.OnceFunc(func() { close(r.first) })
	defer once()
	var pts time.Duration
	for n := 0; ; n++ {
		f, err := r.decoder.Next(ctx)
		if err == nil && n == 0 {
			if r.info, err = r.decoder.Info(ctx); err != nil {
				f.Release()
			} else {
				r.step = time.Second / 25
				if r.info.FrameRate > 0 {
					r.step = min(time.Duration(float64(time.Second)/r.info.FrameRate), longestStep)
				}
			}
		}
		r.mu.Lock()
		if err != nil {
			r.done, r.err = true, err
			r.mu.Unlock()
			return
		}
		if n > 0 {
			step := min(max(f.PTS-pts, 0), longestStep)
			r.last += step
			if step > 0 {
				r.step = step
			}
		}
		pts = f.PTS
		r.frames = append(r.frames, timed{f, r.last})
		full := len(r.frames) >= waitingFrames
		r.mu.Unlock()
		once()
		for full {
			select {
			case <-r.room:
			case <-ctx.Done():
				return
			}
			r.mu.Lock()
			full = len(r.frames) >= waitingFrames
			r.mu.Unlock()
		}
	}
}

// primed waits for the first frame.
func (r *reel) primed(ctx context.Context) error {
	select {
	case <-r.first:
	case <-ctx.Done():
		return decode.ErrHung
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.frames) > 0:
		return nil
	case isEnd(r.err):
		return decode.ErrUnsupported
	}
	return r.err
}

// due takes the frame for a time after the beginning: the last whose time it is, if there is a new one. Those before it
// are dropped.
func (r *reel) due(at time.Duration) (f *decode.Frame, dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.frames) > 0 && r.frames[0].at <= at {
		if f != nil {
			f.Release()
			dropped++
		}
		f, r.shown = r.frames[0].Frame, r.frames[0].at
		r.frames = r.frames[1:]
	}
	if f != nil {
		select {
		case r.room <- struct{}{}:
		default:
		}
	}
	return f, dropped
}

// end is how long it takes in all, once that is known: when all its frames were due.
func (r *reel) end() (end time.Duration, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.last+r.step, leastLength), r.done && len(r.frames) == 0
}

// expected is how long it will take in all, as far as one can know.
func (r *reel) expected() (end time.Duration, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return max(r.last+r.step, leastLength), true
	}
	return max(r.info.Duration, leastLength), r.info.Duration > 0
}

// position is the time of the frame that is on the screen.
func (r *reel) position() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown
}

// lacks reports whether a frame is waited for.
func (r *reel) lacks() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.frames) == 0 && !r.done
}

// fault is why it ended before its end, if it did.
func (r *reel) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done || isEnd(r.err) {
		return nil
	}
	return r.err
}

// close ends the decoder and gives back the frames that were not due.
func (r *reel) close() {
	r.cancel()
	r.decoder.Close()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		f.Release()
	}
	r.frames, r.done = nil, true
}
