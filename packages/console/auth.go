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
	devices  *credential.Devices
	// seen has what was right and was used in the last hour: a client that sends Basic with every request must not cost a
	// password hash each, nor be kept out when others try passwords. Its bind is the account's password at that time.
	seen *credential.Memory
	// blocked has for whom and from where too many tries were noted.
	blocked  *credential.Buckets[credential.Line]
	blockedN *credential.Buckets[struct{}]
	note     func(context.Context, auditEntry)
}

const (
	seenFor = time.Hour
	maxSeen = 256
	// blockedEvery is how often too many tries for an account are noted, blockedAll how often those for any.
	blockedEvery = time.Hour
	blockedAll   = 10 * time.Minute
	maxBlocked   = 256
)

// newAuthenticator returns an authenticator that writes into the audit log with note.
func newAuthenticator(s *store, m *scs.SessionManager, h *credential.Hasher, d *credential.Devices, note func(context.Context, auditEntry)) *authenticator {
	return &authenticator{
		store: s, sessions: m, hasher: h, limit: credential.NewLimiter(), devices: d, seen: credential.NewMemory(seenFor, maxSeen),
		blocked: credential.NewBuckets[credential.Line](blockedEvery, 1, maxBlocked), blockedN: credential.NewBuckets[struct{}](blockedAll, 10, 1), note: note,
	}
}

// visitor is from where a password comes.
type visitor struct {
	remote string
	near   bool
	// device is the value of deviceCookie.
	device string
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
		return a.byPassword(ctx, user, password, visitor{remote: c.Remote, near: c.Near, device: deviceOf(&r)})
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
func (a *authenticator) byPassword(ctx context.Context, user, password string, from visitor) (identity.Identity, error) {
	stream, err := a.store.streamAccount(ctx, a.store.r)
	if err != nil {
		return identity.Identity{}, err
	}
	key := a.seen.Key(user, password)
	if user == stream.user {
		bind := "stream account " + stream.password
		if !a.seen.Renew(key, bind) {
			if err := a.streamPassword(ctx, stream, password, from); err != nil {
				return identity.Identity{}, err
			}
			a.seen.Remember(key, bind)
		}
		return identity.Identity{User: user, Role: identity.Viewer}, nil
	}
	acc, known, err := a.store.account(ctx, user)
	if err != nil {
		return identity.Identity{}, err
	}
	if known && a.seen.Renew(key, acc.bind()) {
		return acc.identity(), nil
	}
	if acc, err = a.password(ctx, user, password, from); err != nil {
		return identity.Identity{}, err
	}
	a.seen.Remember(key, acc.bind())
	return acc.identity(), nil
}

// streamPassword checks the password of the stream account, which is kept as it is and costs nothing to compare.
func (a *authenticator) streamPassword(ctx context.Context, stream streamAccount, password string, from visitor) error {
	t := credential.Try{Remote: from.remote, Near: from.near, Account: stream.user, Known: true}
	if v := a.limit.Try(t); v.Wait > 0 {
		return a.refuse(ctx, t, v)
	}
	if subtle.ConstantTimeCompare([]byte(password), []byte(stream.password)) != 1 {
		return errWrong
	}
	a.limit.Forgive(t)
	return nil
}

// password returns the account with that name and password: errWrong when there is none, another *deniedError when it was
// not looked at.
func (a *authenticator) password(ctx context.Context, user, password string, from visitor) (account, error) {
	acc, known, err := a.store.account(ctx, user)
	if err != nil {
		return account{}, err
	}
	if !known {
		acc.hash = credential.Nobody
	}
	t := credential.Try{Remote: from.remote, Near: from.near, Account: user, Known: known, Device: a.devices.Find(from.device, user)}
	switch v := a.limit.Try(t); {
	case v.Wait > 0:
		return account{}, a.refuse(ctx, t, v)
	case v.Pretend:
		return account{}, errors.Join(errWrong, a.hasher.Pretend(ctx))
	}
	ok, err := a.hasher.Matches(ctx, t.Line(), password, acc.hash)
	if err != nil {
		return account{}, err
	}
	if !known || !ok {
		return account{}, errWrong
	}
	a.limit.Forgive(t)
	return acc, nil
}

// refuse says that a try was one too many, and notes it now and then.
func (a *authenticator) refuse(ctx context.Context, t credential.Try, v credential.Verdict) error {
	if a.blocked.Take(t.Line()) == 0 && a.blockedN.Take(struct{}{}) == 0 {
		who := t.Account
		if !t.Known {
			who = "names that nobody has"
		}
		a.note(ctx, auditEntry{Who: "somebody", Remote: t.Remote, Area: auditAccounts, What: "was kept from trying more passwords for " + who})
	}
	return tooMany(v.Wait)
}

// asDenied returns the reason when err says that somebody is not let in.
func asDenied(err error) (*deniedError, bool) {
	var d *deniedError
	ok := errors.As(err, &d)
	return d, ok
}
