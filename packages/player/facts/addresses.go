package facts

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Addresses returns the device's addresses that others in its network can use, IPv4 first, in the order of the
// interfaces.
func Addresses() ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var list []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			// It has gone since.
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, p.Addr().Unmap())
			}
		}
	}
	return useful(list), nil
}

// siteLocal are addresses that are deprecated (RFC 3879 section 4); QEMU's user network still hands them out.
func siteLocal() netip.Prefix { return netip.MustParsePrefix("fec0::/10") }

// useful leaves out what others cannot reach, such as link-local addresses, and puts IPv4 first.
func useful(list []netip.Addr) []netip.Addr {
	list = slices.DeleteFunc(list, func(a netip.Addr) bool { return !a.IsGlobalUnicast() || siteLocal().Contains(a) })
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	return slices.Compact(list)
}
