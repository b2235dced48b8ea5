package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// personName is what somebody logs in with. Basic authentication knows no colon in it (RFC 7617 section 2).
var personName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._@+-]{0,39}$`)

var (
	// errNobody means that there is no account of that name.
	errNobody = errors.New("no such account")
	// errLastAdmin keeps a device from belonging to nobody.
	errLastAdmin = errors.New("this is the last administrator")
)

// roleTexts are the roles in words, the usual one first.
var roleTexts = []struct {
	role       identity.Role
	name, text string
}{
	{identity.Editor, "Editor", "changes what screens show: media, playlists, schedule, interruptions"},
	{identity.Admin, "Administrator", "changes everything"},
	{identity.Viewer, "Viewer", "watches the cameras"},
}

// roleChoices are the roles for a form.
func roleChoices(chosen identity.Role) []choice {
	var list []choice
	for _, t := range roleTexts {
		list = append(list, choice{Value: string(t.role), Text: t.name + ": " + t.text, Chosen: t.role == chosen})
	}
	return list
}

func roleName(r identity.Role) string {
	for _, t := range roleTexts {
		if t.role == r {
			return t.name
		}
	}
	return string(r)
}

// accounts returns everybody who may log in, by name.
func (s *store) accounts(ctx context.Context, q querier) ([]account, error) {
	rows, err := q.QueryContext(ctx, accountQuery+" ORDER BY name COLLATE NOCASE")
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	defer rows.Close()
	var list []account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return list, nil
}

// addPerson makes an account; a *settings.FieldError when the name is somebody's.
func (s *store) addPerson(ctx context.Context, a account, e auditEntry) error {
	cameras, err := cameraList(a.cameras)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		have, err := s.accounts(ctx, tx)
		if err != nil {
			return err
		}
		stream, err := s.streamAccount(ctx, tx)
		if err != nil {
			return err
		}
		taken := stream.user == a.name || slices.ContainsFunc(have, func(o account) bool { return strings.EqualFold(o.name, a.name) })
		if taken {
			return &settings.FieldError{Field: "name", Reason: "there is an account of that name already"}
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO accounts (name, hash, role, cameras, created) VALUES (?, ?, ?, ?, ?)", a.name, a.hash, string(a.role), cameras, time.Now().Unix())
		if err != nil {
			return fmt.Errorf("add account: %w", err)
		}
		return audited(ctx, tx, e)
	})
}

// changePerson gives the account of that name another role and other cameras, which count at the next click, and another
// password where the hash is not empty, which ends its sessions. It is errNobody or errLastAdmin.
func (s *store) changePerson(ctx context.Context, a account, e auditEntry) error {
	cameras, err := cameraList(a.cameras)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if a.role != identity.Admin {
			if err := s.adminsBesides(ctx, tx, a.name); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, "UPDATE accounts SET role = ?2, cameras = ?3, hash = CASE ?4 WHEN '' THEN hash ELSE ?4 END WHERE name = ?1",
			a.name, string(a.role), cameras, a.hash)
		if err := one(res, err); err != nil {
			return err
		}
		if a.hash != "" {
			if err := endLogins(ctx, tx, a.name); err != nil {
				return err
			}
		}
		return audited(ctx, tx, e)
	})
}

// dropPerson deletes the account, which ends its sessions and tokens. It is errNobody or errLastAdmin.
func (s *store) dropPerson(ctx context.Context, name string, e auditEntry) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := s.adminsBesides(ctx, tx, name); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, "DELETE FROM accounts WHERE name = ?", name)
		if err := one(res, err); err != nil {
			return err
		}
		if err := endLogins(ctx, tx, name); err != nil {
			return err
		}
		return audited(ctx, tx, e)
	})
}

func one(res sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("change account: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errNobody, err)
	}
	return nil
}

// adminsBesides is errLastAdmin when nobody else administrates.
func (s *store) adminsBesides(ctx context.Context, q querier, name string) error {
	var n int
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM accounts WHERE role = 'admin' AND name <> ?", name).Scan(&n); err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if n == 0 {
		return errLastAdmin
	}
	return nil
}
