package playerapi

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"porthole/packages/console/credential"
)

// maxRefusals bounds how many refusals are remembered.
const maxRefusals = 200

// Refusal is what players were told instead of an answer, for people: the same one is counted, not repeated.
type Refusal struct {
	// Hostname is what the player calls itself, empty when it did not say; Address where it came from.
	Hostname, Address string
	// Status is the HTTP status.
	Status int
	// Reason says what was wrong, Advice what to do.
	Reason, Advice string
	Count          int
	First, Last    time.Time
}

// reason is why somebody is refused.
type reason struct {
	status       int
	text, advice string
}

// The reasons. What players are told is their text.
var (
	whyNothing = reason{401, "no credentials: send hostname and quickconnect_code, or Authorization: Bearer with the auth_code",
		"Set hostname and quick-connect code on the screen."}
	whyWrong = reason{401, "hostname, quick-connect code or password is wrong; compare them with those on the server’s page of screens",
		"Compare the screen’s hostname and quick-connect code with those on its page here. A code that nobody knows any more can be set anew there."}
	whyUnknown = reason{401, "hostname, quick-connect code or password is wrong; compare them with those on the server’s page of screens",
		"No screen here has this hostname. Add one, or pair the screen by the code that it shows."}
	whyOver = reason{401, "this auth_code is not known or over; authenticate again with /api/auth/player",
		"Players get a new one by themselves from their quick-connect code. If this goes on, check that code on the screen, or pair it again."}
	whyDisabled = reason{403, "this screen is switched off on the server",
		"Switch the screen on, on its page here, or switch it off at its plug."}
	whyOther = reason{403, "this auth_code belongs to another screen",
		"Two screens may share one settings file: give each its own hostname and code."}
	whyPlain = reason{426, "this server wants https here; http is only for screens that are let in without it, in the local network",
		"Set the screen’s server address to https://. If it cannot do that, its page here can let it in without; only do so in a network that you trust."}
	whyEdit = reason{403, "this screen may not send edited pictures",
		"Allow it on the screen’s page here if its pictures are wanted."}
	whyNotShown = reason{404, "this screen’s playlist has no picture of that name",
		"The picture was taken out of the playlist meanwhile. Nothing needs to be done."}
)

type refusalKey struct {
	hostname, address, reason string
	status                    int
}

// refused remembers refusals.
type refused struct {
	mu sync.Mutex
	of map[refusalKey]*Refusal // guarded by mu
}

func newRefused() *refused { return &refused{of: map[refusalKey]*Refusal{}} }

func (r *refused) add(hostname, address string, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	k := refusalKey{hostname, address, why.advice, why.status}
	e := r.of[k]
	if e == nil {
		if len(r.of) >= maxRefusals {
			delete(r.of, r.leastWanted())
		}
		e = &Refusal{Hostname: hostname, Address: address, Status: why.status, Reason: why.text, Advice: why.advice, First: now}
		r.of[k] = e
	}
	e.Count++
	e.Last = now
}

// leastWanted is the refusal that was longest ago, one from the internet before one from the house: strangers must not push
// out what people look for. The caller holds mu.
func (r *refused) leastWanted() refusalKey {
	var least refusalKey
	var found *Refusal
	near := false
	for k, e := range r.of {
		inside := credential.Inside(credential.Network(k.address))
		if found == nil || (near && !inside) || (near == inside && e.Last.Before(found.Last)) {
			least, found, near = k, e, inside
		}
	}
	return least
}

// Refusals returns who was refused since the start, and why, the latest first; at most 200.
func (a *API) Refusals() []Refusal {
	a.refused.mu.Lock()
	defer a.refused.mu.Unlock()
	all := make([]Refusal, 0, len(a.refused.of))
	for _, e := range a.refused.of {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(x, y Refusal) int {
		return cmp.Or(y.Last.Compare(x.Last), cmp.Compare(x.Hostname, y.Hostname), cmp.Compare(x.Reason, y.Reason))
	})
	return all
}
