// Package live carries cameras to browsers over WebRTC: a hub for each camera, which reads it once from proxy while
// somebody watches, and a PeerConnection for each viewer.
package live

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
)

// answerTimeout is how long a viewer waits for a camera that is being connected, where Config does not say.
const answerTimeout = 8 * time.Second

// Config is what a Server needs.
type Config struct {
	Log *slog.Logger
	// Play reads a camera until ctx or the connection ends, as rtsp.Play does.
	Play func(ctx context.Context, camera string, sink rtsp.Sink) error
	// Path is where media leaves; nil means that there is none, and nobody can watch.
	Path *Path
	// PerCamera and Total bound the viewers until SetLimits says otherwise.
	PerCamera, Total int
	// Convert starts a decoder child that converts what a browser cannot play; nil: nothing is converted. Live, Encode and
	// MaxSize are filled in.
	Convert func(context.Context, decode.Options) (Converter, error)
	// Conversions is how many cameras' pictures are converted at once; zero means 2.
	Conversions int
	// AnswerTimeout is how long a viewer waits for a camera that is being connected; zero means 8 s.
	AnswerTimeout time.Duration
}

// Server shows cameras to viewers.
type Server struct {
	cfg Config
	// spawn runs f until the server's context ends; false means that it has ended.
	spawn func(f func(context.Context)) bool
	wg    *sync.WaitGroup
	// slots hold a token for each conversion that runs.
	slots map[rtsp.Kind]chan struct{}

	mu      sync.Mutex // guards what follows
	hubs    map[string]hubEntry
	viewers int
	limits  Limits
	// all are the viewers that have been answered.
	all     map[*Viewer]struct{}
	counted counters
}

type hubEntry struct {
	*hub
	remove context.CancelCauseFunc
}

// Start returns a Server without cameras. When ctx ends it sends its viewers away; Wait waits for that.
func Start(ctx context.Context, cfg Config) *Server {
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, answerTimeout)
	cfg.Conversions = cmp.Or(cfg.Conversions, conversions)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		ended bool
	)
	wg.Go(func() {
		<-ctx.Done()
		mu.Lock()
		ended = true
		mu.Unlock()
	})
	return &Server{
		cfg: cfg, hubs: map[string]hubEntry{}, wg: &wg, limits: Limits{PerCamera: cfg.PerCamera, Total: cfg.Total},
		all: map[*Viewer]struct{}{}, counted: newCounters(),
		slots: map[rtsp.Kind]chan struct{}{
			rtsp.Video: make(chan struct{}, cfg.Conversions), rtsp.Audio: make(chan struct{}, soundConversions),
		},
		spawn: func(f func(context.Context)) bool {
			mu.Lock()
			defer mu.Unlock()
			if !ended {
				wg.Go(func() { f(ctx) })
			}
			return !ended
		},
	}
}

// Wait returns when the context given to Start has ended and every viewer is gone.
func (s *Server) Wait() { s.wg.Wait() }

// SetCameras replaces the set of cameras. Viewers of one that is no longer in it are sent away.
func (s *Server) SetCameras(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
		if _, ok := s.hubs[id]; ok {
			continue
		}
		h := newHub(s.cfg.Log, id, s.cfg.Play)
		h.open = s.cfg.Convert
		started := make(chan context.CancelCauseFunc, 1)
		if !s.spawn(func(ctx context.Context) {
			ctx, remove := context.WithCancelCause(ctx)
			defer remove(nil)
			started <- remove
			h.run(ctx)
		}) {
			return
		}
		s.hubs[id] = hubEntry{h, <-started}
	}
	for id, h := range s.hubs {
		if !wanted[id] {
			h.remove(errUnknown())
			delete(s.hubs, id)
		}
	}
}

func errUnknown() error { return &Refusal{Reason: Unknown, Message: "there is no such camera"} }

// Watch answers a viewer's SDP offer. It waits for a camera that must be connected first, AnswerTimeout at most, or
// until ctx ends. The viewer then lives until it is closed, breaks, or is sent away. Errors are *Refusal.
func (s *Server) Watch(ctx context.Context, camera, sdpOffer string) (*Viewer, error) {
	v, err := s.watch(ctx, camera, sdpOffer)
	// Who left meanwhile was not refused.
	if err != nil && ctx.Err() == nil {
		s.refused(err)
	}
	return v, err
}

func (s *Server) watch(ctx context.Context, camera, sdpOffer string) (*Viewer, error) {
	o, err := parseOffer(sdpOffer)
	if err != nil {
		return nil, err
	}
	if s.cfg.Path == nil {
		return nil, &Refusal{Reason: NoPath, Message: "live view is switched off (-ice-udp is empty)"}
	}
	h, err := s.enter(camera)
	if err != nil {
		return nil, err
	}
	v, err := s.negotiate(ctx, h, o, sdpOffer)
	if err != nil {
		s.leave(h)
		return nil, err
	}
	return v, nil
}

// enter takes a place at a camera.
func (s *Server) enter(camera string) (*hub, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.hubs[camera]
	switch {
	case !ok:
		return nil, errUnknown()
	case s.viewers >= s.limits.Total:
		return nil, errDeviceBusy(s.limits.Total)
	case !h.acquire(s.limits.PerCamera):
		return nil, errCameraBusy(s.limits.PerCamera)
	}
	s.viewers++
	return h.hub, nil
}

func (s *Server) leave(h *hub) {
	h.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewers--
}

// refused counts why somebody cannot watch.
func (s *Server) refused(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted.refused[reasonOf(err)]++
}

// joined puts a viewer that is answered on the list; left takes it off and keeps its counts.
func (s *Server) joined(v *Viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.maxTime = s.limits.MaxTime
	s.all[v] = struct{}{}
	s.counted.stream(v.hub.camera).Started++
}

func (s *Server) left(v *Viewer) {
	last := v.status(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, v)
	s.counted.stream(v.hub.camera).add(last)
	if v.err != nil {
		s.counted.ended[reasonOf(v.err)]++
	}
}

func (s *Server) firstFrame(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted.first(took)
}

func (s *Server) negotiate(ctx context.Context, h *hub, o offer, sdpOffer string) (*Viewer, error) {
	wait, cancel := context.WithTimeout(ctx, s.cfg.AnswerTimeout)
	defer cancel()
	tracks, err := h.format(wait)
	if err != nil {
		return nil, err
	}
	c, err := s.agree(wait, h, o, tracks)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	v := &Viewer{
		ID: id, hub: h, pictureBy: c.pictureBy, soundBy: c.soundBy, tracks: tracks, log: h.log.With("viewer", id[:6]),
		queue: make(chan []*frame, queueLength), events: make(chan Event, 16),
		connected: make(chan struct{}, 1), noPath: s.cfg.Path.noPath, done: make(chan struct{}), firstFrame: s.firstFrame,
	}
	v.leave = func() {
		s.left(v)
		s.leave(h)
		c.release()
	}
	if c.note != "" {
		v.notify(Event{"no-sound", c.note})
	}
	if c.converted != "" {
		v.traffic.transcode()
		code := "transcoded"
		if !c.convertVideo {
			code = "sound-transcoded"
		}
		v.notify(Event{code, c.converted})
	}
	started := make(chan error, 1)
	if !s.spawn(func(base context.Context) {
		own, end := context.WithCancelCause(base)
		defer end(nil)
		v.end = end
		if err := s.connect(ctx, v, c, sdpOffer); err != nil {
			started <- err
			return
		}
		v.traffic.answered = time.Now()
		s.joined(v)
		started <- nil
		v.run(own)
	}) {
		c.release()
		return nil, &Refusal{Reason: Stopping, Message: "the live view is restarting"}
	}
	if err := <-started; err != nil {
		c.release()
		return nil, err
	}
	return v, nil
}
