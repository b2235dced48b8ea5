package door

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"porthole/packages/proxy/sniff"
)

const (
	// validationTime bounds a handshake and what is relayed of it each way, in bytes.
	validationTime = 15 * time.Second
	validationSize = 64 << 10
	// validationRest is how long one side may go on when the other has ended.
	validationRest = 2 * time.Second
)

// room bounds how many are in it at once.
type room struct {
	all, perSource int

	mu      sync.Mutex
	inside  int                  // guarded by mu
	sources map[netip.Prefix]int // guarded by mu
}

// newValidations is for what is relayed: an authority looks from five places or so at each of an order's names.
func newValidations() *room { return newRoom(64, 16) }

// newStrangers is for those who may not connect, while they are looked at: they may be an authority.
func newStrangers() *room { return newRoom(32, 8) }

func newRoom(all, perSource int) *room {
	return &room{all: all, perSource: perSource, sources: map[netip.Prefix]int{}}
}

func (r *room) enter(p netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside >= r.all || r.sources[p] >= r.perSource {
		return false
	}
	r.inside++
	r.sources[p]++
	return true
}

func (r *room) leave(p netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
	if r.sources[p]--; r.sources[p] == 0 {
		delete(r.sources, p)
	}
}

// handleStranger lets somebody whom the allow list does not name do one thing: ask for the answer to a validation. Authorities do
// not say where they ask from. Nobody else gets a word, or a place.
func (d *Door) handleStranger(ctx context.Context, c *conn) {
	defer context.AfterFunc(ctx, func() { c.TCPConn.Close() })()
	kind := sniff.Garbage
	if c.SetDeadline(time.Now().Add(d.cfg.Limits.FirstBytes)) == nil {
		kind, _, _ = peek(c.TCPConn) // what is no validation is refused, why ever
	}
	d.strangers.leave(c.source)
	if kind != sniff.ACME {
		d.counts.add(notAllowed)
		c.TCPConn.Close()
		return
	}
	if d.admit(c) {
		d.relay(ctx, c)
	}
}

// relay hands a validation to who answers it, byte by byte from the ClientHello on, until either side ends it, time is over or
// ctx ends. The key of the answer stays in the process that has it.
func (d *Door) relay(ctx context.Context, c *conn) {
	if d.cfg.ACME == nil || !d.validations.enter(c.source) {
		d.refuse(c, acme)
		return
	}
	defer d.validations.leave(c.source)
	ctx, cancel := context.WithTimeout(ctx, validationTime)
	defer cancel()
	to, err := d.cfg.ACME(ctx)
	if err != nil {
		d.refuse(c, acme)
		return
	}
	defer to.Close()
	if !d.places.decided(c) {
		c.Close()
		return
	}
	d.counts.add(servedACME)
	end, _ := ctx.Deadline()
	if c.SetDeadline(end) == nil && to.SetDeadline(end) == nil {
		pipe(ctx, c, to)
	}
	c.Close()
}

// pipe copies both ways until both sides have said their last word, one has and the other goes on for too long, or ctx ends.
func pipe(ctx context.Context, a, b halves) {
	defer context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})()
	var wg sync.WaitGroup
	for _, way := range [][2]halves{{a, b}, {b, a}} {
		wg.Go(func() {
			// Why it ended is no news: the handshake belongs to the two at the ends.
			_, _ = io.Copy(way[0], io.LimitReader(way[1], validationSize))
			_ = way[0].CloseWrite()
			// The other way has what is left: an alert, mostly.
			_ = way[0].SetReadDeadline(time.Now().Add(validationRest))
		})
	}
	wg.Wait()
}

// halves is a connection whose ways end one by one.
type halves interface {
	net.Conn
	CloseWrite() error
}
