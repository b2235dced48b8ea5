package live

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"

	"porthole/packages/internal/settings"
)

const (
	// reachEvery is how often a STUN server is asked: a router forgets a UDP mapping after 30 s at the earliest (RFC 4787
	// section 4.3 asks for two minutes).
	reachEvery = 25 * time.Second
	// reachTimeout bounds looking up a name, and waiting for a STUN server.
	reachTimeout = 10 * time.Second
	// namesKeep is how long a name means what it meant.
	namesKeep = 2 * time.Minute
	// reachKeep is for how long an answer holds that was not repeated.
	reachKeep = 2 * time.Minute
	// maxPublic bounds the addresses of a name.
	maxPublic = 4
	// stunPort is STUN's and TURN's (RFC 8489 section 8, RFC 8656 section 3).
	stunPort = "3478"
)

// reach is how we are reached through routers.
type reach struct {
	// public are addresses on which routers pass the shared port on to us, as the settings or a STUN server say.
	public []netip.Addr
	// mapped are the router's addresses and ports for UDP sockets of ours.
	mapped map[netip.AddrPort]netip.AddrPort
}

// SetLive says how the device is reached from outside. Run finds out what that means now; answers do not wait for it.
func (p *Path) SetLive(l settings.Live) {
	p.mu.Lock()
	p.live = l
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// Run keeps up with how the device is reached from outside until ctx ends.
func (p *Path) Run(ctx context.Context) {
	f := follower{path: p, names: map[string]known{}, mapped: map[netip.AddrPort]mapping{}}
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	for {
		p.mu.Lock()
		l, tcp := p.live, p.tcp
		p.mu.Unlock()
		if tcp != nil {
			tcp.report()
		}
		looking, cancel := context.WithCancel(ctx)
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			f.look(looking, l)
		}()
		// New settings do not wait for a server of the old ones.
		again := false
		select {
		case <-looked:
		case <-p.changed:
			again = true
		}
		cancel()
		<-looked
		if again {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.changed:
		}
	}
}

// known is what a name meant when it was looked up last.
type known struct {
	addrs []netip.Addr
	at    time.Time
}

// mapping is what a STUN server said of a socket.
type mapping struct {
	to netip.AddrPort
	at time.Time
}

// follower keeps what Run has found out. Only Run's goroutine uses it.
type follower struct {
	path   *Path
	names  map[string]known
	mapped map[netip.AddrPort]mapping
	// trouble is what the log has been told last.
	trouble string
}

// look finds out how we are reached, and tells the path.
func (f *follower) look(ctx context.Context, l settings.Live) {
	if err := f.path.refresh(); err != nil {
		f.path.log.Debug("an address cannot be used for live view", "err", err)
	}
	var r reach
	var trouble []string
	if l.PublicAddress != "" {
		addrs, err := f.lookup(ctx, l.PublicAddress)
		if err != nil {
			trouble = append(trouble, err.Error())
		}
		r.public = append(r.public, addrs[:min(len(addrs), maxPublic)]...)
	}
	// What is known does not wait for what is not.
	f.publish(r)
	if server := stunServer(l); server != "" {
		if err := f.ask(ctx, server); err != nil {
			trouble = append(trouble, err.Error())
		}
	} else {
		clear(f.mapped)
	}
	r.mapped = map[netip.AddrPort]netip.AddrPort{}
	for local, m := range f.mapped {
		if time.Since(m.at) > reachKeep {
			delete(f.mapped, local)
			continue
		}
		if m.to == local {
			continue
		}
		r.mapped[local] = m.to
		if a := m.to.Addr(); !slices.Contains(r.public, a) && len(r.public) < 2*maxPublic {
			r.public = append(r.public, a)
		}
	}
	slices.SortFunc(r.public, netip.Addr.Compare)
	f.publish(r)
	if now := strings.Join(trouble, "; "); now != f.trouble && ctx.Err() == nil {
		f.trouble = now
		if now != "" {
			f.path.log.Warn("viewers elsewhere may not reach the live view", "err", now)
		}
	}
}

// publish tells the path, whose next viewers learn of it. Without mappings those known before stay.
func (f *follower) publish(r reach) {
	p := f.path
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.mapped == nil {
		r.mapped = p.reach.mapped
		for _, a := range p.reach.public {
			for _, m := range r.mapped {
				if m.Addr() == a && !slices.Contains(r.public, a) {
					r.public = append(r.public, a)
				}
			}
		}
	}
	if !slices.Equal(r.public, p.reach.public) {
		p.log.Info("public addresses of the live view", "addresses", r.public)
	}
	p.reach = r
}

// lookup returns the addresses of a name, or the address that it is. What a name meant last holds while it cannot be
// looked up.
func (f *follower) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	if k, ok := f.names[name]; ok && time.Since(k.at) < namesKeep {
		return k.addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return f.names[name].addrs, fmt.Errorf("the name %s cannot be looked up: %w", name, err)
	}
	for i, a := range found {
		found[i] = a.Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	f.names[name] = known{found, time.Now()}
	maps.DeleteFunc(f.names, func(_ string, k known) bool { return time.Since(k.at) > time.Hour })
	return found, nil
}

// ask asks the STUN server how each of our sockets looks from where it is. The error says that none was answered.
func (f *follower) ask(ctx context.Context, server string) error {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = strings.Trim(server, "[]"), stunPort
	}
	addrs, err := f.lookup(ctx, host)
	if len(addrs) == 0 {
		return fmt.Errorf("the STUN server: %w", err)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return fmt.Errorf("the STUN server %s: %w", server, err)
	}
	p := f.path
	p.mu.Lock()
	sockets := maps.Clone(p.muxes)
	p.mu.Unlock()
	var wg sync.WaitGroup
	answers := make(chan struct{ from, to netip.AddrPort }, len(sockets))
	asked := 0
	for local, mux := range sockets {
		i := slices.IndexFunc(addrs, func(a netip.Addr) bool {
			return a.Is4() == local.Addr().Is4() && a.IsLoopback() == local.Addr().IsLoopback()
		})
		if i < 0 {
			continue
		}
		asked++
		to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addrs[i], uint16(number)))
		wg.Go(func() {
			if m, err := mapped(ctx, mux, to); err == nil {
				answers <- struct{ from, to netip.AddrPort }{local, m}
			}
		})
	}
	wg.Wait()
	close(answers)
	got := len(answers)
	for a := range answers {
		f.mapped[a.from] = mapping{a.to, time.Now()}
	}
	if asked > 0 && got == 0 {
		return fmt.Errorf("the STUN server %s does not answer: check its name and port, and that UDP may leave the network", server)
	}
	return nil
}

// mapped asks one server about one socket.
func mapped(ctx context.Context, mux *ice.UniversalUDPMuxDefault, server net.Addr) (netip.AddrPort, error) {
	x, err := mux.GetXORMappedAddrContext(ctx, server, reachTimeout)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask STUN server %s: %w", server, err)
	}
	a, ok := netip.AddrFromSlice(x.IP)
	if !ok || x.Port <= 0 || x.Port > 1<<16-1 {
		return netip.AddrPort{}, fmt.Errorf("STUN server %s answers with no address", server)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(x.Port)), nil
}

// stunServer names the server to ask, empty if there is none. A TURN server answers STUN as well, and needs to be told
// our public address to let us in.
func stunServer(l settings.Live) string {
	if l.STUN != "" {
		return l.STUN
	}
	for _, text := range l.TURN.URLs {
		u, err := url.Parse(text)
		if err == nil && u.Scheme == "turn" && !strings.Contains(u.RawQuery, "transport=tcp") {
			return u.Opaque
		}
	}
	return ""
}
