package live

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/internal/retry"
)

const (
	// linger is how long a camera is read after its last viewer left: a reloaded page comes back within it.
	linger = 5 * time.Second
	// silence is how long a camera may send nothing before its viewers are told.
	silence = 3 * time.Second
	// stuck is how long a camera may send nothing before it is asked anew.
	stuck = 20 * time.Second
	// settle is how long sound is held back after a start: the first packets may be older ones, handed out in a burst,
	// and sound cannot be squeezed as pictures can.
	settle = 300 * time.Millisecond
)

// hub reads one camera while it has viewers, packetises it once and hands it to all of them.
type hub struct {
	log    *slog.Logger
	camera string
	play   func(ctx context.Context, camera string, sink rtsp.Sink) error
	// open starts a decoder child; nil if there is none.
	open func(context.Context, decode.Options) (Converter, error)
	// picture and sound are the conversions, whether they run or not.
	picture, sound *conversion
	// start is the zero of the camera's timelines, so far back that nothing on them is negative.
	start time.Time
	// wanted holds a token when somebody wants the camera read.
	wanted chan struct{}
	// ended is closed when the hub is done for; cause is set before.
	ended chan struct{}
	cause error

	mu sync.Mutex // guards what follows
	// users counts viewers, also those still negotiating.
	users   int
	idle    *time.Timer
	stop    context.CancelFunc
	viewers map[*Viewer]struct{}
	// tracks is what the camera sends, nil while unknown; ready is closed when it becomes known.
	tracks []rtsp.Track
	ready  chan struct{}
	gop    gop
	order  order
	// judged is closed when it is known whether the picture must be converted.
	judged   chan struct{}
	lastErr  error
	lastUnit time.Time
	// soundRate is the clock of the camera's sound, in Hz.
	soundRate int
	offline   bool
}

func newHub(log *slog.Logger, camera string, play func(context.Context, string, rtsp.Sink) error) *hub {
	h := &hub{
		log: log.With("camera", camera), camera: camera, play: play, start: time.Now().Add(-maxSkew), judged: make(chan struct{}),
		wanted: make(chan struct{}, 1), ended: make(chan struct{}), ready: make(chan struct{}), viewers: map[*Viewer]struct{}{},
	}
	h.picture = &conversion{hub: h, kind: rtsp.Video, to: decode.VP8}
	h.sound = &conversion{hub: h, kind: rtsp.Audio, to: decode.Opus}
	return h
}

// run serves until ctx ends, then sends the viewers away with ctx's cause.
func (h *hub) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-h.wanted:
			h.pull(ctx)
		}
	}
	h.cause = context.Cause(ctx)
	close(h.ended)
	h.mu.Lock()
	defer h.mu.Unlock()
	for v := range h.viewers {
		v.end(h.cause)
	}
}

// pull reads the camera until nobody wants it or ctx ends.
func (h *hub) pull(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h.mu.Lock()
	if h.users == 0 {
		h.mu.Unlock()
		return
	}
	h.stop = stop
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.forget()
	}()

	h.log.Info("reading the camera")
	defer h.log.Info("camera is no longer read")
	video := videoClock{}
	for failures := 0; ; {
		s := &sink{hub: h, clock: &video}
		err := h.attempt(ctx, s)
		if ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		h.lastErr = err
		h.mu.Unlock()
		h.setOffline()
		if s.worked {
			failures = 0
		}
		if failures++; failures == 1 || failures%20 == 0 {
			h.log.Warn("cannot read the camera; trying again", "failures", failures, "err", err)
		}
		if !retry.Pause(ctx, backoff(failures)) {
			return
		}
	}
}

// attempt reads the camera once, and gives up when it stays silent.
func (h *hub) attempt(ctx context.Context, s *sink) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h.mu.Lock()
	h.lastUnit = time.Now()
	h.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			h.mu.Lock()
			quiet := time.Since(h.lastUnit)
			h.mu.Unlock()
			if quiet > silence {
				h.setOffline()
			}
			if quiet > stuck {
				stop()
			}
		}
	})
	// Ends the watcher before it is waited for.
	defer stop()
	return h.play(ctx, h.camera, s)
}

// backoff is short: it is proxy that is asked, which spares the camera.
func backoff(failures int) time.Duration {
	return retry.Backoff(failures, 125*time.Millisecond, time.Second)
}

// acquire takes one of max places and makes sure that the camera is read; false means that all are taken.
func (h *hub) acquire(places int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users >= places {
		return false
	}
	h.users++
	if h.idle != nil {
		h.idle.Stop()
	}
	select {
	case h.wanted <- struct{}{}:
	default:
	}
	return true
}

func (h *hub) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users--; h.users > 0 {
		return
	}
	h.idle = time.AfterFunc(linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.users == 0 && h.stop != nil {
			h.stop()
			h.forget()
		}
	})
}

// forget drops what is known of a camera that is no longer read. h.mu is held.
func (h *hub) forget() {
	if h.tracks != nil {
		h.tracks, h.ready = nil, make(chan struct{})
	}
	h.stop, h.offline = nil, false
	h.gop.drop()
}

// format returns the camera's tracks; it waits for them until ctx ends. The caller has acquired the hub.
func (h *hub) format(ctx context.Context) ([]rtsp.Track, error) {
	for {
		h.mu.Lock()
		tracks, ready, err := h.tracks, h.ready, h.lastErr
		h.mu.Unlock()
		if tracks != nil {
			return tracks, nil
		}
		select {
		case <-ready:
		case <-h.ended:
			return nil, h.cause
		case <-ctx.Done():
			return nil, &Refusal{Reason: Offline, Message: "the camera is offline", Err: err}
		}
	}
}

// attach starts the picture for a viewer that is connected.
func (h *hub) attach(v *Viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.ended:
		v.end(h.cause)
		return
	default:
	}
	if !sameFormat(v.tracks, h.tracks) {
		v.end(errChanged())
		return
	}
	h.viewers[v] = struct{}{}
	if h.offline {
		v.notify(cameraEvent(true))
	}
	h.replay(v)
}

func (h *hub) detach(v *Viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
}

// resync sends a viewer whose decoder has lost its way the current GOP again.
func (h *hub) resync(v *Viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.viewers[v]; ok {
		h.replay(v)
	}
}

// replay puts the GOP in place of what waits in the viewer's queue. h.mu is held, so it fits.
func (h *hub) replay(v *Viewer) {
	for len(v.queue) > 0 {
		select {
		case <-v.queue:
		default:
		}
	}
	g := &h.gop
	if v.pictureBy != nil {
		g = &v.pictureBy.gop
	}
	frames := g.squeezed()
	if v.waiting = len(frames) == 0; !v.waiting {
		v.queue <- frames
	}
}

// deliver hands a camera's frame to its conversion, to those who come later and to every viewer that can take it.
func (h *hub) deliver(f *frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop == nil {
		return
	}
	h.lastUnit = time.Now()
	if f.audio {
		for i, part := range f.raw {
			// AAC has 1,024 samples in a frame (ISO/IEC 14496-3 section 4.5.1.1); other sound comes in one part.
			h.sound.send(decode.Unit{PTS: duration(f.ticks+int64(i)*1024, h.soundRate), Key: true, Data: [][]byte{part}})
		}
	} else {
		h.gop.add(f)
		h.picture.send(unitOf(f, f.shown))
		h.tell(false)
	}
	h.pass(f)
}

// pass offers a frame to the viewers; h.mu is held.
func (h *hub) pass(f *frame) {
	if f.payloads == nil {
		return
	}
	batch := []*frame{f}
	for v := range h.viewers {
		v.offer(batch)
	}
}

// setOffline says that the camera sends nothing.
func (h *hub) setOffline() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell(true)
}

// tell lets the viewers know when the camera goes or comes back. h.mu is held.
func (h *hub) tell(offline bool) {
	if h.offline == offline {
		return
	}
	h.offline = offline
	for v := range h.viewers {
		v.notify(cameraEvent(offline))
	}
}

// setTracks takes what the camera sends from now on.
func (h *hub) setTracks(tracks []rtsp.Track) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop == nil {
		// Nobody wants it any more.
		return
	}
	if h.tracks == nil {
		close(h.ready)
	}
	if !sameFormat(h.tracks, tracks) {
		for v := range h.viewers {
			v.end(errChanged())
		}
	}
	h.tracks, h.lastErr = slices.Clone(tracks), nil
	h.gop.drop()
	h.picture.anew()
	h.sound.anew()
	h.follow(tracks)
	for v := range h.viewers {
		v.waiting = true
	}
}

func errChanged() error {
	return &Refusal{Reason: Changed, Message: "the camera changed its video or audio format"}
}
