package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"porthole/packages/internal/identity"
)

// adminName is the account that claiming makes.
const adminName = "admin"

// account is somebody who may log in.
type account struct {
	name string
	hash string
	role identity.Role
}

// bind names the account's present password without giving away its hash: a session that carries another one ends.
func (a account) bind() string {
	sum := sha256.Sum256([]byte("session of " + a.hash))
	return hex.EncodeToString(sum[:16])
}

// account returns the named account; false when there is none.
func (s *store) account(ctx context.Context, name string) (account, bool, error) {
	a := account{name: name}
	err := s.r.QueryRowContext(ctx, "SELECT hash, role FROM accounts WHERE name = ?", name).Scan(&a.hash, &a.role)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return account{}, false, nil
	case err != nil:
		return account{}, false, fmt.Errorf("read account: %w", err)
	}
	return a, true, nil
}

// claimed reports whether somebody owns the device.
func claimed(ctx context.Context, q querier) (bool, error) {
	var n int
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM accounts WHERE role = 'admin'").Scan(&n); err != nil {
		return false, fmt.Errorf("look for an admin account: %w", err)
	}
	return n > 0, nil
}

// setAdmin makes the admin account or gives it a new password, and ends the time of the claim code.
func setAdmin(ctx context.Context, tx *sql.Tx, hash string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO accounts (name, hash, role, created) VALUES (?, ?, 'admin', ?)
		ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, role = excluded.role`, adminName, hash, time.Now().Unix())
	if err != nil {
		return fmt.Errorf("keep admin account: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM secrets WHERE name = 'claim'"); err != nil {
		return fmt.Errorf("drop claim code: %w", err)
	}
	return nil
}
