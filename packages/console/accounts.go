package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
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
	// cameras that a viewer may see, by id; nil means all. Other roles see all.
	cameras []string
}

// identity is who the account is to other processes.
func (a account) identity() identity.Identity {
	id := identity.Identity{User: a.name, Role: a.role}
	if a.role == identity.Viewer {
		id.Cameras = a.cameras
	}
	return id
}

// bind names the account's present password without giving away its hash: a session that carries another one ends.
func (a account) bind() string {
	sum := sha256.Sum256([]byte("session of " + a.hash))
	return hex.EncodeToString(sum[:16])
}

// account returns the named account; false when there is none.
func (s *store) account(ctx context.Context, name string) (account, bool, error) {
	a, err := scanAccount(s.r.QueryRowContext(ctx, accountQuery+" WHERE name = ?", name))
	if errors.Is(err, sql.ErrNoRows) {
		return account{}, false, nil
	}
	return a, err == nil, err
}

const accountQuery = "SELECT name, hash, role, cameras FROM accounts"

// scanAccount reads a row of accountQuery.
func scanAccount(row interface{ Scan(...any) error }) (account, error) {
	var a account
	var cameras string
	err := row.Scan(&a.name, &a.hash, &a.role, &cameras)
	if err == nil {
		err = json.Unmarshal([]byte(cameras), &a.cameras)
	}
	if err != nil {
		return account{}, fmt.Errorf("read account: %w", err)
	}
	return a, nil
}

// cameraList is a list of cameras as the database keeps it.
func cameraList(cameras []string) (string, error) {
	b, err := json.Marshal(cameras)
	if err != nil {
		return "", fmt.Errorf("encode list of cameras: %w", err)
	}
	return string(b), nil
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
