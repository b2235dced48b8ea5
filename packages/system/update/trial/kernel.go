package trial

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernel asks over rtnetlink(7), which needs no rights.
type kernel struct{}

// message is one of a dump.
type message struct {
	kind uint16
	data []byte
}

func dump(request, family int) ([]message, error) {
	b, err := syscall.NetlinkRIB(request, family)
	if err != nil {
		return nil, fmt.Errorf("ask the kernel for its tables: %w", err)
	}
	list, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's tables: %w", err)
	}
	messages := make([]message, 0, len(list))
	for _, m := range list {
		messages = append(messages, message{m.Header.Type, m.Data})
	}
	return messages, nil
}

// typeMask leaves the flags out of an attribute's type (NLA_TYPE_MASK of linux/netlink.h).
const typeMask = 0x3fff

var errShort = errors.New("a message of the kernel is cut off")

// attributes splits what follows a message's fixed part of size bytes (rtnetlink(7), struct rtattr).
func attributes(data []byte, size int) (map[uint16][]byte, error) {
	if len(data) < size {
		return nil, errShort
	}
	found := map[uint16][]byte{}
	for b := data[size:]; len(b) >= unix.SizeofRtAttr; {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return nil, errShort
		}
		found[binary.NativeEndian.Uint16(b[2:])&typeMask] = b[unix.SizeofRtAttr:length]
		b = b[min(len(b), (length+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return found, nil
}

// Gateways implements Network.
func (kernel) Gateways() ([]netip.Addr, error) {
	messages, err := dump(unix.RTM_GETROUTE, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, m := range messages {
		a, ok, err := gatewayOf(m)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if a.is6() {
			i, err := net.InterfaceByIndex(a.index)
			if err != nil {
				continue // has gone
			}
			a.Addr = a.WithZone(i.Name)
		}
		list = append(list, a.Addr)
	}
	return list, nil
}

type address struct {
	netip.Addr
	index int
}

func (a address) is6() bool { return a.Is6() && a.IsLinkLocalUnicast() }

// gatewayOf reads a route (struct rtmsg): the router of a default route of the main table.
func gatewayOf(m message) (address, bool, error) {
	if m.kind != unix.RTM_NEWROUTE {
		return address{}, false, nil
	}
	attrs, err := attributes(m.data, unix.SizeofRtMsg)
	if err != nil {
		return address{}, false, err
	}
	const dstLen, table, kind = 1, 4, 7
	router, ok := netip.AddrFromSlice(attrs[unix.RTA_GATEWAY])
	if !ok || m.data[dstLen] != 0 || m.data[table] != unix.RT_TABLE_MAIN || m.data[kind] != unix.RTN_UNICAST {
		return address{}, false, nil
	}
	a := address{Addr: router}
	if oif := attrs[unix.RTA_OIF]; len(oif) == 4 {
		a.index = int(binary.NativeEndian.Uint32(oif))
	}
	return a, true, nil
}

// discard is the port that a neighbour is knocked at: what arrives there is thrown away (RFC 863).
const discard = 9

// Knock implements Network: any packet has the kernel look for the neighbour.
func (kernel) Knock(a netip.Addr) error {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, discard)))
	if err != nil {
		return fmt.Errorf("knock at %s: %w", a, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0}); err != nil {
		return fmt.Errorf("knock at %s: %w", a, err)
	}
	return nil
}

// Found implements Network: by the neighbour table.
func (kernel) Found(a netip.Addr) (bool, error) {
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	messages, err := dump(unix.RTM_GETNEIGH, family)
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		who, up, err := neighbour(m)
		if err != nil {
			return false, err
		}
		if up && who == a.WithZone("") {
			return true, nil
		}
	}
	return false, nil
}

// neighbour reads an entry of the neighbour table (struct ndmsg): whose it is, and whether its link-layer address is known.
func neighbour(m message) (netip.Addr, bool, error) {
	if m.kind != unix.RTM_NEWNEIGH {
		return netip.Addr{}, false, nil
	}
	attrs, err := attributes(m.data, unix.SizeofNdMsg)
	if err != nil {
		return netip.Addr{}, false, err
	}
	const state = 8
	who, ok := netip.AddrFromSlice(attrs[unix.NDA_DST])
	known := binary.NativeEndian.Uint16(m.data[state:])&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE|unix.NUD_NOARP|unix.NUD_PERMANENT) != 0
	return who, ok && known, nil
}
