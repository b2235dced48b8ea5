package live

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/pion/rtp/codecs"

	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/internal/retry"
)

const (
	// conversions is how many cameras' pictures are converted at once where Config does not say: 720p of 25 pictures a second takes
	// a quarter of a processor of a small server, and a Raspberry Pi 4's are some four times slower.
	conversions = 2
	// soundConversions is the same for sound, which costs next to nothing.
	soundConversions = 8
	// opusRate is the clock of Opus, whatever it carries (RFC 7587 section 4.1).
	opusRate = 48000
	// steady is how long a decoder child must work for its next failure to count as the first.
	steady = 10 * time.Second
)

// convertedSize bounds the pictures that conversions make.
var convertedSize = image.Pt(1280, 720)

// Converter is a decoder child that converts a stream: decode.Decoder with decode.Encode.
type Converter interface {
	// Send hands over the next unit; it does not wait.
	Send(decode.Unit) error
	// NextPacket waits for the next packet, until ctx ends.
	NextPacket(ctx context.Context) (decode.Packet, error)
	Close() error
}

// OpenConverter starts a decoder child, for Config.Convert.
func OpenConverter(ctx context.Context, o decode.Options) (Converter, error) {
	d, err := decode.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// conversion makes one track of a camera fit for browsers that cannot play it as it is. It runs while it has users and a little
// longer, once for all of them.
type conversion struct {
	hub  *hub
	kind rtsp.Kind
	to   decode.Codec

	// hub.mu guards what follows.

	// users counts viewers, also those still negotiating.
	users int
	idle  *time.Timer
	// stop ends the run; nil while there is none.
	stop context.CancelFunc
	// renew ends the child, so that another one takes over.
	renew context.CancelCauseFunc
	// child takes units; nil while there is none.
	child Converter
	// gop is what VP8 can be started with.
	gop gop
}

var (
	errRenewed  = errors.New("the camera was connected anew")
	errNoTracks = errors.New("the camera is not read")
)

// join adds a user, if the conversion runs.
func (c *conversion) join() bool {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if c.stop == nil {
		return false
	}
	c.enter()
	return true
}

// enter counts a user; the caller holds hub.mu.
func (c *conversion) enter() {
	c.users++
	if c.idle != nil {
		c.idle.Stop()
	}
}

// begin adds a user and returns what to run, nil if it runs already.
func (c *conversion) begin() func(context.Context) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	c.enter()
	if c.stop != nil {
		return nil
	}
	own, stop := context.WithCancel(context.Background())
	c.stop = stop
	return func(ctx context.Context) {
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		c.run(own)
	}
}

// leave takes a user away; without any the conversion ends after linger.
func (c *conversion) leave() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.idle = time.AfterFunc(linger, func() { c.endIdle() })
}

// endIdle ends a conversion that nobody uses, and reports whether there was one.
func (c *conversion) endIdle() bool {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if c.users > 0 || c.stop == nil {
		return false
	}
	c.stop()
	c.stop, c.child = nil, nil
	c.gop.drop()
	return true
}

// run keeps a child at work until ctx ends.
func (c *conversion) run(ctx context.Context) {
	log := c.hub.log.With("converts", c.kind)
	log.Info("converting for browsers")
	defer log.Info("no longer converting")
	for failures := 0; ; {
		began := time.Now()
		err := c.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errRenewed):
			continue
		case time.Since(began) > steady:
			failures = 0
		}
		if failures++; failures == 1 || failures%20 == 0 {
			log.Warn("conversion failed; trying again", "failures", failures, "err", err)
		}
		if !retry.Pause(ctx, backoff(failures)) {
			return
		}
	}
}

// attempt runs one child to its end.
func (c *conversion) attempt(ctx context.Context) error {
	ctx, renew := context.WithCancelCause(ctx)
	defer renew(nil)
	c.hub.mu.Lock()
	c.renew = renew
	options, ok := c.options()
	c.hub.mu.Unlock()
	if !ok {
		return errNoTracks
	}
	child, err := c.hub.open(ctx, options)
	if err != nil {
		return fmt.Errorf("start the decoder: %w", err)
	}
	defer child.Close()
	c.hub.mu.Lock()
	if ctx.Err() == nil {
		c.child = child
		if c.kind == rtsp.Video {
			c.hub.prime(child)
		}
	}
	c.hub.mu.Unlock()
	defer func() {
		c.hub.mu.Lock()
		defer c.hub.mu.Unlock()
		if c.child == child {
			c.child = nil
		}
	}()
	payloader := codecs.VP8Payloader{}
	for {
		p, err := child.NextPacket(ctx)
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		f := &frame{converted: true, key: p.Key, audio: c.kind == rtsp.Audio}
		if f.audio {
			f.ticks, f.payloads = nearest(p.PTS, opusRate), [][]byte{p.Data}
		} else {
			f.ticks, f.payloads = nearest(p.PTS, 90000), payloader.Payload(maxPayload, p.Data)
		}
		c.deliver(child, f)
	}
}

// options says how the track is converted; the caller holds hub.mu.
func (c *conversion) options() (decode.Options, bool) {
	for _, t := range c.hub.tracks {
		if t.Kind != c.kind {
			continue
		}
		in, ok := convertible(t, c.hub.order.reordered)
		return decode.Options{Live: &in, MaxSize: convertedSize, Encode: &decode.Encode{Codec: c.to, BitRate: bitRate(in.Width, in.Height)}}, ok
	}
	return decode.Options{}, false
}

// bitRate is what VP8 needs for pictures of a size: 2 Mbit/s for the largest. Zero while the size is unknown.
func bitRate(width, height int) int {
	if width <= 0 || height <= 0 {
		return 0
	}
	pixels := min(width*height, convertedSize.X*convertedSize.Y)
	return max(pixels*22/10, 300_000)
}

// send hands a unit to the child, if there is one; the caller holds hub.mu.
func (c *conversion) send(u decode.Unit) {
	if c.child != nil {
		// One that has ended is noticed where its packets are read.
		_ = c.child.Send(u)
	}
}

// deliver passes on what a child made, unless another one has taken over.
func (c *conversion) deliver(child Converter, f *frame) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if c.child != child {
		return
	}
	if !f.audio {
		c.gop.add(f)
	}
	c.hub.pass(f)
}

// anew gives the conversion a new child: what it was told of the track holds no longer. The caller holds hub.mu.
func (c *conversion) anew() {
	if c.renew != nil {
		c.renew(errRenewed)
		c.child = nil
	}
	c.gop.drop()
}

// prime starts a child with the cached GOP, its pictures shown forty times as fast; h.mu is held.
func (h *hub) prime(child Converter) {
	newest := int64(0)
	for _, f := range h.gop.frames {
		newest = max(newest, f.shown)
	}
	for _, f := range h.gop.frames {
		_ = child.Send(unitOf(f, newest-(newest-f.shown)/40)) // as in conversion.send
	}
}

// unitOf is a camera's picture for a child.
func unitOf(f *frame, shown int64) decode.Unit {
	return decode.Unit{PTS: duration(shown, 90000), Key: f.key, Data: f.raw}
}

// convert makes sure that a conversion runs and counts a user of it. Errors are *Refusal.
func (s *Server) convert(ctx context.Context, c *conversion) error {
	if c.join() {
		return nil
	}
	slots := s.slots[c.kind]
	select {
	case slots <- struct{}{}:
	default:
		if !s.endIdleConversion(c.kind) {
			return &Refusal{Reason: Busy, Message: fmt.Sprintf(
				"%d cameras are being converted for browsers that do not play them as they are, which is as many as this device can: close one, or try again later", cap(slots))}
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return &Refusal{Reason: Busy, Message: "the device is busy converting other cameras: try again later"}
		}
	}
	run := c.begin()
	if run == nil || !s.spawn(func(ctx context.Context) {
		defer func() { <-slots }()
		run(ctx)
	}) {
		<-slots
	}
	return nil
}

// endIdleConversion makes room.
func (s *Server) endIdleConversion(kind rtsp.Kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hubs {
		if h.conversion(kind).endIdle() {
			return true
		}
	}
	return false
}

// conversion is the one of a kind of tracks.
func (h *hub) conversion(kind rtsp.Kind) *conversion {
	if kind == rtsp.Audio {
		return h.sound
	}
	return h.picture
}
