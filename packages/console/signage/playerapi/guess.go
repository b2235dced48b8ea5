package playerapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"porthole/packages/console/credential"
)

const (
	// perMinute is how many requests a player may make in a minute, of those that fetch and of those that tell; as many may
	// come in a row (the contract's 60 per minute).
	perMinute = 60
	// strangerCalls is how many calls without a credential may come from an address in a row, one more each second.
	strangerCalls = 120
	// rightFor is for how long a right code is known again without computing its hash; it counts from its last use. wrongFor is
	// that for wrong ones, so that a player set up wrongly costs nothing and its tries are not taken for guesses.
	rightFor = time.Hour
	wrongFor = time.Hour
)

// kind tells requests apart that are limited by themselves: who fetches the playlist each second may still report.
type kind int

const (
	fetches kind = iota
	tells
)

// How fast different wrong codes may be tried. A screen behind the same address as one that is set up wrongly has tries of
// its own; an address has more of them than one screen, and a screen can be tried by so many addresses from outside. Right
// codes cost nothing of this.
const (
	triesPerScreen    = 5
	refillPerScreen   = 20 * time.Second
	triesPerAddress   = 60
	refillPerAddress  = 2 * time.Second
	triesFromOutside  = 20
	refillFromOutside = 10 * time.Second
	triesAll          = 60
	refillAll         = time.Second
	refusalsInARow    = 60 // answers 401 of a screen at an address
)

// spot is a screen at an address, as far as it says who it is.
type spot struct {
	from     netip.Prefix
	hostname string
}

// guesses counts wrong tries.
type guesses struct {
	spots   *credential.Buckets[spot]
	from    *credential.Buckets[netip.Prefix]
	outside *credential.Buckets[string]
	strange *credential.Buckets[struct{}] // all from outside
	answers *credential.Buckets[spot]
	// checking are slots for hashes, of the house and of the internet.
	checking map[bool]chan struct{}
	wrong    *credential.Memory
}

func newGuesses() *guesses {
	return &guesses{
		spots:    credential.NewBuckets[spot](refillPerScreen, triesPerScreen, maxPlayers),
		from:     credential.NewBuckets[netip.Prefix](refillPerAddress, triesPerAddress, maxPlayers),
		outside:  credential.NewBuckets[string](refillFromOutside, triesFromOutside, maxPlayers),
		strange:  credential.NewBuckets[struct{}](refillAll, triesAll, 1),
		answers:  credential.NewBuckets[spot](time.Second, refusalsInARow, maxPlayers),
		checking: map[bool]chan struct{}{true: make(chan struct{}, 2), false: make(chan struct{}, 1)},
		wrong:    credential.NewMemory(wrongFor, maxPlayers),
	}
}

func (g *guesses) wait(s spot) time.Duration {
	wait := max(g.spots.Wait(s), g.from.Wait(s.from))
	if !credential.Inside(s.from) {
		wait = max(wait, g.outside.Wait(s.hostname), g.strange.Wait(struct{}{}))
	}
	return wait
}

func (g *guesses) count(s spot) {
	g.spots.Take(s)
	g.from.Take(s.from)
	if !credential.Inside(s.from) {
		g.outside.Take(s.hostname)
		g.strange.Take(struct{}{})
	}
}

// matches reports whether secret has the hash phc, which is credential.Nobody's where there is no such secret: that takes as
// long. A *problem: it was not looked at, as too many were wrong before.
func (a *API) matches(ctx context.Context, s spot, secret, phc string) (bool, error) {
	if phc == "" {
		phc = credential.Nobody
	}
	right, wrong := a.right.Key(s.hostname, secret), a.guesses.wrong.Key(s.hostname, secret)
	if a.right.Renew(right, phc) {
		return true, nil
	}
	if a.guesses.wrong.Recall(wrong, phc) {
		return false, nil
	}
	inside := credential.Inside(s.from)
	checking := a.guesses.checking[inside]
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case checking <- struct{}{}:
	}
	defer func() { <-checking }()
	// Somebody may have found it out while we waited.
	if a.right.Renew(right, phc) {
		return true, nil
	}
	if a.guesses.wrong.Recall(wrong, phc) {
		return false, nil
	}
	if wait := a.guesses.wait(s); wait > 0 {
		return false, &problem{status: http.StatusTooManyRequests, wait: wait,
			text: "too many wrong codes from there; correct the screen's hostname and quick-connect code, then try again"}
	}
	ok, err := a.c.Hasher.Matches(ctx, credential.Line{Inside: inside, Name: "screen " + s.hostname}, secret, phc)
	switch {
	case err != nil:
		return false, err
	case ok:
		a.right.Remember(right, phc)
	default:
		a.guesses.count(s)
		a.guesses.wrong.Remember(wrong, phc)
	}
	return ok, nil
}

// isTooMany reports whether err is the answer to somebody who asks too often.
func isTooMany(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.status == http.StatusTooManyRequests
}
