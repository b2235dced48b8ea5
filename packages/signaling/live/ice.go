package live

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pion/ice/v4"

	"porthole/packages/internal/settings"
)

// Path is how media leaves: a UDP port on every address of the machine and, once shared, the port that the device has in
// common with everything else, by UDP and by TCP connections that proxy hands over.
type Path struct {
	log *slog.Logger
	// port is the UDP port of the live view's own, for viewers in the same network.
	port uint16
	// addresses lists those a viewer may reach us at.
	addresses func() (map[netip.Addr]struct{}, error)
	// changed makes Run look anew at how we are reached.
	changed chan struct{}

	mu sync.Mutex // guards what follows
	// shared is the port in common, 0 if there is none.
	shared uint16
	muxes  map[netip.AddrPort]*ice.UniversalUDPMuxDefault
	tcp    *tcpMux
	live   settings.Live
	reach  reach
}

// Listen opens the UDP port of addr, for example ":8443", on every address of the machine, or on addr's own if it names
// one. loopback: offer loopback addresses, too. A taken port is an error that says so.
func Listen(log *slog.Logger, addr string, loopback bool) (*Path, error) {
	u, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("read UDP address %q of -ice-udp: %w", addr, err)
	}
	p := &Path{log: log, port: uint16(u.Port), muxes: map[netip.AddrPort]*ice.UniversalUDPMuxDefault{}, changed: make(chan struct{}, 1)}
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

// Share opens the UDP port of addr, for example ":443", on the same addresses, and offers that port for TCP as well:
// Take brings the connections. It is called once, before there are viewers.
func (p *Path) Share(addr string) error {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("read address %q of -shared: %w", addr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("read address %q of -shared: it names no port", addr)
	}
	p.mu.Lock()
	p.shared = uint16(port)
	p.tcp = newTCPMux(p.log, p.shared)
	p.mu.Unlock()
	if err := p.refresh(); err != nil {
		// TCP still works, and UDP in the same network.
		p.log.Warn("UDP on the shared port is not offered to viewers elsewhere", "port", port, "err", err)
	}
	return nil
}

// Take is given a TCP connection whose first STUN message (RFC 4571 framing) waits to be read. One that names no viewer
// of ours, or one too many, is closed.
func (p *Path) Take(c *net.TCPConn) {
	p.mu.Lock()
	tcp := p.tcp
	p.mu.Unlock()
	if tcp == nil {
		c.Close()
		return
	}
	tcp.take(c)
}

// Close closes the ports; viewers lose their picture.
func (p *Path) Close() {
	p.mu.Lock()
	tcp := p.tcp
	p.tcp = nil
	for a, m := range p.muxes {
		m.Close()
		delete(p.muxes, a)
	}
	p.mu.Unlock()
	if tcp != nil {
		tcp.close()
	}
}

// view is what a new viewer may use.
type view struct {
	udp ice.UDPMux
	// tcp is nil while nothing is shared.
	tcp *tcpMux
	// stands are the addresses under which TCP is known to the viewer's ICE agent: one of each family, as whichever a
	// connection came to makes no difference.
	stands []netip.Addr
	// candidates are what the viewer is told.
	candidates []candidate
}

// view returns what is open now. Addresses come and go, so every new viewer asks.
func (p *Path) view() view {
	if err := p.refresh(); err != nil {
		p.log.Debug("an address cannot be used for live view", "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v := view{tcp: p.tcp}
	locals := slices.SortedFunc(maps.Keys(p.muxes), netip.AddrPort.Compare)
	var offered []netip.AddrPort
	var muxes []ice.UDPMux
	for _, local := range locals {
		// pion's agents leave out ::1.
		if a := local.Addr(); a != netip.IPv6Loopback() && !slices.ContainsFunc(v.stands, func(o netip.Addr) bool { return a.Is4() == o.Is4() }) {
			v.stands = append(v.stands, a)
		}
		// Behind a router that passes the port on, it is an address of our own that packets come to.
		if local.Port() == p.port || acceptable(local) || len(p.reach.public) > 0 {
			offered = append(offered, local)
			muxes = append(muxes, p.muxes[local])
		}
	}
	v.udp = ice.NewMultiUDPMuxDefault(muxes...)
	v.candidates = candidates(v.stands, locals, offered, p.reach, p.shared)
	return v
}

// stand reports whether an ICE agent waits for TCP under that address.
func (v view) stand(ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && slices.Contains(v.stands, a.Unmap())
}

// noPath says why there is no connection, and what to do.
func (p *Path) noPath() error {
	p.mu.Lock()
	shared := p.shared
	p.mu.Unlock()
	message := fmt.Sprintf("no network path to the device: UDP is blocked; open port %d/udp in the firewall between, or in the router", p.port)
	if shared != 0 {
		message = fmt.Sprintf("no network path to the device: UDP and TCP are both blocked; open port %d/tcp in the firewall between, "+
			"or pass it on to the device in the router and enter the public address in the settings", shared)
	}
	return &Refusal{Reason: NoPath, Message: message}
}

// refresh opens the ports on addresses that are new and closes them on those that have gone. The error is the first of
// those met; the other addresses are served all the same.
func (p *Path) refresh() error {
	addrs, err := p.addresses()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, m := range p.muxes {
		if _, ok := addrs[a.Addr()]; !ok {
			m.Close()
			delete(p.muxes, a)
			p.log.Info("address for live view has gone", "address", a)
		}
	}
	var first error
	for a := range addrs {
		err := p.listen(netip.AddrPortFrom(a, p.port))
		if p.shared != 0 {
			err = errors.Join(err, p.listen(netip.AddrPortFrom(a, p.shared)))
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// listen opens a port on an address. p.mu is held.
func (p *Path) listen(local netip.AddrPort) error {
	if _, ok := p.muxes[local]; ok {
		return nil
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(local))
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		// A fresh IPv6 address cannot be used until it is known to be unique (RFC 4862 section 5.4): the next viewer's turn.
		return nil
	}
	if err != nil {
		return err
	}
	// A cached GOP leaves in one go; the kernel gives what it allows.
	_ = c.SetWriteBuffer(1 << 20)
	if p.port == 0 {
		p.port = c.LocalAddr().(*net.UDPAddr).AddrPort().Port() //nolint:forcetypeassert // a UDP socket's
		local = netip.AddrPortFrom(local.Addr(), p.port)
	}
	made := make(chan struct{})
	defer close(made)
	p.muxes[local] = ice.NewUniversalUDPMuxDefault(ice.UniversalUDPMuxParams{
		Logger: pionLog{p.log, "ice"}, UDPConn: &heldConn{c, made},
		// Every question to a STUN server is asked: Run keeps the answers.
		XORMappedAddrCacheTTL: time.Nanosecond,
	})
	return nil
}

// heldConn is a UDP socket from which nothing is read before made is closed. pion/ice before v4.4.3 starts to read while
// it still makes its mux, and a viewer of the process before this one, who still sends, would meet half of it.
type heldConn struct {
	*net.UDPConn
	made <-chan struct{}
}

var _ ice.AddrPortReaderWriter = (*heldConn)(nil)

func (c *heldConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	<-c.made
	return c.ReadFromUDPAddrPort(b)
}

func (c *heldConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, to)
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
