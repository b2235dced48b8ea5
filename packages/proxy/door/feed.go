package door

import (
	"net"
	"sync"
)

// Feed is a listener whose connections somebody else has accepted: http.Server reads from it what the Door gives.
type Feed struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewFeed returns a Feed that says it listens on addr.
func NewFeed(addr net.Addr) *Feed {
	return &Feed{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Give hands c to whoever accepts next; after Close it closes c instead.
func (f *Feed) Give(c net.Conn) {
	select {
	case f.conns <- c:
	case <-f.closed:
		c.Close()
	}
}

// Accept returns the next connection given; net.ErrClosed after Close.
func (f *Feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Give.
func (f *Feed) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// Addr returns the address given to NewFeed.
func (f *Feed) Addr() net.Addr { return f.addr }
