package playerapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/packages/console/credential"
	"porthole/packages/console/signage"
)

// Pairing is RFC 8628 (device authorization grant) in all but its media type: calls take and answer JSON.
const (
	pairFor      = 15 * time.Minute
	pairInterval = 5 * time.Second
	slowerBy     = 5 * time.Second // RFC 8628 section 3.5
	// maxPairings bounds those that wait, maxFromOne those from one address: a shop sets up a few at a time. maxOutside bounds
	// those from the internet, who must not keep the house's screens out.
	maxPairings = 256
	maxFromOne  = 32
	maxOutside  = 64
)

// ErrNoPairing says that no screen shows that code.
var ErrNoPairing = errors.New("no screen shows this code (any more); look at the screen again, it may show another one by now")

// Pairing is a screen that shows a code and waits.
type Pairing struct {
	// UserCode is what it shows, as "BCDF-2345".
	UserCode string
	// Hostname, Name and Agent are what it says of itself, perhaps nothing.
	Hostname, Name, Agent string
	Address               string
	Since, Expires        time.Time
}

// pending is a Pairing and what became of it.
type pending struct {
	Pairing
	from     netip.Prefix
	interval time.Duration
	polled   time.Time
	player   int64 // 0 while nobody decided
	refused  bool
}

type pairings struct {
	mu sync.Mutex
	of map[[32]byte]*pending // by the hash of the device code; guarded by mu
}

func newPairings() *pairings { return &pairings{of: map[[32]byte]*pending{}} }

// prune drops what is over. The caller holds mu.
func (p *pairings) prune(now time.Time) {
	for k, e := range p.of {
		if !now.Before(e.Expires) {
			delete(p.of, k)
		}
	}
}

// add makes room for one more; false when there are too many.
func (p *pairings) add(key [32]byte, e *pending) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune(e.Since)
	same, outside := 0, 0
	for _, o := range p.of {
		if o.from == e.from {
			same++
		}
		if !credential.Inside(o.from) {
			outside++
		}
	}
	if len(p.of) >= maxPairings || same >= maxFromOne || (!credential.Inside(e.from) && outside >= maxOutside) {
		return false
	}
	for taken := true; taken; {
		// Good for a quarter of an hour, and only an administrator can try one (RFC 8628 section 6.1).
		e.UserCode = credential.NewCode()
		taken = false
		for _, o := range p.of {
			taken = taken || o.UserCode == e.UserCode
		}
	}
	p.of[key] = e
	return true
}

// byCode runs f on the pairing that nobody decided on yet; ErrNoPairing when there is none.
func (p *pairings) byCode(code string, f func(*pending)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune(time.Now())
	for _, e := range p.of {
		if credential.PlainCode(e.UserCode) == credential.PlainCode(code) && e.player == 0 && !e.refused {
			f(e)
			return nil
		}
	}
	return ErrNoPairing
}

// Pairings returns the screens that wait, the latest first.
func (a *API) Pairings() []Pairing {
	a.pairings.mu.Lock()
	defer a.pairings.mu.Unlock()
	a.pairings.prune(time.Now())
	var all []Pairing
	for _, e := range a.pairings.of {
		if e.player == 0 && !e.refused {
			all = append(all, e.Pairing)
		}
	}
	slices.SortFunc(all, func(x, y Pairing) int {
		return cmp.Or(y.Since.Compare(x.Since), cmp.Compare(x.UserCode, y.UserCode))
	})
	return all
}

// Approve lets the screen that shows userCode be p: an existing player if p has an ID, else a new one is made; its empty
// hostname and name are what the screen says. ErrNoPairing, and the errors of making a player.
func (a *API) Approve(ctx context.Context, userCode string, p signage.Player) (signage.Player, error) {
	var said Pairing
	if err := a.pairings.byCode(userCode, func(e *pending) { said = e.Pairing }); err != nil {
		return p, err
	}
	var err error
	if p.ID != 0 {
		p, err = a.c.Store.Player(ctx, p.ID)
	} else {
		p.Hostname = cmp.Or(strings.TrimSpace(p.Hostname), said.Hostname, "screen-"+strings.ToLower(said.UserCode))
		p.Name = cmp.Or(strings.TrimSpace(p.Name), said.Name, p.Hostname)
		p, err = a.c.Store.CreatePlayer(ctx, p)
	}
	if err != nil {
		return p, err
	}
	return p, a.pairings.byCode(userCode, func(e *pending) { e.player = p.ID })
}

// Refuse tells the screen that shows userCode that it is not wanted. ErrNoPairing.
func (a *API) Refuse(userCode string) error {
	return a.pairings.byCode(userCode, func(e *pending) { e.refused = true })
}

// pair is POST /api/pair (RFC 8628 section 3.1).
func (a *API) pair(w http.ResponseWriter, r *http.Request) error {
	remote := a.c.Remote(r)
	if isPlain(r) {
		return a.refuse(r, "", whyPlain)
	}
	if wait := a.strange.Take(credential.Network(remote)); wait > 0 {
		return tooMany(wait)
	}
	f, err := read(w, r)
	if err != nil {
		return err
	}
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	code := base64.RawURLEncoding.EncodeToString(b)
	now := time.Now()
	e := &pending{from: credential.Network(remote), interval: pairInterval, Pairing: Pairing{
		Hostname: f.hostname(), Name: f.Name.short(maxWord), Agent: cmp.Or(f.Agent.short(maxWord), word(r.UserAgent()).short(maxWord)),
		Address: remote, Since: now, Expires: now.Add(pairFor),
	}}
	if !a.pairings.add(sha256.Sum256([]byte(code)), e) {
		return tooMany(time.Minute)
	}
	at := base(r) + "/screens/pair"
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": e.UserCode, "verification_uri": at, "verification_uri_complete": at + "?code=" + e.UserCode,
		"expires_in": int(pairFor.Seconds()), "interval": int(pairInterval.Seconds()),
	})
	return nil
}

// pairToken is POST /api/pair/token (RFC 8628 sections 3.4 and 3.5).
func (a *API) pairToken(w http.ResponseWriter, r *http.Request) error {
	from := credential.Network(a.c.Remote(r))
	if isPlain(r) {
		return a.refuse(r, "", whyPlain)
	}
	if wait := a.strange.Wait(from); wait > 0 {
		return tooMany(wait)
	}
	f, err := read(w, r)
	if err != nil {
		return err
	}
	if f.DeviceCode == "" {
		return pairError("invalid_request", "send device_code, as /api/pair answered it")
	}
	player, known, err := a.pairings.poll(sha256.Sum256([]byte(f.DeviceCode)))
	if !known {
		a.strange.Take(from)
	}
	if err != nil {
		return err
	}
	p, err := a.known.byID(r.Context(), player)
	if isGone(err) || (err == nil && !p.Enabled) {
		return pairError("access_denied", "the screen was removed or switched off meanwhile")
	}
	if err != nil {
		return err
	}
	answer, err := a.welcome(r.Context(), p)
	if err != nil {
		return err
	}
	a.presence.seen(p, a.c.Remote(r), r.UserAgent(), false)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// poll returns the player that a screen may be, and forgets the pairing; a *problem while it may not. known is false for a
// device code that nobody was given, or that is over.
func (p *pairings) poll(key [32]byte) (player int64, known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.prune(now)
	e := p.of[key]
	switch {
	case e == nil:
		return 0, false, pairError("expired_token", "this code is over; ask /api/pair for another one and show it")
	case e.refused:
		delete(p.of, key)
		return 0, true, pairError("access_denied", "an administrator refused this screen")
	case e.player != 0:
		delete(p.of, key)
		return e.player, true, nil
	}
	early := !e.polled.IsZero() && now.Sub(e.polled) < e.interval-time.Second
	e.polled = now
	if early {
		e.interval += slowerBy
		return 0, true, pairError("slow_down", "ask less often: the interval grew by five seconds")
	}
	return 0, true, pairError("authorization_pending", "an administrator has not typed the code yet; ask again after the interval")
}

// pairError is an answer of RFC 8628 section 3.5.
func pairError(code, text string) error {
	return &problem{status: http.StatusBadRequest, text: code, more: map[string]any{"error_description": text}}
}
