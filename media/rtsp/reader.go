package rtsp

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// batchSize is how much is written at once: what fits a TLS record (RFC 8446 section 5.1).
const batchSize = 16 << 10

var batches = sync.Pool{New: func() any { return new([batchSize]byte) }}

// reader is a session that reads a camera. gortsplib answers its requests; what it reads is written here, many packets
// at a time.
type reader struct {
	id      string
	cam     *camera
	session *gortsplib.ServerSession
	conn    *conn
	status  SessionStatus
	// stall is how long the reader may take nothing.
	stall time.Duration
	// writers counts the writing goroutines of the Hub.
	writers *sync.WaitGroup
	udp     *UDP
	// prompt readers get sound at once.
	prompt bool
	// gone is closed when the session is over.
	gone chan struct{}

	bytesOut atomic.Uint64

	mu sync.Mutex
	// All below is guarded by mu.
	reason string
	closed bool
	// tracks are by the number of the track, tallies by the number of the lane.
	tracks  []route
	tallies []tally
	queue   backlog
	// playing says that packets are queued, open that they may be written, writing that they are.
	playing, open, writing bool

	// deadline is the writing goroutine's.
	deadline time.Time
}

// route is how a track's packets travel.
type route struct {
	on bool
	// channel is the one of RTP over TCP, RTCP has the next one.
	channel byte
	// rtp and rtcp are where packets go over UDP; nil over TCP.
	rtp, rtcp *net.UDPAddr
}

func (h *Hub) newReader(ctx *gortsplib.ServerHandlerOnSetupCtx, p *peer, cam *camera) *reader {
	r := &reader{
		id: rand.Text(), cam: cam, session: ctx.Session, stall: h.cfg.ReaderTimeout, writers: &h.writers, udp: h.cfg.UDP, prompt: p.via == ViaSocket,
		gone: make(chan struct{}),
	}
	r.conn, _ = ctx.Conn.NetConn().(*conn)
	r.status = SessionStatus{ID: r.id, Stream: cam.id, Transport: "tcp", Since: time.Now()}
	if ctx.Transport.Protocol == gortsplib.ProtocolUDP {
		r.status.Transport = "udp"
	}
	r.status.Peer, r.status.Via, r.status.User, r.status.Auth, r.status.UserAgent = p.address(), p.via, p.user, p.by, p.agent
	return r
}

// setUp notes how a track travels, by the Transport header of our answer.
func (r *reader) setUp(track int, t headers.Transport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.tracks) <= track {
		r.tracks = append(r.tracks, route{})
	}
	to := route{on: true}
	switch {
	case t.InterleavedIDs != nil:
		to.channel = byte(t.InterleavedIDs[0])
	case t.ClientPorts != nil:
		if a, ok := r.conn.RemoteAddr().(*net.TCPAddr); ok {
			to.rtp = &net.UDPAddr{IP: a.IP, Zone: a.Zone, Port: t.ClientPorts[0]}
			to.rtcp = &net.UDPAddr{IP: a.IP, Zone: a.Zone, Port: t.ClientPorts[1]}
		}
	}
	r.tracks[track] = to
}

func (r *reader) has(l *lane) bool { return l.track < len(r.tracks) && r.tracks[l.track].on }

// begin queues what the reader starts with; it is written once the answer to PLAY is. c is the connection that sent it.
// Without a GOP, a reader of pictures waits for a key picture.
func (r *reader) begin(c *conn, lanes []*lane, gop []*sent, key *lane, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c != nil {
		r.conn = c
	}
	if len(r.tallies) != len(lanes) {
		r.tallies = make([]tally, len(lanes))
	}
	for i := range r.tallies {
		r.tallies[i].reported = false
	}
	for _, s := range gop {
		r.tallies[s.lane.index].reported = true
	}
	r.queue.start(gop, key != nil && r.has(key), now)
	r.playing = !r.closed
}

// push queues a packet and returns whether it is the first of its lane, behind which a sender report belongs. For gop
// see backlog.
func (r *reader) push(s *sent, gop []*sent, now time.Time) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.playing || !r.has(s.lane) {
		return false
	}
	added := r.queue.push(s, gop, now)
	t := &r.tallies[s.lane.index]
	first = added && !t.reported
	t.reported = t.reported || added
	return first
}

// release lets packets out: the answer to PLAY has been written.
func (r *reader) release() {
	r.mu.Lock()
	r.open = r.playing
	r.mu.Unlock()
	r.wake()
}

// pause stops the packets until begin.
func (r *reader) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.playing, r.open = false, false
	r.queue.clear()
}

// end closes the session, for a reason in words; the first one given counts.
func (r *reader) end(reason string) {
	r.because(reason)
	r.session.Close()
}

func (r *reader) because(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == "" {
		r.reason = reason
	}
}

// close is called once, when the session is over.
func (r *reader) close(reason string) {
	r.because(reason)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.playing, r.open = true, false, false
	r.queue.clear()
	close(r.gone)
}

// wake writes what waits.
func (r *reader) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open && !r.writing && r.queue.len() > 0 {
		r.writing = true
		if r.status.Transport == "udp" {
			r.writers.Go(r.writeUDP)
		} else {
			r.writers.Go(r.writeTCP)
		}
	}
}

// writeTCP writes until nothing waits. A goroutine that ends costs a reader less than one that waits: there are hundreds
// of readers.
func (r *reader) writeTCP() {
	b := batches.Get().(*[batchSize]byte)
	defer batches.Put(b)
	for {
		c, n, payload := r.batch(b[:])
		if n == 0 {
			return
		}
		if err := r.write(c, b[:n]); err != nil {
			r.broken(err)
			return
		}
		r.bytesOut.Add(uint64(payload))
	}
}

// batch fills b with frames (RFC 2326 section 10.12) and returns its size, and that of the packets in them. Zero ends
// the writing.
func (r *reader) batch(b []byte) (c *conn, n, payload int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.open {
		s := r.queue.take(len(b) - n - frameHeader)
		if s == nil {
			break
		}
		channel := r.tracks[s.lane.track].channel
		if s.report {
			channel++
		}
		size := r.tallies[s.lane.index].put(b[n+frameHeader:], s)
		copy(b[n:], []byte{'$', channel, byte(size >> 8), byte(size)})
		n += frameHeader + size
		if !s.report {
			payload += size
		}
	}
	r.writing = n > 0
	return r.conn, n, payload
}

func (r *reader) write(c *conn, b []byte) error {
	// Moving the deadline costs as much as encrypting a packet.
	if now := time.Now(); r.deadline.Sub(now) < r.stall*3/4 {
		r.deadline = now.Add(r.stall)
		if err := c.SetWriteDeadline(r.deadline); err != nil {
			return err
		}
	}
	_, err := c.Conn.Write(b)
	return err
}

func (r *reader) broken(err error) {
	r.mu.Lock()
	r.writing, r.playing, r.open = false, false, false
	r.queue.clear()
	r.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.end("the reader took nothing for " + r.stall.String())
		return
	}
	r.end(reasonClosed)
}

// describe tells of the session, also when it is over.
func (r *reader) describe() SessionStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if r.closed {
		s.Reason = r.reason
	}
	s.BytesOut = r.bytesOut.Load()
	s.Dropped, s.DroppedGOPs = r.queue.dropped, r.queue.gaps
	return s
}

// drops counts the packets that the reader missed, and the gaps.
func (r *reader) drops() (packets, gaps uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.dropped, r.queue.gaps
}

// reads reports whether the session has set up a track with the lane.
func (r *reader) reads(l *lane) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has(l)
}

// without returns list without r.
func without(list []*reader, r *reader) []*reader {
	return slices.DeleteFunc(list, func(o *reader) bool { return o == r })
}
