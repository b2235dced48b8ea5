package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"porthole/media/rtsp"
	"porthole/packages/proxy/door"
	"porthole/packages/proxy/route"
)

// openSwitched starts the ports that settings open and close: plain HTTP, open until there are settings, and the test
// socket, closed until then.
func (p *proxy) openSwitched(ctx context.Context, g *errgroup.Group) {
	if l := p.HTTP; l != nil {
		plain := route.Plain(p.routes, tcpPort(p.HTTPS))
		p.http = newOutlet(p.Env.Log, "-http", l.Addr().String(), func(ctx context.Context, l net.Listener) error {
			return serveWeb(ctx, p.Env.Log, l, plain)
		})
		g.Go(func() error { return p.http.run(ctx, l) })
	}
	if p.Test != "" {
		p.test = newOutlet(p.Env.Log, "-test", p.Test, p.serveTest)
		g.Go(func() error { return p.test.run(ctx, nil) })
	}
}

// serveTest serves plain RTSP to loopback and the device's own networks. The readers end with the port.
func (p *proxy) serveTest(ctx context.Context, l net.Listener) error {
	readers := &group{open: map[net.Conn]struct{}{}}
	defer readers.close()
	return door.Accept(ctx, p.Env.Log, l, func(c net.Conn) {
		tcp, ok := c.RemoteAddr().(*net.TCPAddr)
		if !ok || !p.allow.Local(tcp.AddrPort().Addr()) {
			if p.door != nil {
				p.door.NotAllowed()
			}
			c.Close()
			return
		}
		p.hub.Handle(readers.add(c), rtsp.ViaTest)
	})
}

// group is connections that end together.
type group struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{} // guarded by mu
	closed bool                  // guarded by mu
}

func (g *group) add(c net.Conn) net.Conn {
	m := &member{Conn: c, group: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		c.Close()
		return m
	}
	g.open[c] = struct{}{}
	return m
}

func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for c := range g.open {
		c.Close()
	}
	clear(g.open)
}

// member is a connection of a group.
type member struct {
	net.Conn
	group *group
}

func (m *member) Close() error {
	m.group.mu.Lock()
	delete(m.group.open, m.Conn)
	m.group.mu.Unlock()
	return m.Conn.Close()
}

// testUDP opens the pair of UDP ports for the test socket's readers. Without them RTP goes over TCP.
func (p *proxy) testUDP(ctx context.Context) *rtsp.UDP {
	if p.Test == "" || p.TestUDP == "" {
		return nil
	}
	pair, err := udpPair(ctx, p.TestUDP)
	if err != nil {
		p.Env.Log.Warn("the test socket's readers get RTP over TCP only", "err", err)
		return nil
	}
	return pair
}

// udpPair opens an even port and the odd one above it (RFC 3550 section 11). Port 0 takes any pair that is free.
func udpPair(ctx context.Context, addr string) (*rtsp.UDP, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("-test-udp %s: %w", addr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port%2 == 1 {
		return nil, fmt.Errorf("-test-udp %s: give an even port", addr)
	}
	// Any port may have a neighbour that is taken.
	for range 20 {
		var pair rtsp.UDP
		if pair.RTP, err = listenUDP(ctx, host, uint16(port)); err != nil {
			return nil, err
		}
		at := localPort(pair.RTP)
		if at%2 == 0 {
			if pair.RTCP, err = listenUDP(ctx, host, at+1); err == nil {
				return &pair, nil
			}
		}
		pair.RTP.Close()
		if port != 0 {
			return nil, err
		}
	}
	return nil, fmt.Errorf("-test-udp %s: there is no free pair of ports", addr)
}

func listenUDP(ctx context.Context, host string, port uint16) (*net.UDPConn, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("open a port of -test-udp: %w", err)
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return nil, errors.New("open a port of -test-udp: it is no UDP socket")
	}
	return udp, nil
}

func localPort(c *net.UDPConn) uint16 {
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.AddrPort().Port()
	}
	return 0
}

// refusedReader counts what the hub turned away.
func (p *proxy) refusedReader(_ netip.Addr, why rtsp.Refusal) {
	switch {
	case p.door == nil:
	case why == rtsp.TooManyLogins:
		p.door.RefusedLogin()
	case why == rtsp.Malformed:
		p.door.Malformed()
	}
}

// portOf is the number in an address to listen on, 0 if there is none.
func portOf(addr string) int {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}
