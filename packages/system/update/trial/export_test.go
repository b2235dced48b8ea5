package trial

import "net/netip"

// Kernel is the real network.
func Kernel() Network { return kernel{} }

// Route and Neighbour read a message of the kernel's tables.
func Route(kind uint16, data []byte) (netip.Addr, bool, error) {
	a, ok, err := gatewayOf(message{kind, data})
	return a.Addr, ok, err
}

// Neighbour reads an entry of the neighbour table.
func Neighbour(kind uint16, data []byte) (netip.Addr, bool, error) {
	return neighbour(message{kind, data})
}
