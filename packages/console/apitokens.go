package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

const (
	// tokenPrefix lets people and secret scanners see what an API token is.
	tokenPrefix = "porthole_"
	// maxAPITokens bounds those of an account.
	maxAPITokens = 50
	// maxTokenName bounds a token's name, in bytes.
	maxTokenName = 60
)

// apiToken stands for its account in programs, and may less than it.
type apiToken struct {
	id            int64
	account, name string
	scopes        []identity.Scope
	// cameras it is good for, by id; nil means all that its account may see.
	cameras []string
	created time.Time
	// expires is zero when it never does, used when it was never used; used is exact to the hour.
	expires, used time.Time
}

// over reports whether the token's time is over.
func (t apiToken) over(now time.Time) bool { return !t.expires.IsZero() && !now.Before(t.expires) }

// identity is who holds the token of the account: never somebody who may more than the account may now.
func (t apiToken) identity(a account) identity.Identity {
	id := identity.Identity{User: a.name, Role: identity.Viewer, Cameras: a.identity().Cameras, Scopes: []identity.Scope{}}
	if t.cameras != nil {
		all := id.Cameras
		id.Cameras = slices.DeleteFunc(slices.Clone(t.cameras), func(c string) bool { return all != nil && !slices.Contains(all, c) })
	}
	for _, s := range t.scopes {
		if slices.Contains(a.mayGrant(), s) {
			id.Scopes = append(id.Scopes, s)
		}
	}
	return id
}

// mayGrant are the scopes that a token of the account can have.
func (a account) mayGrant() []identity.Scope {
	list := []identity.Scope{identity.ScopeView}
	if a.identity().MayMeasure() {
		list = append(list, identity.ScopeMetrics)
	}
	if may(a.role, editor) {
		list = append(list, identity.ScopeUpload)
	}
	if may(a.role, admin) {
		list = append(list, identity.ScopeUpdate)
	}
	return list
}

const tokenQuery = "SELECT id, account, name, scopes, cameras, created, expires, used FROM api_tokens"

func scanToken(row interface{ Scan(...any) error }) (apiToken, error) {
	var t apiToken
	var scopes, cameras string
	var created, expires, used int64
	err := row.Scan(&t.id, &t.account, &t.name, &scopes, &cameras, &created, &expires, &used)
	if err == nil {
		err = json.Unmarshal([]byte(scopes), &t.scopes)
	}
	if err == nil {
		err = json.Unmarshal([]byte(cameras), &t.cameras)
	}
	if err != nil {
		return apiToken{}, fmt.Errorf("read API token: %w", err)
	}
	t.created, t.expires, t.used = timeOf(created), timeOf(expires), timeOf(used)
	return t, nil
}

// timeOf is the time that the database keeps as seconds, 0 for none.
func timeOf(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// apiTokens returns the tokens of an account, the newest first.
func (s *store) apiTokens(ctx context.Context, account string) ([]apiToken, error) {
	rows, err := s.r.QueryContext(ctx, tokenQuery+" WHERE account = ? ORDER BY id DESC", account)
	if err != nil {
		return nil, fmt.Errorf("read API tokens: %w", err)
	}
	defer rows.Close()
	var list []apiToken
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read API tokens: %w", err)
	}
	return list, nil
}

// byToken returns who holds an API token; errNoToken when nobody does.
func (a *authenticator) byToken(ctx context.Context, secret string) (identity.Identity, error) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return identity.Identity{}, errNoToken
	}
	t, err := scanToken(a.store.r.QueryRowContext(ctx, tokenQuery+" WHERE hash = ?", tokenHash(secret)))
	now := time.Now()
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.Identity{}, errNoToken
	case err != nil:
		return identity.Identity{}, err
	case t.over(now):
		return identity.Identity{}, errNoToken
	}
	acc, ok, err := a.store.account(ctx, t.account)
	if err != nil {
		return identity.Identity{}, err
	}
	if !ok {
		return identity.Identity{}, errNoToken
	}
	if now.Sub(t.used) >= time.Hour {
		// Every use would be a write to the SD card.
		err := a.store.write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE api_tokens SET used = ? WHERE id = ?", now.Unix(), t.id)
			return err
		})
		if err != nil {
			return identity.Identity{}, fmt.Errorf("note use of API token: %w", err)
		}
	}
	return t.identity(acc), nil
}

// addAPIToken keeps a token and returns its number and its secret, which is kept nowhere. A *settings.FieldError: it was not
// kept.
func (s *store) addAPIToken(ctx context.Context, t apiToken, e auditEntry) (id int64, secret string, err error) {
	scopes, err := json.Marshal(t.scopes)
	if err != nil {
		return 0, "", fmt.Errorf("encode scopes: %w", err)
	}
	cameras, err := cameraList(t.cameras)
	if err != nil {
		return 0, "", err
	}
	var expires int64
	if !t.expires.IsZero() {
		expires = t.expires.Unix()
	}
	secret = tokenPrefix + newToken()
	err = s.write(ctx, func(tx *sql.Tx) error {
		var all, same int
		err := tx.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE name = ?2) FROM api_tokens WHERE account = ?1", t.account, t.name).Scan(&all, &same)
		switch {
		case err != nil:
			return fmt.Errorf("count API tokens: %w", err)
		case same > 0:
			return &settings.FieldError{Field: "name", Reason: "you have a token of that name already"}
		case all >= maxAPITokens:
			return &settings.FieldError{Field: "name", Reason: fmt.Sprintf("you have %d tokens, which is the most; revoke one first", maxAPITokens)}
		}
		err = tx.QueryRowContext(ctx, "INSERT INTO api_tokens (hash, name, account, scopes, cameras, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
			tokenHash(secret), t.name, t.account, string(scopes), cameras, time.Now().Unix(), expires).Scan(&id)
		if err != nil {
			return fmt.Errorf("keep API token: %w", err)
		}
		return audited(ctx, tx, e)
	})
	return id, secret, err
}

// dropAPIToken revokes a token of the account; errNoToken when it has none of that number.
func (s *store) dropAPIToken(ctx context.Context, account string, id int64, entry func(name string) auditEntry) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		var name string
		err := tx.QueryRowContext(ctx, "DELETE FROM api_tokens WHERE id = ? AND account = ? RETURNING name", id, account).Scan(&name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return errNoToken
		case err != nil:
			return fmt.Errorf("revoke API token: %w", err)
		}
		return audited(ctx, tx, entry(name))
	})
}

// forgetCamera takes a camera that is gone from the lists of those who might see it: one that gets its id later is another
// camera.
func forgetCamera(ctx context.Context, tx *sql.Tx, camera string) error {
	for _, table := range []string{"accounts", "api_tokens"} {
		_, err := tx.ExecContext(ctx, "UPDATE "+table+` SET cameras = (SELECT json_group_array(value) FROM json_each(`+table+`.cameras) WHERE value <> ?1)
			WHERE cameras <> 'null' AND EXISTS (SELECT 1 FROM json_each(`+table+`.cameras) WHERE value = ?1)`, camera)
		if err != nil {
			return fmt.Errorf("take camera %s from lists: %w", camera, err)
		}
	}
	return nil
}
