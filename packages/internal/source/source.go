// Package source says which addresses count as one, for limits on what strangers may do.
package source

import "net/netip"

// Of is what counts as one source: an IPv4 address, or an IPv6 /64, which is what one customer has at least (RFC 6177). Of
// no address it is the zero Prefix.
func Of(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
