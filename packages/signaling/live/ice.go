package live

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/pion/ice/v4"
)

// Path is the UDP port media leaves through, on every address of the machine.
type Path struct {
	log  *slog.Logger
	port int
	// addresses lists those a viewer may reach us at.
	addresses func() (map[netip.Addr]struct{}, error)

	mu    sync.Mutex // guards muxes
	muxes map[netip.Addr]*ice.UDPMuxDefault
}

// Listen opens the UDP port of addr, for example ":443", on every address of the machine, or on addr's own if it names
// one. loopback: offer loopback addresses, too. A taken port is an error that says so.
func Listen(log *slog.Logger, addr string, loopback bool) (*Path, error) {
	u, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("read UDP address %q of -ice-udp: %w", addr, err)
	}
	p := &Path{log: log, port: u.Port, muxes: map[netip.Addr]*ice.UDPMuxDefault{}}
	p.addresses = func() (map[netip.Addr]struct{}, error) { return machineAddresses(loopback) }
	if u.IP != nil && !u.IP.IsUnspecified() {
		only := u.AddrPort().Addr().Unmap()
		p.addresses = func() (map[netip.Addr]struct{}, error) { return map[netip.Addr]struct{}{only: {}}, nil }
	}
	if err := p.refresh(); err != nil {
		p.Close()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("UDP port %d is taken by another program: stop that one, or choose another port with -ice-udp: %w", p.port, err)
		}
		return nil, fmt.Errorf("open UDP port %d for live view: %w", p.port, err)
	}
	return p, nil
}

// Close closes the port; viewers lose their picture.
func (p *Path) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, m := range p.muxes {
		m.Close()
		delete(p.muxes, a)
	}
}

// mux returns what is open now. Addresses come and go, so every new viewer asks.
func (p *Path) mux() ice.UDPMux {
	if err := p.refresh(); err != nil {
		p.log.Warn("an address cannot be used for live view", "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]ice.UDPMux, 0, len(p.muxes))
	for _, m := range p.muxes {
		all = append(all, m)
	}
	return ice.NewMultiUDPMuxDefault(all...)
}

// refresh opens the port on addresses that are new and closes it on those that have gone. The error is the first of
// those met; the other addresses are served all the same.
func (p *Path) refresh() error {
	addrs, err := p.addresses()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, m := range p.muxes {
		if _, ok := addrs[a]; !ok {
			m.Close()
			delete(p.muxes, a)
			p.log.Info("address for live view has gone", "address", a)
		}
	}
	var first error
	for a := range addrs {
		if _, ok := p.muxes[a]; ok {
			continue
		}
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(p.port))))
		if err != nil {
			// A fresh IPv6 address cannot be used until it is known to be unique (RFC 4862 section 5.4): the next viewer's turn.
			if !errors.Is(err, syscall.EADDRNOTAVAIL) && first == nil {
				first = err
			}
			continue
		}
		// A cached GOP leaves in one go; the kernel gives what it allows.
		_ = c.SetWriteBuffer(1 << 20)
		p.muxes[a] = ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: pionLog{p.log, "ice"}, UDPConn: c})
	}
	return first
}

// machineAddresses lists the addresses of this machine that a viewer may reach us at.
func machineAddresses(loopback bool) (map[netip.Addr]struct{}, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	out := map[netip.Addr]struct{}{}
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, _ := netip.AddrFromSlice(n.IP)
			if ip = ip.Unmap(); usable(ip, loopback) {
				out[ip] = struct{}{}
			}
		}
	}
	return out, nil
}

// usable leaves out IPv6 link-local addresses: browsers offer none to pair them with (RFC 8445 section 5.1.1.1).
func usable(ip netip.Addr, loopback bool) bool {
	if ip.IsLoopback() {
		return loopback
	}
	return ip.IsGlobalUnicast() || ip.Is4() && ip.IsLinkLocalUnicast()
}
