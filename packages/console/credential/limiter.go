package credential

import (
	"net/netip"
	"sync"
	"time"

	"porthole/packages/internal/source"
)

// How fast passwords and codes may be tried. A person mistypes a few times in a row; a claim code has about 28 bits, so that
// guessing one at these rates takes years. Strangers share nothing with who is at home, with a browser that has logged
// in before, or with who tries another account: they can use up their own tries only.
const (
	triesPerSpot    = 5 // of an account from an address
	refillPerSpot   = 20 * time.Second
	triesPerRemote  = 20 // of all accounts from an address
	refillPerRemote = 5 * time.Second
	triesPerDevice  = 10 // of an account from a browser that has logged in to it before
	refillPerDevice = 20 * time.Second
	triesOutside    = 10 // of an account from all of the internet
	refillOutside   = 10 * time.Second
	triesInside     = 40 // of an account from all of the house
	refillInside    = 2 * time.Second
	triesFirst      = 2 // from an address of the house, whatever the rest of the house does
	refillFirst     = 10 * time.Minute
	triesNobody     = 5 // of all names that nobody has
	refillNobody    = 2 * time.Second
	maxRemotes      = 1024
	maxNames        = 128 // of the longest name that is told apart, in bytes
)

// Try is somebody's claim to know the secret of an account.
type Try struct {
	// Remote is the client's address without port, Near that it is on a network of the device's own.
	Remote string
	Near   bool
	// Account is what was tried, Known that there is one of that name.
	Account string
	Known   bool
	// Device is a browser that has logged in to the account before, as Devices.Find says; empty for others.
	Device string
}

// inside reports whether the try comes from the house.
func (t Try) inside() bool { return t.Near || Inside(Network(t.Remote)) }

// from is what counts as one source. A house has one IPv6 /64, and there every address is a device of its own.
func (t Try) from() netip.Prefix {
	p := Network(t.Remote)
	if a, err := netip.ParseAddr(t.Remote); err == nil && t.inside() {
		a = a.Unmap().WithZone("")
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return p
}

// name is an account's name of bounded length.
func (t Try) name() string { return t.Account[:min(len(t.Account), maxNames)] }

// Line is the queue in which the try waits for its password to be looked at.
func (t Try) Line() Line {
	switch {
	case t.Device != "":
		return Line{Inside: true, Name: "device " + t.Device}
	case !t.Known:
		return Line{Inside: t.inside(), Name: "nobody"}
	}
	return Line{Inside: t.inside(), Name: "account " + t.Account}
}

// Verdict is what is to be done with a try.
type Verdict struct {
	// Wait is how long until the next try is heard, when this one is one too many; 0: it is heard.
	Wait time.Duration
	// Pretend means that nobody has that name and too much was spent on telling so: the answer is a refusal that takes
	// as long as one that was looked at (Hasher.Pretend).
	Pretend bool
}

// Limiter counts tries, by where they come from and whom they are for.
type Limiter struct {
	mu       sync.Mutex // makes a try one step
	spots    *Buckets[spot]
	remotes  *Buckets[netip.Prefix]
	devices  *Buckets[string]
	first    *Buckets[netip.Prefix]
	accounts map[bool]*Buckets[string] // by whether they come from the house
	strange  map[bool]*Buckets[string] // the same of names that nobody has
	nobody   map[bool]*Buckets[struct{}]
}

// spot is an account tried from an address.
type spot struct {
	from netip.Prefix
	name string
}

// NewLimiter returns a Limiter.
func NewLimiter() *Limiter {
	both := func() map[bool]*Buckets[string] {
		return map[bool]*Buckets[string]{
			true: NewBuckets[string](refillInside, triesInside, maxRemotes), false: NewBuckets[string](refillOutside, triesOutside, maxRemotes),
		}
	}
	return &Limiter{
		spots:    NewBuckets[spot](refillPerSpot, triesPerSpot, maxRemotes),
		remotes:  NewBuckets[netip.Prefix](refillPerRemote, triesPerRemote, maxRemotes),
		devices:  NewBuckets[string](refillPerDevice, triesPerDevice, maxRemotes),
		first:    NewBuckets[netip.Prefix](refillFirst, triesFirst, maxRemotes),
		accounts: both(), strange: both(),
		nobody: map[bool]*Buckets[struct{}]{
			true: NewBuckets[struct{}](refillNobody, triesNobody, 1), false: NewBuckets[struct{}](refillNobody, triesNobody, 1),
		},
	}
}

// Try counts one try, unless it is one too many.
func (l *Limiter) Try(t Try) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.Device != "" {
		return Verdict{Wait: l.devices.Take(t.Device)}
	}
	here, inside := spot{t.from(), t.name()}, t.inside()
	if wait := max(l.spots.Wait(here), l.remotes.Wait(here.from)); wait > 0 {
		return Verdict{Wait: wait}
	}
	// An address of the house is heard before the rest of the house is counted; who has an IPv6 /64 has one such address.
	if home := Network(t.Remote); !inside || l.first.Take(home) > 0 {
		of := l.accounts
		if !t.Known {
			of = l.strange
		}
		if wait := of[inside].Take(here.name); wait > 0 {
			return Verdict{Wait: wait}
		}
	}
	l.spots.Take(here)
	l.remotes.Take(here.from)
	return Verdict{Pretend: !t.Known && l.nobody[inside].Take(struct{}{}) > 0}
}

// Forgive takes back what a try counted that was right.
func (l *Limiter) Forgive(t Try) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.Device != "" {
		l.devices.Forget(t.Device)
		return
	}
	here := spot{t.from(), t.name()}
	l.spots.Forget(here)
	l.remotes.Return(here.from)
	l.accounts[t.inside()].Return(here.name)
	if t.inside() {
		l.first.Return(Network(t.Remote))
	}
}

// Remembered is how many addresses, accounts and browsers are remembered.
func (l *Limiter) Remembered() int {
	n := l.spots.Len() + l.remotes.Len() + l.devices.Len() + l.first.Len()
	for _, inside := range []bool{true, false} {
		n += l.accounts[inside].Len() + l.strange[inside].Len()
	}
	return n
}

// Network is what counts as one remote; the zero Prefix for what is no address.
func Network(addr string) netip.Prefix {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}
	}
	return source.Of(a)
}

// Inside reports whether p belongs to a house and not to the internet.
func Inside(p netip.Prefix) bool {
	a := p.Addr()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}
