package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
)

// login is a session as its owner sees it.
type login struct {
	// id names the session without being good for anything else: a part of its token's hash.
	id            string
	remote, agent string
	since         time.Time
	// used is exact to the hour, as a session's end moves on with it.
	used    time.Time
	current bool
}

// loginID is the id of the session with that token.
func loginID(token string) string { return hex.EncodeToString(tokenHash(token)[:loginIDBytes]) }

// loginIDBytes is how much of a hash tells the sessions of one account apart.
const loginIDBytes = 8

// logins returns the live sessions of an account, the last used first. current is the token of the one that asks.
func (s *store) logins(ctx context.Context, account, current string) ([]login, error) {
	now := time.Now()
	rows, err := s.r.QueryContext(ctx, "SELECT lower(hex(substr(token, 1, ?))), data, expires FROM sessions WHERE account = ? AND ended = 0 AND expires > ?",
		loginIDBytes, account, now.Unix())
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	defer rows.Close()
	var list []login
	for rows.Next() {
		var l login
		var data []byte
		var expires int64
		if err := rows.Scan(&l.id, &data, &expires); err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
		_, values, err := scs.GobCodec{}.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
		l.remote, _ = values[sessionRemote].(string)
		l.agent, _ = values[sessionAgent].(string)
		if since, ok := values[sessionSince].(int64); ok {
			l.since = timeOf(since)
		}
		l.used, l.current = timeOf(expires).Add(-sessionIdle), l.id == loginID(current)
		list = append(list, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	slices.SortStableFunc(list, func(a, b login) int { return b.used.Compare(a.used) })
	return list, nil
}

// endLogin ends one session of the account; false when it has none of that id.
func (s *store) endLogin(ctx context.Context, account, id string, e auditEntry) (ended bool, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, endSessions+" AND lower(hex(substr(token, 1, ?))) = ?", time.Now().Add(sessionStep).Unix(), account, loginIDBytes, id)
		if err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		ended = true
		return audited(ctx, tx, e)
	})
	return ended, err
}

// endAllLogins ends all sessions of the account, and writes that down.
func (s *store) endAllLogins(ctx context.Context, account string, e auditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := endLogins(ctx, tx, account); err != nil {
			return err
		}
		return audited(ctx, tx, e)
	})
}

// endSessions ends the sessions of an account. Their rows go later, with prune.
const endSessions = "UPDATE sessions SET ended = 1, data = x'', expires = ? WHERE account = ? AND ended = 0"

// endLogins ends all sessions of the account.
func endLogins(ctx context.Context, tx *sql.Tx, account string) error {
	if _, err := tx.ExecContext(ctx, endSessions, time.Now().Add(sessionStep).Unix(), account); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// logIn makes the session that of the account, under a new token so that one planted before is worth nothing. The browser
// is known from then on.
func (c *console) logIn(w http.ResponseWriter, r *http.Request, a account) error {
	ctx := r.Context()
	if err := c.sessions.RenewToken(ctx); err != nil {
		return err
	}
	c.sessions.Put(ctx, sessionAccount, a.name)
	c.sessions.Put(ctx, sessionBind, a.bind())
	c.sessions.Put(ctx, sessionRole, string(a.role))
	c.sessions.Put(ctx, sessionSince, time.Now().Unix())
	c.sessions.Put(ctx, sessionRemote, remoteOf(r))
	c.sessions.Put(ctx, sessionAgent, strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), maxAgent)], ""))
	http.SetCookie(w, &http.Cookie{
		Name: deviceCookie, Value: c.auth.devices.Add(deviceOf(r), a.name), Path: "/", MaxAge: int(deviceCookieAge.Seconds()),
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

// maxAgent bounds what is kept of a browser's name for itself, in bytes.
const maxAgent = 200

// visitorOf says from where a request comes.
func visitorOf(r *http.Request) visitor {
	return visitor{remote: remoteOf(r), near: nearOf(r), device: deviceOf(r)}
}

// deviceOf is the value of deviceCookie; empty when the browser has none.
func deviceOf(r *http.Request) string {
	cookie, err := r.Cookie(deviceCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// rotate gives the session a new token when its account has become another: one that was stolen from a viewer must not
// grow into an administrator's.
func (c *console) rotate(ctx context.Context, role string) error {
	if c.sessions.GetString(ctx, sessionRole) == role {
		return nil
	}
	if err := c.sessions.RenewToken(ctx); err != nil {
		return err
	}
	c.sessions.Put(ctx, sessionRole, role)
	return nil
}

// prune removes sessions that are over, once an hour, until ctx ends.
func (c *console) prune(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		err := c.store.write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE expires <= ?", time.Now().Unix())
			return err
		})
		if err != nil && ctx.Err() == nil {
			c.log.Warn("cannot remove old sessions", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
