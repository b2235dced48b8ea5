// Package door is the one port: it accepts TCP connections, looks at their first bytes, ends TLS, and hands each to
// whoever speaks its protocol. It bounds what strangers can hold and counts what it refuses.
package door

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"porthole/packages/internal/source"
	"porthole/packages/proxy/sniff"
)

// Limits bound what clients can hold.
type Limits struct {
	// Open connections, in all and per source (an IPv4 address, an IPv6 /64).
	Open, OpenPerSource int
	// Undecided connections have not said yet whether they want HTTP or RTSP; over the limit the oldest is closed.
	Undecided, UndecidedPerSource int
	// FirstBytes is how long a client may take to say what it speaks, Handshake how long for TLS, FirstLine for the
	// request line in it.
	FirstBytes, Handshake, FirstLine time.Duration
	// Stall is how long an HTTP client may take nothing of what is sent to it, and pause in what it sends.
	Stall time.Duration
	// Report is how often refusals are logged.
	Report time.Duration
}

// DefaultLimits fit a house or a shop on the smallest board.
func DefaultLimits() Limits {
	return Limits{
		// 500 readers behind one address, and as many browsers' connections.
		Open: 2000, OpenPerSource: 1000,
		Undecided: 400, UndecidedPerSource: 128,
		FirstBytes: 5 * time.Second, Handshake: 10 * time.Second, FirstLine: 10 * time.Second,
		Stall:  time.Minute,
		Report: time.Minute,
	}
}

// Config is what a Door needs. The functions take over a connection and return soon.
type Config struct {
	Log    *slog.Logger
	Limits Limits
	// Allow says whether an address may connect, except for a validation (ACME); nil lets everybody. It returns at once.
	Allow func(netip.Addr) bool
	// Near says whether an address is of a network of the device's own, for remembering whose handshakes fail; nil: none is.
	Near func(netip.Addr) bool
	// HTTP takes HTTP in TLS: a *tls.Conn where h2 was negotiated, otherwise HTTP/1.x and not a *tls.Conn.
	HTTP func(net.Conn)
	// RTSP takes RTSP in TLS.
	RTSP func(net.Conn)
	// Plain takes HTTP without TLS, for telling the client to use TLS.
	Plain func(net.Conn)
	// ICE gives another process the socket of a connection that speaks ICE over TCP (RFC 6544); its first STUN message has
	// come whole and is still to be read. The Door closes its own end afterwards, and its limits count the connection no
	// more. An error means that it could not be given away; nil refuses all.
	ICE func(syscall.Conn) error
	// ACME opens a connection to who answers TLS-ALPN-01 validations (RFC 8737): what the client says, from its ClientHello on,
	// is relayed there as it is. nil refuses all.
	ACME func(context.Context) (*net.UnixConn, error)
}

// Door serves one port.
type Door struct {
	cfg    Config
	places *places
	counts counters
	tls    tlsCounts
	// failing is with whom TLS does not come about.
	failing failing
	// validations are relayed now, strangers looked at.
	validations, strangers *room
}

// New returns a Door.
func New(cfg Config) *Door {
	return &Door{cfg: cfg, places: newPlaces(cfg.Limits), validations: newValidations(), strangers: newStrangers()}
}

// Serve accepts from l, a TCP listener, and ends TLS with cfg until ctx ends; then it closes l and the connections that
// are still undecided and waits for them. Connections handed over belong to who took them. The error names a listener
// that stopped working.
func (d *Door) Serve(ctx context.Context, l net.Listener, cfg *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { d.report(ctx, d.cfg.Limits.Report) })
	wg.Go(func() { d.dismiss(ctx) })
	return Accept(ctx, d.cfg.Log, l, func(c net.Conn) {
		d.enter(&wg, c, func(c *conn) { d.handle(ctx, c, cfg) }, func(c *conn) { d.handleStranger(ctx, c) })
	})
}

// dismiss closes what is still undecided when ctx ends.
func (d *Door) dismiss(ctx context.Context) {
	<-ctx.Done()
	for _, c := range d.places.waiting() {
		c.Close()
	}
}

// ServeICE is Serve for a port that has ICE over TCP only. Limits and counts are those of the Door.
func (d *Door) ServeICE(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { d.dismiss(ctx) })
	return Accept(ctx, d.cfg.Log, l, func(c net.Conn) {
		d.enter(&wg, c, func(c *conn) { d.handleICE(ctx, c) }, nil)
	})
}

// enter lets a connection in, or not, and starts what finds out what it wants; for those who may not connect that is stranger, or
// nothing.
func (d *Door) enter(wg *sync.WaitGroup, accepted net.Conn, handle, stranger func(*conn)) {
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		accepted.Close()
		return
	}
	from := addressOf(tcp.RemoteAddr())
	c := &conn{TCPConn: tcp, source: source.Of(from), places: d.places}
	switch {
	case d.cfg.Allow == nil || d.cfg.Allow(from):
		if d.admit(c) {
			wg.Go(func() { handle(c) })
		}
	case stranger != nil && d.cfg.ACME != nil && d.strangers.enter(c.source):
		wg.Go(func() { stranger(c) })
	default:
		d.counts.add(notAllowed)
		tcp.Close()
	}
}

// admit gives a connection a place; false means that there is none, and it is closed.
func (d *Door) admit(c *conn) bool {
	evicted, ok := d.places.enter(c)
	if evicted != nil {
		d.counts.add(crowded)
		evicted.Close()
	}
	if !ok {
		d.counts.add(full)
		c.TCPConn.Close()
	}
	return ok
}

// look waits until c has said what it speaks; false means that it never did, and is closed.
func (d *Door) look(ctx context.Context, c *conn) (sniff.Kind, bool) {
	// What waits is closed when ctx ends; this one may have come after.
	if ctx.Err() != nil {
		c.Close()
		return sniff.Garbage, false
	}
	if err := c.SetDeadline(time.Now().Add(d.cfg.Limits.FirstBytes)); err != nil {
		d.refuse(c, left)
		return sniff.Garbage, false
	}
	kind, _, err := peek(c.TCPConn)
	if err != nil {
		d.refuse(c, reason(err))
	}
	return kind, err == nil
}

// handle finds out what c wants and hands it over or closes it.
func (d *Door) handle(ctx context.Context, c *conn, cfg *tls.Config) {
	kind, ok := d.look(ctx, c)
	if !ok {
		return
	}
	switch kind {
	case sniff.TLS:
		d.terminate(ctx, c, cfg)
	case sniff.HTTP:
		d.failed(c, noTLS)
		d.give(c, c, sentToTLS, d.cfg.Plain)
	case sniff.RTSP:
		answerPlainRTSP(c)
		d.refuse(c, plainRTSP)
	case sniff.STUN:
		d.passICE(c)
	case sniff.ACME:
		d.relay(ctx, c)
	default:
		d.refuse(c, garbage)
	}
}

// handleICE is handle on a port for ICE.
func (d *Door) handleICE(ctx context.Context, c *conn) {
	switch kind, ok := d.look(ctx, c); {
	case !ok:
	case kind == sniff.STUN:
		d.passICE(c)
	default:
		d.refuse(c, garbage)
	}
}

// passICE gives the socket away and closes our end of it.
func (d *Door) passICE(c *conn) {
	if d.cfg.ICE == nil {
		d.refuse(c, stun)
		return
	}
	if !d.places.decided(c) {
		c.Close()
		return
	}
	if err := d.cfg.ICE(c.TCPConn); err != nil {
		d.counts.add(stun)
	} else {
		d.counts.add(servedICE)
	}
	c.Close()
}

// terminate ends TLS and tells RTSP from HTTP.
func (d *Door) terminate(ctx context.Context, c *conn, cfg *tls.Config) {
	if err := c.SetDeadline(time.Now().Add(d.cfg.Limits.Handshake)); err != nil {
		d.refuse(c, left)
		return
	}
	t := tls.Server(c, cfg)
	c.watched = true
	err := t.HandshakeContext(ctx)
	c.watched = false
	if err != nil {
		d.failed(c, failureOf(err, c.tail))
		why := reason(err)
		if why == garbage {
			why = handshake
		}
		d.refuse(c, why)
		return
	}
	state := t.ConnectionState()
	d.tls.add(TLSName(state))
	if state.NegotiatedProtocol == "h2" {
		d.give(c, t, servedHTTP, d.cfg.HTTP)
		return
	}
	kind, head, err := d.firstLine(c, t)
	switch {
	case err != nil:
		d.refuse(c, reason(err))
	case kind == sniff.HTTP:
		d.give(c, &replay{Conn: t, head: head}, servedHTTP, d.cfg.HTTP)
	case kind == sniff.RTSP:
		d.give(c, &replay{Conn: t, head: head}, servedRTSP, d.cfg.RTSP)
	default:
		d.refuse(c, garbage)
	}
}

// failed remembers that TLS did not come about.
func (d *Door) failed(c *conn, why failure) {
	a := addressOf(c.RemoteAddr())
	d.failing.add(a, why, d.cfg.Near != nil && d.cfg.Near(a), time.Now())
}

// Handshakes lists with whom TLS did not come about of late, the latest first: at most 256 addresses.
func (d *Door) Handshakes() []HandshakeFailure { return d.failing.list() }

// firstLine reads until the request line tells what is spoken in TLS, and returns all that was read.
func (d *Door) firstLine(c *conn, t *tls.Conn) (sniff.Kind, []byte, error) {
	if err := c.SetDeadline(time.Now().Add(d.cfg.Limits.FirstLine)); err != nil {
		return sniff.Garbage, nil, err
	}
	buf := make([]byte, 0, 1<<10)
	for {
		if len(buf) == cap(buf) {
			// FirstLine ends this at MaxLine.
			buf = append(make([]byte, 0, sniff.MaxLine), buf...)
		}
		n, err := t.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if kind := sniff.FirstLine(buf); kind != sniff.More {
			return kind, buf, nil
		}
		if err != nil {
			return sniff.Garbage, nil, err
		}
	}
}

// give hands over a connection that has said what it wants: as seen by its user it is with.
func (d *Door) give(c *conn, with net.Conn, o outcome, to func(net.Conn)) {
	if !d.places.decided(c) {
		c.Close()
		return
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		d.counts.add(left)
		c.Close()
		return
	}
	d.counts.add(o)
	if o != servedRTSP {
		c.boundWrites(d.cfg.Limits.Stall)
	}
	to(with)
}

// refuse closes a connection and counts it, unless it was counted when it was evicted.
func (d *Door) refuse(c *conn, o outcome) {
	if d.places.decided(c) {
		d.counts.add(o)
	}
	c.Close()
}

// reason tells why a connection that failed before it was decided did.
func reason(err error) outcome {
	var op *net.OpError
	switch {
	case isTimeout(err):
		return slow
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return left
	case errors.As(err, &op) && (op.Op == "read" || op.Op == "write"):
		// The network's error, not one of TLS ("remote error" and "local error" are alerts).
		return left
	}
	return garbage
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
