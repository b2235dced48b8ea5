package credential

import (
	"net/netip"
	"sync"
	"time"

	"porthole/packages/internal/source"
)

// How fast passwords and claim codes may be tried. A person mistypes a few times in a row; a claim code has about 28 bits, so
// that guessing one at the overall rate takes years.
const (
	triesPerRemote  = 5
	refillPerRemote = 20 * time.Second
	triesOutside    = 20
	refillOutside   = 2 * time.Second
	triesInside     = 40
	refillInside    = 500 * time.Millisecond
	maxRemotes      = 1024
)

// Limiter counts tries per remote address and overall. The house has an overall count of its own: guesses from the
// internet must not lock the family out.
type Limiter struct {
	mu      sync.Mutex // makes a try one step
	remotes *Buckets[netip.Prefix]
	all     map[bool]*Buckets[struct{}] // by whether they come from the house
}

// NewLimiter returns a Limiter.
func NewLimiter() *Limiter {
	return &Limiter{
		remotes: NewBuckets[netip.Prefix](refillPerRemote, triesPerRemote, maxRemotes),
		all: map[bool]*Buckets[struct{}]{
			true:  NewBuckets[struct{}](refillInside, triesInside, 1),
			false: NewBuckets[struct{}](refillOutside, triesOutside, 1),
		},
	}
}

// Try counts one try from an address. It returns how long to wait when that is one too many; then it is not counted.
func (l *Limiter) Try(addr string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := Network(addr)
	all := l.all[Inside(p)]
	if wait := max(l.remotes.Wait(p), all.Wait(struct{}{})); wait > 0 {
		return wait
	}
	return max(l.remotes.Take(p), all.Take(struct{}{}))
}

// Forgive forgets the tries of an address that proved to know the secret.
func (l *Limiter) Forgive(addr string) { l.remotes.Forget(Network(addr)) }

// Remotes is how many addresses are remembered.
func (l *Limiter) Remotes() int { return l.remotes.Len() }

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
