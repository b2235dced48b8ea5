package rtsp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/pion/rtp"
)

const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 10 * time.Second
	// watchedBackoff is the most while somebody waits for the picture and the camera cannot be connected to at all: that
	// costs next to nothing, and whoever watches has it back right after the camera is there again.
	watchedBackoff = 700 * time.Millisecond
	// deniedBackoff is how long a camera that refused the password is left alone: many lock out who tries too often.
	deniedBackoff = time.Minute
	// firstPacketTimeout is how long the first packet may take before another transport is tried.
	firstPacketTimeout = 4 * time.Second
	// describeTimeout is how long pictures may come without parameter sets before the camera is described without.
	describeTimeout = 2 * time.Second
	// keyTimeout is how long video is held back for a key picture.
	keyTimeout = 5 * time.Second
)

// run keeps the camera connected until nobody wants it, ctx ends or the source is removed.
func (c *camera) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.cancel = cancel
	if c.removed {
		cancel()
	}
	c.setState(stateConnecting, c.fault)
	wait := time.Until(c.holdOff)
	c.mu.Unlock()
	var backoff time.Duration
	var via transports
	for {
		if !c.rest(ctx, wait) {
			if c.sleep(ctx) {
				return
			}
			wait = 0
			continue
		}
		began := time.Now()
		wasLive, err := c.pull(ctx, &via)
		if wasLive && time.Since(began) > maxBackoff {
			backoff = 0
		}
		if err == nil || via.next(err) {
			wait = 0
			continue
		}
		longest := maxBackoff
		if unreachable(err) && c.watched() {
			longest = watchedBackoff
		}
		backoff = min(max(2*backoff, minBackoff), longest)
		wait = c.failed(err, wasLive, backoff)
	}
}

// unreachable reports whether there was no connection: nothing answers, or nothing listens.
func unreachable(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}

// watched reports whether somebody reads the camera or waits to.
func (c *camera) watched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.readers) > 0 || c.waiting > 0
}

// failed notes a failed or lost connection and returns when to try again.
func (c *camera) failed(err error, wasLive bool, backoff time.Duration) time.Duration {
	// ±20 %, so that cameras behind one switch do not come back all at once.
	wait := time.Duration(float64(backoff) * (0.8 + 0.4*rand.Float64()))
	c.mu.Lock()
	defer c.mu.Unlock()
	fault := explain(err, c.src)
	c.raw = err
	if wasLive || c.fault == nil || c.fault.Error() != fault.Error() {
		c.log.Warn("camera lost", "err", fault)
	}
	c.failures++
	c.lasting = errors.Is(fault, errDenied) || errors.Is(fault, errRefused)
	if errors.Is(fault, errDenied) {
		wait = deniedBackoff
		c.holdOff = time.Now().Add(wait)
	}
	c.setState(stateLost, fault)
	return wait
}

// rest waits before the next connection; false means that there should be none.
func (c *camera) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	idle := time.NewTimer(c.idleIn(time.Now()))
	defer idle.Stop()
	for {
		if ctx.Err() != nil || c.idleIn(time.Now()) <= 0 {
			return false
		}
		idle.Reset(c.idleIn(time.Now()))
		select {
		case <-ctx.Done():
		case <-idle.C:
		case <-c.wake:
		case <-c.restart:
			return true
		case <-timer.C:
			return true
		}
	}
}

// sleep ends the run, unless somebody has come in the meantime.
func (c *camera) sleep(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil && !c.removed && (len(c.readers) > 0 || c.waiting > 0 || c.src.AlwaysOn) {
		return false
	}
	c.closeStream()
	c.running = false
	c.log.Info("camera idle")
	fault := c.fault
	if c.state == stateLive {
		fault = nil
	}
	c.setState(stateIdle, fault)
	return true
}

// pull connects and feeds the readers until the connection ends (an error), nobody wants it or a restart is asked for
// (none). It reports whether a packet came.
func (c *camera) pull(ctx context.Context, via *transports) (wasLive bool, err error) {
	// What was asked before this connection is answered by it.
	select {
	case <-c.restart:
	default:
	}
	c.mu.Lock()
	src := c.src
	c.repairs = nil
	if c.state == stateLive {
		c.setState(stateConnecting, nil)
	}
	c.mu.Unlock()
	ans := &answers{note: c.noteRepair}
	protocol := via.use(src)
	client, u, err := newClient(src, protocol, ans)
	if err != nil {
		return false, err
	}
	c.cfg.rtspLog.watch(client, c.id)
	if err := client.Start(); err != nil {
		return false, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Wait() // asked for again where it matters
	}()
	attempt, cancel := context.WithTimeout(ctx, c.cfg.AnswerTimeout)
	disarm := closeOn(attempt, client)
	defer func() {
		cancel()
		disarm()
		client.Close()
		<-ended
	}()
	err = c.connect(client, u, src, ans, protocol)
	switch {
	case ctx.Err() != nil:
		return false, nil
	case attempt.Err() != nil:
		return false, errNoAnswer
	case err != nil:
		return false, err
	}
	disarm()
	return c.watch(ctx, client, ended, via)
}

// closeOn closes the client when ctx ends, until it is disarmed; that waits for a close under way.
func closeOn(ctx context.Context, client *gortsplib.Client) (disarm func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		client.Close()
	})
	return sync.OnceFunc(func() {
		if !stop() {
			<-closed
		}
	})
}

// connect makes the camera send.
func (c *camera) connect(client *gortsplib.Client, u *base.URL, src Source, ans *answers, via gortsplib.Protocol) error {
	desc, _, err := client.Describe(u)
	if err != nil {
		return err
	}
	all := slices.Clone(desc.Medias)
	medias, err := usable(desc, src.Options.DropAudio, ans.note)
	if err != nil {
		return err
	}
	if err := client.SetupAll(desc.BaseURL, medias); err != nil {
		return &transportError{err}
	}
	conn, err := c.adopt(medias, toldOf(ans.told(), all, medias), via)
	if err != nil {
		return err
	}
	c.listen(client, conn, medias)
	if _, err := client.Play(nil); err != nil {
		return &transportError{err}
	}
	return nil
}

// noteRepair keeps a sentence on what was put right in this connection.
func (c *camera) noteRepair(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.repairs) < maxRepairs && !slices.Contains(c.repairs, s) {
		c.repairs = append(c.repairs, s)
	}
}

// adopt prepares the readers' side for a new connection: the stream they have if the formats are the same, else a new
// one. It returns the connection's number.
func (c *camera) adopt(medias []*description.Media, t told, via gortsplib.Protocol) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return 0, errRemoved
	}
	if c.stream != nil && !sameFormats(c.medias, medias) {
		c.log.Info("camera has other formats now")
		c.closeStream()
	}
	if c.stream == nil {
		stream := &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Title: "Porthole", Medias: medias}}
		if err := stream.Initialize(); err != nil {
			return 0, err
		}
		c.stream = stream
		c.medias = medias
		c.lanes, c.key = newLanes(stream, medias)
	}
	for _, l := range c.lanes {
		l.reset()
	}
	c.shared = offset{}
	c.gop.reset()
	c.rates = rates{}
	c.meter.interrupted()
	c.conn++
	c.connects++
	c.told = t
	c.transport = "tcp"
	if via == gortsplib.ProtocolUDP {
		c.transport = "udp"
	}
	c.playedAt, c.firstAt, c.lastAt = time.Now(), time.Time{}, time.Time{}
	c.describeTracks()
	return c.conn, nil
}

// listen connects the client's packets to the lanes. The client's media are those of adopt or have the same formats.
func (c *camera) listen(client *gortsplib.Client, conn int, medias []*description.Media) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := 0
	for _, m := range medias {
		for _, f := range m.Formats {
			l := c.lanes[i]
			i++
			client.OnPacketRTP(m, f, func(pkt *rtp.Packet) {
				reported, _ := client.PacketNTP(m, pkt)
				c.feed(conn, l, pkt, reported)
			})
		}
	}
}

// watch waits for the end of a connection. ended is closed when the client has ended.
func (c *camera) watch(ctx context.Context, client *gortsplib.Client, ended <-chan struct{}, via *transports) (wasLive bool, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		idle := c.idleIn(now)
		played, last := c.packetTimes()
		wasLive = !last.IsZero()
		if ctx.Err() != nil || idle <= 0 {
			return wasLive, nil
		}
		stall := played.Add(min(c.cfg.StallTimeout, firstPacketTimeout)).Sub(now)
		if wasLive {
			via.works()
			stall = last.Add(c.cfg.StallTimeout).Sub(now)
		}
		if stall <= 0 {
			if !wasLive {
				return false, &transportError{errSilent}
			}
			return true, errSilent
		}
		timer.Reset(min(idle, stall))
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		case <-c.restart:
			return wasLive, nil
		case <-ended:
			err := client.Wait()
			if _, last := c.packetTimes(); last.IsZero() {
				return false, &transportError{err}
			}
			return true, err
		}
	}
}

// packetTimes returns when the camera was asked to play and when its last packet came; zero if none did.
func (c *camera) packetTimes() (played, last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.playedAt, c.lastAt
}
