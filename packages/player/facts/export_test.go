package facts

import "net/netip"

// Useful is the choice that Addresses makes.
func Useful(list []netip.Addr) []netip.Addr { return useful(list) }
