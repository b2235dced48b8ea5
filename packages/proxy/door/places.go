package door

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
)

// places bounds how many connections are open and how many of them have not said what they want.
type places struct {
	limits Limits

	mu sync.Mutex // guards what follows
	// undecided holds *conn, the oldest first.
	undecided *list.List
	open      map[*conn]struct{}
	sources   map[netip.Prefix]*tally
}

type tally struct{ open, undecided int }

func newPlaces(l Limits) *places {
	return &places{limits: l, undecided: list.New(), open: map[*conn]struct{}{}, sources: map[netip.Prefix]*tally{}}
}

// enter takes a place for a connection that is undecided; false means that there is none. When too many are undecided,
// the oldest must go: it is returned for closing. A good client is decided within a few round trips, so those who sit and
// say nothing are who goes.
func (p *places) enter(c *conn) (evicted *conn, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.sources[c.source]
	if t == nil {
		t = &tally{}
	}
	if len(p.open) >= p.limits.Open || t.open >= p.limits.OpenPerSource {
		return nil, false
	}
	p.sources[c.source] = t
	switch {
	case t.undecided >= p.limits.UndecidedPerSource:
		evicted = p.oldest(func(o *conn) bool { return o.source == c.source })
	case p.undecided.Len() >= p.limits.Undecided:
		evicted = p.oldest(func(*conn) bool { return true })
	}
	if evicted != nil {
		p.settle(evicted)
	}
	p.open[c] = struct{}{}
	t.open++
	t.undecided++
	c.undecided = p.undecided.PushBack(c)
	return evicted, true
}

func (p *places) oldest(match func(*conn) bool) *conn {
	for e := p.undecided.Front(); e != nil; e = e.Next() {
		if c, ok := e.Value.(*conn); ok && match(c) {
			return c
		}
	}
	return nil
}

// decided reports whether the connection was still undecided; from now on it is not. False means that it was evicted.
func (p *places) decided(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settle(c)
}

func (p *places) settle(c *conn) bool {
	if c.undecided == nil {
		return false
	}
	p.undecided.Remove(c.undecided)
	c.undecided = nil
	p.sources[c.source].undecided--
	return true
}

func (p *places) leave(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(c)
	if _, ok := p.open[c]; !ok {
		return
	}
	delete(p.open, c)
	t := p.sources[c.source]
	if t.open--; t.open == 0 {
		delete(p.sources, c.source)
	}
}

func (p *places) counts() (open, undecided int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open), p.undecided.Len()
}

// waiting lists the undecided connections.
func (p *places) waiting() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*conn
	for e := p.undecided.Front(); e != nil; e = e.Next() {
		if c, ok := e.Value.(*conn); ok {
			all = append(all, c)
		}
	}
	return all
}

// addressOf is the address without port and zone; not valid if it is none of TCP.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
