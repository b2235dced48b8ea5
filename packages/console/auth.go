package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"porthole/packages/console/credential"
	"porthole/packages/internal/identity"
)

// deniedError says why somebody is not let in, in words for a person. It is identity.ErrDenied.
type deniedError struct {
	reason string
	// wait is how long until the next try is heard, 0 when at once.
	wait time.Duration
}

func (e *deniedError) Error() string { return e.reason }
func (e *deniedError) Unwrap() error { return identity.ErrDenied }

var (
	errNotLoggedIn = &deniedError{reason: "not logged in"}
	errNoToken     = &deniedError{reason: "this token is not known, or its time is over"}
	errWrong       = &deniedError{reason: "wrong user name or password"}
)

func tooMany(wait time.Duration) *deniedError {
	return &deniedError{"too many wrong tries; try again in " + durationText(max(wait, time.Second)), wait}
}

// authenticator says who is behind credentials.
type authenticator struct {
	store    *store
	sessions *scs.SessionManager
	hasher   *credential.Hasher
	limit    *credential.Limiter
	// seen has what was right in the last minute: a client that sends Basic with every request must not cost a password
	// hash each. Its bind is the account's password at that time.
	seen *credential.Memory
}

const (
	seenFor = time.Minute
	maxSeen = 256
)

func newAuthenticator(s *store, m *scs.SessionManager, h *credential.Hasher) *authenticator {
	return &authenticator{
		store: s, sessions: m, hasher: h, limit: credential.NewLimiter(), seen: credential.NewMemory(seenFor, maxSeen),
	}
}

// identify returns who c belongs to. A *deniedError: nobody.
func (a *authenticator) identify(ctx context.Context, c identity.Credentials) (identity.Identity, error) {
	h := http.Header{}
	if c.Cookie != "" {
		h.Set("Cookie", c.Cookie)
	}
	if c.Authorization != "" {
		h.Set("Authorization", c.Authorization)
	}
	r := http.Request{Header: h}
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		id, ok, err := a.bySession(ctx, cookie.Value)
		if err != nil || ok {
			return id, err
		}
	}
	if user, password, ok := r.BasicAuth(); ok {
		return a.byPassword(ctx, user, password, c.Remote)
	}
	if scheme, secret, _ := strings.Cut(c.Authorization, " "); strings.EqualFold(scheme, "Bearer") {
		return a.byToken(ctx, strings.TrimSpace(secret))
	}
	return identity.Identity{}, errNotLoggedIn
}

func (a *authenticator) bySession(ctx context.Context, token string) (identity.Identity, bool, error) {
	ctx, err := a.sessions.Load(ctx, token)
	if err != nil {
		return identity.Identity{}, false, fmt.Errorf("load session: %w", err)
	}
	id, ok, err := a.current(ctx)
	if err != nil || !ok {
		return identity.Identity{}, false, err
	}
	slide(ctx, a.sessions)
	if a.sessions.Status(ctx) == scs.Modified {
		if _, _, err := a.sessions.Commit(ctx); err != nil {
			return identity.Identity{}, false, fmt.Errorf("keep session: %w", err)
		}
	}
	return id, true, nil
}

// current returns who the session loaded into ctx belongs to; false when nobody is logged in with it.
func (a *authenticator) current(ctx context.Context) (identity.Identity, bool, error) {
	name := a.sessions.GetString(ctx, sessionAccount)
	if name == "" {
		return identity.Identity{}, false, nil
	}
	acc, ok, err := a.store.account(ctx, name)
	if err != nil || !ok || acc.bind() != a.sessions.GetString(ctx, sessionBind) {
		return identity.Identity{}, false, err
	}
	return acc.identity(), true, nil
}

// byPassword checks Basic credentials: the stream account's, or those of an account.
func (a *authenticator) byPassword(ctx context.Context, user, password, remote string) (identity.Identity, error) {
	stream, err := a.store.streamAccount(ctx, a.store.r)
	if err != nil {
		return identity.Identity{}, err
	}
	if user == stream.user && subtle.ConstantTimeCompare([]byte(password), []byte(stream.password)) == 1 {
		return identity.Identity{User: user, Role: identity.Viewer}, nil
	}
	acc, known, err := a.store.account(ctx, user)
	if err != nil {
		return identity.Identity{}, err
	}
	key := a.seen.Key(user, password)
	if known && a.seen.Recall(key, acc.bind()) {
		return acc.identity(), nil
	}
	if wait := a.limit.Try(remote); wait > 0 {
		return identity.Identity{}, tooMany(wait)
	}
	if user == stream.user {
		return identity.Identity{}, errWrong
	}
	acc, err = checkPassword(ctx, a.store, a.hasher, user, password)
	if err != nil {
		return identity.Identity{}, err
	}
	a.limit.Forgive(remote)
	a.seen.Remember(key, acc.bind())
	return acc.identity(), nil
}

// checkPassword returns the account with that name and password; errWrong when there is none.
func checkPassword(ctx context.Context, s *store, h *credential.Hasher, user, password string) (account, error) {
	acc, known, err := s.account(ctx, user)
	if err != nil {
		return account{}, err
	}
	if !known {
		acc.hash = credential.Nobody
	}
	ok, err := h.Matches(ctx, password, acc.hash)
	if err != nil {
		return account{}, err
	}
	if !known || !ok {
		return account{}, errWrong
	}
	return acc, nil
}

// asDenied returns the reason when err says that somebody is not let in.
func asDenied(err error) (*deniedError, bool) {
	var d *deniedError
	ok := errors.As(err, &d)
	return d, ok
}
