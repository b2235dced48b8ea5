package rtsp

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
)

// The states of a camera.
const (
	stateIdle       = "idle"
	stateConnecting = "connecting"
	stateLive       = "live"
	stateLost       = "lost"
)

// camera is one source: it is pulled while somebody wants it and feeds its readers.
type camera struct {
	id     string
	cfg    Config
	log    *slog.Logger
	server *gortsplib.Server
	// spawn runs a function beside the Hub's others; it is false when the Hub has ended.
	spawn func(func(context.Context)) bool
	// ended is closed when the Hub has.
	ended <-chan struct{}

	// restart asks for a new connection, wake for a look at who reads. Both hold one message.
	restart, wake chan struct{}

	mu sync.Mutex
	// All below is guarded by mu.
	src     Source
	running bool
	removed bool
	// cancel ends the run, if there was one.
	cancel context.CancelFunc

	state string
	since time.Time
	// fault is why the camera is not live. failures counts failed connections; a lasting fault is one that trying
	// again soon would not mend, and holdOff is until when it is not tried.
	fault error
	// raw is what fault explains, of the last failed connection.
	raw      error
	failures int
	lasting  bool
	holdOff  time.Time
	connects int
	// changed is closed and replaced whenever a waiting DESCRIBE should look again.
	changed chan struct{}

	// waiting counts requests that wait for the camera, lastUse is when somebody last wanted it.
	waiting int
	lastUse time.Time
	readers map[*reader]struct{}
	// playing are the readers that get packets; flusher writes at flushAt what waits then; zero if nothing does.
	playing []*reader
	flushAt time.Time
	flusher *time.Timer

	// conn counts connections, so that a packet of an old one is known as such.
	conn   int
	medias []*description.Media
	stream *gortsplib.ServerStream
	lanes  []*lane
	shared offset
	gop    gop
	// key is the lane whose key pictures begin the GOP; nil without such video.
	key *lane
	// playedAt, firstAt and lastAt are of the current connection: when it was asked to play, its first and last packet.
	playedAt, firstAt, lastAt time.Time

	// told, transport and repairs are of the last connection.
	told      told
	transport string
	repairs   []string

	bytesIn, bytesOut, dropped uint64
	// lateGOPs counts the gaps of readers that have gone.
	lateGOPs uint64
	tracks   []TrackStatus
	rates    rates
	meter    gopMeter

	sessions                   uint64
	sessionBegan, sessionEnded time.Time
}

func newCamera(cfg Config, src Source, server *gortsplib.Server, spawn func(func(context.Context)) bool, ended <-chan struct{}) *camera {
	return &camera{
		id: src.ID, cfg: cfg, log: cfg.Log.With("camera", src.ID), server: server, spawn: spawn, ended: ended,
		restart: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		src: src, state: stateIdle, since: time.Now(), changed: make(chan struct{}),
		readers: map[*reader]struct{}{},
	}
}

// setSource changes the camera. It is connected anew only if what concerns the connection changed; its readers stay
// then, and see the new stream if it has the same formats.
func (c *camera) setSource(src Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.src
	c.src = src
	// An always-on camera may be let go of now.
	signal(c.wake)
	if old.URL == src.URL && old.User == src.User && old.Password == src.Password && old.Transport == src.Transport &&
		old.Options.DropAudio == src.Options.DropAudio {
		return
	}
	c.holdOff = time.Time{}
	c.lasting = false
	signal(c.restart)
}

// begin reports whether the camera should be started without a reader, and counts it as running then.
func (c *camera) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.src.AlwaysOn || c.running || c.removed {
		return false
	}
	c.running = true
	return true
}

// dress gives a description for readers what the camera's own says and the options leave.
func (c *camera) dress(body []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told.dress(body, c.src.Options)
}

// remove ends the camera and its readers.
func (c *camera) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.removed {
		c.removed = true
		if c.cancel != nil {
			c.cancel()
		}
		for r := range c.readers {
			r.because(reasonRemoved)
		}
		c.closeStream()
		c.announce()
	}
}

// open waits until the camera is live, starting it if need be, and returns what readers attach to. The error says why
// it is not, for the camera's owner.
func (c *camera) open() (*gortsplib.ServerStream, error) {
	timer := time.NewTimer(c.cfg.AnswerTimeout)
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting++
	defer func() {
		c.waiting--
		c.lastUse = time.Now()
		signal(c.wake)
	}()
	failures := c.failures
	for {
		if c.removed {
			return nil, errRemoved
		}
		if c.state == stateLive && c.ready(time.Now()) {
			return c.stream, nil
		}
		if c.lasting && (c.failures > failures || time.Now().Before(c.holdOff)) {
			return nil, c.fault
		}
		if !c.running {
			c.running = true
			c.mu.Unlock()
			started := c.spawn(c.run)
			c.mu.Lock()
			if !started {
				c.running = false
				return nil, errEnded
			}
		}
		changed := c.changed
		c.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-timer.C:
			err = errNoAnswer
		case <-c.ended:
			err = errEnded
		}
		c.mu.Lock()
		if err != nil {
			if c.fault != nil {
				err = c.fault
			}
			return nil, err
		}
	}
}

// ready reports whether the formats are known well enough to describe: parameter sets that are missing in the camera's
// description come with the first pictures, unless they never do.
func (c *camera) ready(now time.Time) bool {
	if c.stream == nil || c.firstAt.IsZero() {
		return false
	}
	if now.Sub(c.firstAt) >= describeTimeout {
		return true
	}
	for _, l := range c.lanes {
		if !described(l.format) {
			return false
		}
	}
	return true
}

// attach makes a session a reader of the stream it was told of.
func (c *camera) attach(r *reader, stream *gortsplib.ServerStream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != stream || stream == nil {
		return false
	}
	if _, in := c.readers[r]; !in {
		c.readers[r] = struct{}{}
		if r.status.Via != ViaSocket {
			c.sessions++
			c.sessionBegan, c.sessionEnded = r.status.Since, time.Time{}
		}
	}
	return true
}

// detach forgets a session that has ended.
func (c *camera) detach(r *reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.playing = without(c.playing, r)
	if _, in := c.readers[r]; in {
		delete(c.readers, r)
		packets, gaps := r.drops()
		c.bytesOut += r.bytesOut.Load()
		c.dropped += packets
		c.lateGOPs += gaps
		if c.sessionBegan.Equal(r.status.Since) {
			c.sessionEnded = time.Now()
		}
	}
	c.lastUse = time.Now()
	signal(c.wake)
}

// pause stops a session's packets until it joins again.
func (c *camera) pause(r *reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.playing = without(c.playing, r)
	r.pause()
}

// current reports whether the stream is the one readers get now.
func (c *camera) current(stream *gortsplib.ServerStream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return stream != nil && c.stream == stream
}

// idleIn is how long until nobody will have wanted the camera for the linger time; zero or less means now. With
// somebody there, or always on, it is a long time.
func (c *camera) idleIn(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.readers) > 0 || c.waiting > 0 || c.src.AlwaysOn {
		return time.Hour
	}
	return c.lastUse.Add(c.cfg.Linger).Sub(now)
}

// setState enters a state; the caller holds mu.
func (c *camera) setState(state string, fault error) {
	if c.state != state {
		c.state = state
		c.since = time.Now()
	}
	c.fault = fault
	c.announce()
}

// announce makes those who wait look again; the caller holds mu.
func (c *camera) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// closeStream ends the readers, if any; the caller holds mu.
func (c *camera) closeStream() {
	if c.stream == nil {
		return
	}
	for r := range c.readers {
		// Their sessions end with the stream.
		r.because(reasonFormats)
	}
	c.stream.Close()
	c.stream = nil
	c.medias = nil
	c.lanes = nil
	c.key = nil
	c.gop.reset()
	c.playing = nil
	c.rates = rates{}
	c.meter.interrupted()
}

func (c *camera) status() CameraStatus {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CameraStatus{
		ID: c.id, State: c.state, Since: c.since, Readers: len(c.readers), Tracks: append([]TrackStatus{}, c.tracks...),
		BytesIn: c.bytesIn, BytesOut: c.bytesOut, Dropped: c.dropped, DroppedGOPs: c.lateGOPs, Reconnects: max(c.connects-1, 0),
		Sessions: c.sessions, LastSession: c.sessionBegan, GOPPictures: c.meter.pictures, GOPSeconds: c.meter.seconds,
		Repairs: append([]string{}, c.repairs...),
	}
	for r := range c.readers {
		packets, gaps := r.drops()
		s.BytesOut += r.bytesOut.Load()
		s.Dropped += packets
		s.DroppedGOPs += gaps
	}
	switch {
	case !c.sessionEnded.IsZero():
		s.LastDuration = c.sessionEnded.Sub(c.sessionBegan).Seconds()
	case !c.sessionBegan.IsZero():
		s.LastDuration = now.Sub(c.sessionBegan).Seconds()
	}
	if c.state == stateLive {
		s.KbitPerSecond, s.FPS = c.rates.of(now)
		s.Transport = c.transport
	}
	if c.fault != nil {
		s.Error = c.fault.Error()
	}
	return s
}

// signal leaves a message in a channel that holds one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
