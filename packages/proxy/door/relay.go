package door

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxValidations are relayed at once, maxValidationsPerSource of one source. An authority looks from five places or so at
	// each of an order's names.
	maxValidations          = 64
	maxValidationsPerSource = 16
	// validationTime bounds a handshake and what is relayed of it each way, in bytes.
	validationTime = 15 * time.Second
	validationSize = 64 << 10
	// validationRest is how long one side may go on when the other has ended.
	validationRest = 2 * time.Second
)

// validations counts what is relayed.
type validations struct {
	mu      sync.Mutex
	all     int                  // guarded by mu
	sources map[netip.Prefix]int // guarded by mu
}

func (v *validations) enter(p netip.Prefix) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.all >= maxValidations || v.sources[p] >= maxValidationsPerSource {
		return false
	}
	if v.sources == nil {
		v.sources = map[netip.Prefix]int{}
	}
	v.all++
	v.sources[p]++
	return true
}

func (v *validations) leave(p netip.Prefix) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all--
	if v.sources[p]--; v.sources[p] == 0 {
		delete(v.sources, p)
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
