package certstore

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"time"
)

// choose returns the pair for a client.
//
// One that names a host (SNI) gets a public pair for that name, else the device's. Without a name, an Echo gets a public pair, as
// it takes no other; RSA if it can, with a name too. The others, which have an address instead of a name (a signage player in
// Python offers no ALPN, but TLS 1.3), get the device's, unless a public pair is for addresses and this may be one of them.
// Otherwise ECDSA goes before RSA, and nobody gets what he cannot read if there is another. A public pair that is over is none.
func (s *set) choose(hello *tls.ClientHelloInfo, now time.Time) *pair {
	public := func(fits func(*pair) bool) *pair {
		return s.first(s.public, hello, func(p *pair) bool { return !now.After(p.Leaf.NotAfter) && fits(p) })
	}
	var p *pair
	switch {
	case hello.ServerName != "":
		covers := func(p *pair) bool { return p.Leaf.VerifyHostname(hello.ServerName) == nil }
		if echo(hello) {
			p = public(func(p *pair) bool { return p.rsa && covers(p) })
		}
		if p == nil {
			p = public(covers)
		}
	case echo(hello):
		for _, want := range []struct{ trusted, rsa bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
			if p == nil {
				p = public(func(p *pair) bool { return p.Trusted == want.trusted && p.rsa == want.rsa })
			}
		}
	default:
		local, remote := addresses(hello.Conn)
		p = public(func(p *pair) bool { return slices.ContainsFunc(p.Leaf.IPAddresses, same(local)) })
		if p == nil && outside(remote) {
			// Its address is translated on the way: it is not ours.
			p = public(func(p *pair) bool { return len(p.Leaf.IPAddresses) > 0 })
		}
	}
	if p == nil {
		p = s.first(s.device, hello, func(*pair) bool { return true })
	}
	if p == nil {
		p = s.device[0]
	}
	return p
}

// echo reports whether the client may be an Echo, which offers neither ALPN nor TLS 1.3. Some take none but RSA and do not say so:
// they offer ECDSA ciphers, too.
func echo(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 0 && !slices.Contains(hello.SupportedVersions, tls.VersionTLS13)
}

// first returns the first pair of the list that fits and that the client can use; nil if there is none.
func (s *set) first(list []*pair, hello *tls.ClientHelloInfo, fits func(*pair) bool) *pair {
	// Whether the name fits is not the question here.
	client := *hello
	client.ServerName = ""
	for _, p := range list {
		if fits(p) && client.SupportsCertificate(&p.tls) == nil {
			return p
		}
	}
	return nil
}

// addresses are those of a connection's ends; not valid where they are none of TCP.
func addresses(c net.Conn) (local, remote netip.Addr) {
	of := func(a net.Addr) netip.Addr {
		if tcp, ok := a.(*net.TCPAddr); ok {
			return tcp.AddrPort().Addr().Unmap().WithZone("")
		}
		return netip.Addr{}
	}
	if c == nil {
		return local, remote
	}
	return of(c.LocalAddr()), of(c.RemoteAddr())
}

func same(a netip.Addr) func(net.IP) bool {
	return func(ip net.IP) bool {
		other, ok := netip.AddrFromSlice(ip)
		return ok && other.Unmap() == a
	}
}

// shared are addresses between a provider and its customers (RFC 6598): behind one is no way in from the internet.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// outside reports whether an address is of the internet.
func outside(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}
