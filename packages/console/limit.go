package main

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"porthole/packages/internal/source"
)

// How fast passwords and claim codes may be tried. A person mistypes a few times in a row; a claim code has 29 bits, so
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

// limiter counts tries per remote address and overall. The house has an overall count of its own: guesses from the
// internet must not lock the family out.
type limiter struct {
	mu              sync.Mutex
	remotes         map[netip.Prefix]*remote // guarded by mu
	inside, outside *rate.Limiter            // guarded by mu
}

type remote struct {
	tries *rate.Limiter
	last  time.Time
}

func newLimiter() *limiter {
	return &limiter{
		remotes: map[netip.Prefix]*remote{},
		inside:  rate.NewLimiter(rate.Every(refillInside), triesInside),
		outside: rate.NewLimiter(rate.Every(refillOutside), triesOutside),
	}
}

// try counts one try from an address. It returns how long to wait when that is one too many; then it is not counted.
func (l *limiter) try(addr string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	p := network(addr)
	rm := l.remotes[p]
	if rm == nil {
		l.makeRoom()
		rm = &remote{tries: rate.NewLimiter(rate.Every(refillPerRemote), triesPerRemote)}
		l.remotes[p] = rm
	}
	rm.last = now
	all := l.outside
	if a := p.Addr(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		all = l.inside
	}
	one, every := rm.tries.ReserveN(now, 1), all.ReserveN(now, 1)
	wait := max(one.DelayFrom(now), every.DelayFrom(now))
	if wait > 0 {
		one.CancelAt(now)
		every.CancelAt(now)
	}
	return wait
}

// forgive forgets the tries of an address that proved to know the secret.
func (l *limiter) forgive(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.remotes, network(addr))
}

// makeRoom drops the address that was quiet for longest when there are too many.
func (l *limiter) makeRoom() {
	if len(l.remotes) < maxRemotes {
		return
	}
	var oldest netip.Prefix
	var at time.Time
	for p, rm := range l.remotes {
		if at.IsZero() || rm.last.Before(at) {
			oldest, at = p, rm.last
		}
	}
	delete(l.remotes, oldest)
}

// network is what counts as one remote; the zero Prefix for what is no address.
func network(addr string) netip.Prefix {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}
	}
	return source.Of(a)
}
