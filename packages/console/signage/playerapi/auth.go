package playerapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"porthole/packages/console/credential"
	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

const (
	// codeLife is how long an auth code is good. In the second half of that time verify hands out another one, once a day.
	codeLife    = 30 * 24 * time.Hour
	rotateAfter = codeLife / 2
	rotateEvery = 24 * time.Hour
)

// caller is a player whose credential was right.
type caller struct {
	*player
	// auth is zero when it came with a quick-connect code or a password.
	auth db.AuthCode
}

// authenticate returns who sends r, given what it says of itself. A *problem: nobody that is let in; that is counted.
func (a *API) authenticate(r *http.Request, f fields, k kind) (caller, error) {
	c, why, err := a.identify(r, f)
	if err == nil && why == (reason{}) {
		why = a.admit(r, c.player)
	}
	if err != nil {
		return c, err
	}
	if why != (reason{}) {
		return c, a.refuse(r, f.hostname(), why)
	}
	if wait := a.calls[k].Take(c.ID); wait > 0 {
		return c, tooMany(wait)
	}
	a.presence.seen(c.player, a.c.Remote(r), r.UserAgent(), isPlain(r))
	return c, nil
}

// self returns the player that sends r by its auth code, which must be the one that the path names.
func (a *API) self(r *http.Request, k kind) (caller, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return caller{}, bad("the player’s id is a number")
	}
	c, err := a.authenticate(r, fields{}, k)
	if err == nil && c.ID != id {
		return c, a.refuse(r, c.Hostname, whyOther)
	}
	return c, err
}

// identify returns the player that the credentials belong to, or why there is none.
func (a *API) identify(r *http.Request, f fields) (caller, reason, error) {
	if isPlain(r) && !isNear(r) {
		return caller{}, whyPlain, nil
	}
	token, secret := bearer(r), f.Code != "" || f.Password != ""
	if token == "" {
		token = string(f.AuthCode)
	}
	if token != "" {
		c, err := a.byToken(r.Context(), token)
		if err == nil || !errors.Is(err, signage.ErrNotFound) {
			return c, reason{}, err
		}
	}
	hostname := f.hostname()
	switch {
	case hostname != "" && secret:
		return a.bySecret(r, hostname, f)
	case token != "":
		return caller{}, whyOver, nil
	case isPlain(r):
		// Nobody is asked to send credentials that others can read along.
		return caller{}, whyPlain, nil
	}
	return caller{}, whyNothing, nil
}

// admit says why a player that is known is not let in.
func (a *API) admit(r *http.Request, p *player) reason {
	switch {
	case needsTLS(r, p):
		return whyPlain
	case !p.Enabled:
		return whyDisabled
	}
	return reason{}
}

// byToken returns the player of an auth code. The first use of a new one ends the older ones.
func (a *API) byToken(ctx context.Context, token string) (caller, error) {
	if len(token) > credential.MaxPassword {
		return caller{}, signage.ErrNotFound
	}
	code, err := a.c.Store.AuthCode(ctx, sha256.Sum256([]byte(token)))
	if err == nil && !time.Now().Before(code.Expires) {
		err = signage.ErrNotFound
	}
	if err != nil {
		return caller{}, err
	}
	p, err := a.known.byID(ctx, code.Player)
	if err != nil {
		return caller{}, err
	}
	if a.presence.settle(p.ID, code.Created) {
		if err := a.c.Store.DropAuthCodes(ctx, p.ID, code.Created); err != nil {
			return caller{}, err
		}
	}
	return caller{player: p, auth: code}, nil
}

// bySecret returns the player with that hostname and quick-connect code or password.
func (a *API) bySecret(r *http.Request, hostname string, f fields) (caller, reason, error) {
	p, err := a.known.byHostname(r.Context(), hostname)
	why := whyWrong
	if errors.Is(err, signage.ErrNotFound) {
		p, why, err = &player{}, whyUnknown, nil
	}
	if err != nil {
		return caller{}, reason{}, err
	}
	if needsTLS(r, p) {
		// Before the code is looked at: who tries codes without TLS learns nothing.
		return caller{}, whyPlain, nil
	}
	from := spot{credential.Network(a.c.Remote(r)), hostname}
	for _, try := range [][2]string{{string(f.Code), p.code}, {string(f.Password), p.password}} {
		if try[0] == "" {
			continue
		}
		ok, err := a.matches(r.Context(), from, try[0], try[1])
		if isTooMany(err) {
			a.refused.add(hostname, a.c.Remote(r), why)
		}
		if err != nil {
			return caller{}, reason{}, err
		}
		if ok && p.ID != 0 {
			return caller{player: p}, reason{}, nil
		}
	}
	return caller{}, why, nil
}

// refuse counts a refusal and returns the answer to it.
func (a *API) refuse(r *http.Request, hostname string, why reason) error {
	remote := a.c.Remote(r)
	a.refused.add(hostname, remote, why)
	if wait := a.guesses.answers.Take(spot{credential.Network(remote), hostname}); wait > 0 {
		return tooMany(wait)
	}
	p := &problem{status: why.status, text: why.text}
	if why == whyPlain {
		p.more = map[string]any{"https_url": httpsURL(r)}
	}
	return p
}

// isPlain reports whether the request came without TLS, as proxy says.
func isPlain(r *http.Request) bool { return r.Header.Get("X-Forwarded-Proto") == "http" }

// needsTLS reports whether the request of a player had to come with TLS, and did not.
func needsTLS(r *http.Request, p *player) bool { return isPlain(r) && (!isNear(r) || !p.PlainHTTP) }

// isNear reports whether it came from one of the device's own networks, as proxy says.
func isNear(r *http.Request) bool { return r.Header.Get("Porthole-Near") == "1" }

// httpsURL is where the same call is with TLS. The query may hold a code and is left out.
func httpsURL(r *http.Request) string {
	host := r.URL.Hostname()
	if u, err := url.Parse("//" + r.Host); err == nil {
		host = u.Hostname()
	}
	u := url.URL{Scheme: "https", Host: joinPort(host, r.Header.Get("Porthole-HTTPS-Port")), Path: r.URL.Path}
	return u.String()
}

type authAnswer struct {
	Success     bool      `json:"success"`
	PlayerID    int64     `json:"player_id"`
	PlayerName  string    `json:"player_name"`
	Hostname    string    `json:"hostname"`
	AuthCode    string    `json:"auth_code"`
	Expires     time.Time `json:"auth_code_expires"`
	PlaylistID  *int64    `json:"playlist_id"`
	GroupID     *int64    `json:"group_id"`
	Orientation string    `json:"orientation"`
}

// authPlayer is POST /api/auth/player.
func (a *API) authPlayer(w http.ResponseWriter, r *http.Request) error {
	f, err := read(w, r)
	if err != nil {
		return err
	}
	if f.hostname() == "" || (f.Code == "" && f.Password == "") {
		return bad("send hostname, and quickconnect_code or password")
	}
	f.AuthCode = ""
	r.Header.Del("Authorization") // an old one must not stand in for the code
	c, err := a.authenticate(r, f, tells)
	if err != nil {
		return err
	}
	answer, err := a.welcome(r.Context(), c.player)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// welcome makes an auth code for a player that proved who it is.
func (a *API) welcome(ctx context.Context, p *player) (authAnswer, error) {
	code, expires, err := a.newCode(ctx, p.ID)
	if err != nil {
		return authAnswer{}, err
	}
	now, err := a.showing(ctx, p.ID, time.Now())
	return authAnswer{
		Success: true, PlayerID: p.ID, PlayerName: p.Name, Hostname: p.Hostname, AuthCode: code, Expires: expires,
		PlaylistID: idOrNull(now.list.ID), GroupID: idOrNull(p.Group), Orientation: p.Orientation,
	}, err
}

func (a *API) newCode(ctx context.Context, id int64) (string, time.Time, error) {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	code := base64.RawURLEncoding.EncodeToString(b)
	expires := time.Now().Add(codeLife).UTC().Truncate(time.Second)
	return code, expires, a.c.Store.AddAuthCode(ctx, id, sha256.Sum256([]byte(code)), expires)
}

func idOrNull(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

type verifyAnswer struct {
	Valid       bool   `json:"valid"`
	PlayerID    int64  `json:"player_id"`
	PlayerName  string `json:"player_name"`
	Hostname    string `json:"hostname"`
	PlaylistID  *int64 `json:"playlist_id"`
	GroupID     *int64 `json:"group_id"`
	Orientation string `json:"orientation"`
	Status      string `json:"status"`
	// AuthCode is a new one in place of the one that was verified, which is good until this is used or it is over.
	AuthCode string    `json:"auth_code,omitempty"`
	Expires  time.Time `json:"auth_code_expires,omitzero"`
}

// verify is POST /api/auth/verify.
func (a *API) verify(w http.ResponseWriter, r *http.Request) error {
	f, err := read(w, r)
	if err != nil {
		return err
	}
	if bearer(r) == "" && f.AuthCode == "" {
		return a.refuse(r, f.hostname(), whyNothing)
	}
	f.Code, f.Password = "", ""
	c, err := a.authenticate(r, f, fetches)
	if err != nil {
		return err
	}
	now, err := a.showing(r.Context(), c.ID, time.Now())
	if err != nil {
		return err
	}
	answer := verifyAnswer{
		Valid: true, PlayerID: c.ID, PlayerName: c.Name, Hostname: c.Hostname, PlaylistID: idOrNull(now.list.ID), GroupID: idOrNull(c.Group),
		Orientation: c.Orientation, Status: a.presence.status(c.ID), Expires: c.auth.Expires,
	}
	if time.Since(c.auth.Created) >= rotateAfter && a.rotations.Take(c.ID) == 0 {
		if answer.AuthCode, answer.Expires, err = a.newCode(r.Context(), c.ID); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
