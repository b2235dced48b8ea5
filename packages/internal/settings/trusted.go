package settings

import (
	"fmt"
	"net/netip"
)

// MaxTrustedProxies bounds Access.TrustedProxies, in entries.
const MaxTrustedProxies = 32

// CheckTrustedProxies returns the list as networks are written, or why it cannot be taken. Each entry is an address or a
// network (CIDR).
func CheckTrustedProxies(typed []string) (list []string, reason string) {
	if len(typed) > MaxTrustedProxies {
		return typed, fmt.Sprintf("use at most %d entries; a network like 10.0.5.0/24 stands for many addresses", MaxTrustedProxies)
	}
	for _, s := range typed {
		p, ok := network(s)
		switch {
		case !ok:
			return typed, fmt.Sprintf("%.60q is neither an address (192.168.1.5) nor a network (10.0.5.0/24)", s)
		case p.Bits() == 0:
			return typed, fmt.Sprintf("%.60s is the whole internet: anybody could say to be anybody. Name your own proxies", s)
		case p.IsSingleIP():
			list = append(list, p.Addr().String())
		default:
			list = append(list, p.String())
		}
	}
	return list, ""
}

// TrustedNetworks returns Access.TrustedProxies as networks; what cannot be read is left out.
func (a Access) TrustedNetworks() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range a.TrustedProxies {
		if p, ok := network(s); ok && p.Bits() > 0 {
			list = append(list, p)
		}
	}
	return list
}

// network reads an address or a network. An IPv4 one inside IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 one.
func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == "" && !a.IsUnspecified()
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
