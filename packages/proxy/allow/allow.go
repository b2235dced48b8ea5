// Package allow decides at accept who may connect at all, and who is on a network of the device's own. Names are looked
// up aside, so that a decision never waits.
package allow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// refresh is how often names are looked up and networks read; retry, after a name could not be.
	refresh = 5 * time.Minute
	retry   = 30 * time.Second
	// lookupTimeout bounds the search for one name.
	lookupTimeout = 10 * time.Second
	// reread is how often networks are read for those who are about to be refused: they may be on one that is new.
	reread = time.Second
)

// Rules say who may connect.
type Rules struct {
	// Restricted refuses whoever is not on loopback, on the device's networks, at PublicName's addresses or in Allowed.
	Restricted bool
	// PublicName is the device's DNS name outside; empty if there is none.
	PublicName string
	// Allowed are addresses, networks (CIDR) and DNS names.
	Allowed []string
}

// Config is what a List needs.
type Config struct {
	Log *slog.Logger
	// Lookup finds a name's addresses; nil asks the system.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// Networks lists the device's own; nil reads the interfaces.
	Networks func() ([]netip.Prefix, error)
}

// List is who may connect.
type List struct {
	cfg     Config
	changed chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	rules Rules
	// fixed are the addresses and networks of the rules, names the DNS names with PublicName first if there is one.
	fixed []netip.Prefix
	names []string
	bad   []string
	// known holds the last good answer for each name, failed why the last search failed.
	known    map[string][]netip.Addr
	failed   map[string]error
	networks []netip.Prefix
	netErr   error
	readAt   time.Time
}

// New returns a List that lets everybody in.
func New(cfg Config) *List {
	if cfg.Lookup == nil {
		cfg.Lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	if cfg.Networks == nil {
		cfg.Networks = interfaces
	}
	return &List{cfg: cfg, changed: make(chan struct{}, 1), known: map[string][]netip.Addr{}, failed: map[string]error{}}
}

// interfaces lists the networks that this machine has an address on.
func interfaces() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces' addresses: %w", err)
	}
	var list []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list, nil
}

// Set replaces the rules. What cannot be read in them is in the Status.
func (l *List) Set(r Rules) {
	l.mu.Lock()
	l.rules = r
	l.fixed, l.names, l.bad = nil, nil, nil
	if r.PublicName != "" {
		l.names = append(l.names, r.PublicName)
	}
	for _, s := range r.Allowed {
		l.take(strings.TrimSpace(s))
	}
	for name := range l.known {
		if !slices.Contains(l.names, name) {
			delete(l.known, name)
		}
	}
	for name := range l.failed {
		if !slices.Contains(l.names, name) {
			delete(l.failed, name)
		}
	}
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// take sorts an entry; the caller holds mu.
func (l *List) take(s string) {
	if s == "" {
		return
	}
	if a, err := netip.ParseAddr(s); err == nil {
		l.fixed = append(l.fixed, netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()))
		return
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		l.fixed = append(l.fixed, p.Masked())
		return
	}
	if strings.ContainsAny(s, "/: \t*") {
		l.bad = append(l.bad, fmt.Sprintf("%q in the allow list is neither an address nor a network nor a name: correct it, for example 192.0.2.7, 192.0.2.0/24 or home.example.org", s))
		return
	}
	if !slices.Contains(l.names, s) {
		l.names = append(l.names, s)
	}
}

// Run keeps names and networks fresh until ctx ends.
func (l *List) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.changed:
		case <-timer.C:
		}
		next := refresh
		if !l.refresh(ctx) {
			next = retry
		}
		timer.Reset(next)
	}
}

// refresh reports whether all could be found out.
func (l *List) refresh(ctx context.Context) bool {
	l.mu.Lock()
	names := slices.Clone(l.names)
	l.readNetworks(time.Now())
	ok := l.netErr == nil
	l.mu.Unlock()
	for _, name := range names {
		lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
		addrs, err := l.cfg.Lookup(lookup, name)
		cancel()
		if ctx.Err() != nil {
			return true
		}
		if !l.learn(name, addrs, err) {
			ok = false
		}
	}
	return ok
}

// learn keeps what was found for a name; after a failure what was known stays.
func (l *List) learn(name string, addrs []netip.Addr, err error) bool {
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: name}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.names, name) {
		return true
	}
	before := l.failed[name]
	if err != nil {
		l.failed[name] = err
		if before == nil {
			l.cfg.Log.Warn("cannot look up a name of the allow list; what was known of it stays", "name", name, "err", err)
		}
		return false
	}
	delete(l.failed, name)
	found := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		found = append(found, a.Unmap().WithZone(""))
	}
	l.known[name] = found
	return true
}

// readNetworks reads the device's networks; what was known stays after a failure. The caller holds mu.
func (l *List) readNetworks(now time.Time) {
	l.readAt = now
	networks, err := l.cfg.Networks()
	if l.netErr = err; err == nil {
		l.networks = networks
	}
}

// Local reports whether a is loopback or on a network of the device's own.
func (l *List) Local(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.local(a.Unmap().WithZone(""))
}

// local is Local with mu held. It looks again before it says no, so that a change of networks locks nobody out.
func (l *List) local(a netip.Addr) bool {
	// Link-local addresses do not come over a router (RFC 3927 section 2.7, RFC 4291 section 2.5.6).
	if a.IsLoopback() || a.IsLinkLocalUnicast() || contains(l.networks, a) {
		return true
	}
	if now := time.Now(); now.Sub(l.readAt) >= reread {
		l.readNetworks(now)
	}
	return contains(l.networks, a)
}

// Allowed reports whether a may connect.
func (l *List) Allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.rules.Restricted || contains(l.fixed, a) {
		return true
	}
	for _, addrs := range l.known {
		if slices.Contains(addrs, a) {
			return true
		}
	}
	return l.local(a)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Status is what the rules mean now (docs/architecture.md, "proxy.sock").
type Status struct {
	// Own are the public name's addresses, Networks the device's own.
	Own      []string `json:"own"`
	Networks []string `json:"networks"`
	// Problems are sentences on what does not work in the rules.
	Problems []string `json:"problems"`
}

// Status describes what is known now.
func (l *List) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Own: []string{}, Networks: []string{}, Problems: append([]string{}, l.bad...)}
	for _, a := range l.known[l.rules.PublicName] {
		s.Own = append(s.Own, a.String())
	}
	for _, p := range l.networks {
		if !p.Addr().IsLoopback() && !slices.Contains(s.Networks, p.String()) {
			s.Networks = append(s.Networks, p.String())
		}
	}
	for _, name := range l.names {
		if err := l.failed[name]; err != nil {
			s.Problems = append(s.Problems, l.explain(name, err))
		}
	}
	if l.netErr != nil {
		s.Problems = append(s.Problems, "The device's own networks cannot be read; those known before are still allowed.")
	}
	return s
}

// explain says what a failed search means; the caller holds mu.
func (l *List) explain(name string, err error) string {
	why := "the name servers do not answer"
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
		why = "the name servers do not know it"
	}
	now := "so nobody is let in for it"
	if n := len(l.known[name]); n > 0 {
		now = fmt.Sprintf("so its last known addresses (%s) stay allowed", l.known[name])
	}
	return fmt.Sprintf("The name %s cannot be looked up: %s, %s. Check the name and the device's internet connection.", name, why, now)
}
