package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
)

const (
	// sessionCookie: a __Host- cookie is only sent to this very host, over TLS (RFC 6265bis section 4.1.3.2).
	sessionCookie = "__Host-porthole"
	// deviceCookie is kept by browsers in which somebody has logged in before (credential.Devices). It logs nobody in.
	deviceCookie = "__Host-porthole-known"
	// deviceCookieAge is the most that browsers keep a cookie for.
	deviceCookieAge = 400 * 24 * time.Hour
	// sessionIdle is how long a session lives without being used.
	sessionIdle = 30 * 24 * time.Hour
	// sessionStep is how old a session's end may grow before it is moved on: every move is a write to the SD card.
	sessionStep = time.Hour

	// What a session knows. Role is what the account was when the session got its token, Since when that was, as seconds,
	// Remote and Agent where and with what.
	sessionAccount = "account"
	sessionBind    = "bind"
	sessionRole    = "role"
	sessionSince   = "since"
	sessionRemote  = "remote"
	sessionAgent   = "agent"
	sessionFlash   = "flash"
)

// sessionStore keeps sessions in the database, under the hash of their token: who reads the database cannot use them.
type sessionStore struct{ db *store }

// newSessions returns the session manager over the database.
func newSessions(db *store, failed func(http.ResponseWriter, *http.Request, error)) *scs.SessionManager {
	// Not scs.New: it starts a goroutine for a store in memory, which cannot be stopped safely.
	return &scs.SessionManager{
		Store:     sessionStore{db},
		Lifetime:  sessionIdle,
		Codec:     scs.GobCodec{},
		ErrorFunc: failed,
		Cookie: scs.SessionCookie{
			Name: sessionCookie, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode, Persist: true,
		},
	}
}

// slide moves the end of the session in ctx on, now and then.
func slide(ctx context.Context, m *scs.SessionManager) {
	if end := time.Now().Add(sessionIdle); m.Deadline(ctx).Before(end.Add(-sessionStep)) {
		m.SetDeadline(ctx, end)
	}
}

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// FindCtx returns a live session's data.
func (s sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	var b []byte
	err := s.db.r.QueryRowContext(ctx, "SELECT data FROM sessions WHERE token = ? AND ended = 0 AND expires > ?",
		tokenHash(token), time.Now().Unix()).Scan(&b)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read session: %w", err)
	}
	return b, true, nil
}

// CommitCtx keeps a session's data, unless the session was ended meanwhile.
func (s sessionStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	_, values, err := scs.GobCodec{}.Decode(b)
	if err != nil {
		return fmt.Errorf("read session to keep: %w", err)
	}
	account, _ := values[sessionAccount].(string)
	return s.db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (token, data, expires, account) VALUES (?, ?, ?, ?)
			ON CONFLICT (token) DO UPDATE SET data = excluded.data, expires = excluded.expires, account = excluded.account WHERE ended = 0`,
			tokenHash(token), b, expiry.Unix(), account)
		if err != nil {
			return fmt.Errorf("keep session: %w", err)
		}
		return nil
	})
}

// DeleteCtx ends a session. Its row goes later, with prune.
func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE sessions SET ended = 1, data = x'', expires = ? WHERE token = ?",
			time.Now().Add(sessionStep).Unix(), tokenHash(token))
		if err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		return nil
	})
}

// Find is FindCtx for callers without a context; scs asks for it but does not use it.
func (s sessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx for callers without a context.
func (s sessionStore) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

// Delete is DeleteCtx for callers without a context.
func (s sessionStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
