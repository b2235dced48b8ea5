package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"porthole/packages/console/credential"
	"porthole/packages/internal/settings"
)

// defaultHostname is what a device is called until somebody says otherwise.
const defaultHostname = "porthole"

// firstStart makes what every device has for itself: a claim code, a stream account, a name, tokens. What is there stays.
func (s *store) firstStart(ctx context.Context, builtin []settings.Camera) error {
	digest, err := digestOf(builtin)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, digest)
	if err != nil {
		return err
	}
	stored, err := storedCameras(ctx, s.r)
	if err != nil {
		return err
	}
	// After an update, cameras from before have no tokens.
	cameras := slices.Clone(builtin)
	for _, cam := range stored {
		if !slices.ContainsFunc(builtin, func(b settings.Camera) bool { return b.ID == cam.ID }) {
			cameras = append(cameras, cam)
		}
	}
	without, err := tokensMissing(ctx, s.r, cameras)
	if err != nil {
		return err
	}
	if !missing && !without {
		return nil
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := setSetting(ctx, tx, "builtin", digest); err != nil {
			return err
		}
		name, err := setting(ctx, tx, "hostname")
		if err != nil {
			return err
		}
		if name == "" {
			if err := setSetting(ctx, tx, "hostname", defaultHostname); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO stream_account (only, user, password) VALUES (1, 'porthole', ?) ON CONFLICT DO NOTHING", newRTSPPassword()); err != nil {
			return fmt.Errorf("make stream account: %w", err)
		}
		for _, cam := range cameras {
			if err := completeTokens(ctx, tx, cam); err != nil {
				return err
			}
		}
		owned, err := claimed(ctx, tx)
		if err != nil || owned {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO secrets (name, value) VALUES ('claim', ?) ON CONFLICT DO NOTHING", credential.NewCode()); err != nil {
			return fmt.Errorf("make claim code: %w", err)
		}
		return nil
	})
}

// missing reports whether firstStart has something to do: a start that changes nothing must not look like news to those
// who follow the settings.
func (s *store) missing(ctx context.Context, builtin string) (bool, error) {
	was, err := setting(ctx, s.r, "builtin")
	if err != nil {
		return false, err
	}
	owned, err := claimed(ctx, s.r)
	if err != nil {
		return false, err
	}
	code, err := s.claimCode(ctx, s.r)
	if err != nil {
		return false, err
	}
	return was != builtin || (!owned && code == ""), nil
}

// digestOf tells one set of built-in cameras from another.
func digestOf(builtin []settings.Camera) (string, error) {
	b, err := json.Marshal(builtin)
	if err != nil {
		return "", fmt.Errorf("encode built-in cameras: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// claimCode returns the code that makes its reader the owner, empty once the device is claimed.
func (s *store) claimCode(ctx context.Context, q querier) (string, error) {
	var code string
	err := q.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = 'claim'").Scan(&code)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read claim code: %w", err)
	}
	return code, nil
}

// Names of keys in the table secrets.
const (
	deviceKey = "device-cookies" // browsers' cookies are made with it (credential.Devices)
	mediaKey  = "media"          // addresses of media are sealed with it
)

// secretKey returns the key of that name, 32 bytes; it is made once.
func (s *store) secretKey(ctx context.Context, name string) (key []byte, err error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh) // never fails (crypto/rand)
	var text string
	err = s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, hex.EncodeToString(fresh)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = ?", name).Scan(&text)
	})
	if err != nil {
		return nil, fmt.Errorf("read or make the key %q: %w", name, err)
	}
	if key, err = hex.DecodeString(text); err != nil || len(key) != len(fresh) {
		return nil, fmt.Errorf("the key %q is damaged: %d characters", name, len(text))
	}
	return key, nil
}
