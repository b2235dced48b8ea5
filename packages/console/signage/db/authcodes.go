package db

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"porthole/packages/console/signage"
)

// maxAuthCodes bounds the auth codes of a player that count at a time: it rotates them, and may be set up anew.
const maxAuthCodes = 8

// authCodes are all auth codes: every poll of every player asks for one.
type authCodes struct {
	order sync.Mutex // held while codes are changed, so that the map hears of it in the order of the database
	mu    sync.Mutex
	known map[[32]byte]authCode // nil until it is read; guarded by mu
}

type authCode struct{ player, created, expires int64 }

// AuthCode is what an auth code belongs to.
type AuthCode struct {
	Player           int64
	Created, Expires time.Time
}

// AuthCode returns an auth code, expired or not, given its SHA-256. It costs next to nothing.
func (s *Store) AuthCode(ctx context.Context, hash [32]byte) (AuthCode, error) {
	c, err := s.authCode(ctx, hash)
	if err == nil && c.player == 0 {
		err = signage.ErrNotFound
	}
	return AuthCode{c.player, at(c.created), at(c.expires)}, err
}

// endAuthCodes ends all auth codes of a player: its secret changes, or it is switched off. Once that is written the caller
// calls forgetCodes.
func endAuthCodes(ctx context.Context, tx *sql.Tx, player int64) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM player_auth_codes WHERE player = ?", player); err != nil {
		return fmt.Errorf("end auth codes: %w", err)
	}
	return nil
}

// forgetCodes makes the next that asks read the codes again.
func (s *Store) forgetCodes() {
	s.codes.mu.Lock()
	defer s.codes.mu.Unlock()
	s.codes.known = nil
}

// changeCodes runs f, which returns the hashes of the codes that it took away and those that it added.
func (s *Store) changeCodes(ctx context.Context, f func(tx *sql.Tx) (gone [][32]byte, added map[[32]byte]authCode, err error)) error {
	s.codes.order.Lock()
	defer s.codes.order.Unlock()
	var gone [][32]byte
	var added map[[32]byte]authCode
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		gone, added, err = f(tx)
		return err
	})
	s.codes.mu.Lock()
	defer s.codes.mu.Unlock()
	if err != nil || s.codes.known == nil {
		// After an error nobody knows what the database holds: read it again.
		s.codes.known = nil
		return err
	}
	for _, h := range gone {
		delete(s.codes.known, h)
	}
	for h, c := range added {
		s.codes.known[h] = c
	}
	return nil
}

func scanHash(row scanner) (h [32]byte, err error) {
	var b []byte
	if err := row.Scan(&b); err != nil {
		return h, err
	}
	if copy(h[:], b) != len(h) {
		return h, fmt.Errorf("an auth code's hash has %d bytes", len(b))
	}
	return h, nil
}

// AddAuthCode keeps the SHA-256 of an auth code of a player. What is over goes, and of more than 8 the oldest.
func (s *Store) AddAuthCode(ctx context.Context, id int64, hash [32]byte, expires time.Time) error {
	return s.changeCodes(ctx, func(tx *sql.Tx) ([][32]byte, map[[32]byte]authCode, error) {
		if _, err := player(ctx, tx, id); err != nil {
			return nil, nil, err
		}
		now := time.Now().Unix()
		gone, err := list(ctx, tx, scanHash, `DELETE FROM player_auth_codes WHERE expires <= ? OR hash IN
			(SELECT hash FROM player_auth_codes WHERE player = ? ORDER BY created DESC, expires DESC LIMIT 1000 OFFSET ?) RETURNING hash`,
			now, id, maxAuthCodes-1)
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO player_auth_codes (hash, player, created, expires) VALUES (?, ?, ?, ?)",
				hash[:], id, now, expires.Unix())
		}
		if err != nil {
			return nil, nil, fmt.Errorf("keep auth code: %w", err)
		}
		return gone, map[[32]byte]authCode{hash: {id, now, expires.Unix()}}, nil
	})
}

// DropAuthCodes ends the auth codes of a player that were made before; all with a time in the future.
func (s *Store) DropAuthCodes(ctx context.Context, id int64, before time.Time) error {
	return s.changeCodes(ctx, func(tx *sql.Tx) ([][32]byte, map[[32]byte]authCode, error) {
		gone, err := list(ctx, tx, scanHash, "DELETE FROM player_auth_codes WHERE player = ? AND created < ? RETURNING hash", id, before.Unix())
		if err != nil {
			return nil, nil, fmt.Errorf("drop auth codes: %w", err)
		}
		return gone, nil, nil
	})
}

// PlayerByAuthCode returns the player that an unexpired auth code belongs to, given its SHA-256. It costs next to nothing:
// what SavePresence keeps may be older than what Player returns.
func (s *Store) PlayerByAuthCode(ctx context.Context, hash [32]byte, now time.Time) (signage.Player, error) {
	c, err := s.authCode(ctx, hash)
	if err != nil {
		return signage.Player{}, err
	}
	if c.player == 0 || now.Unix() >= c.expires {
		return signage.Player{}, signage.ErrNotFound
	}
	w, err := s.now(ctx, now)
	if err != nil {
		return signage.Player{}, err
	}
	p, ok := w.players[c.player]
	if !ok {
		return signage.Player{}, signage.ErrNotFound
	}
	return p, nil
}

func (s *Store) authCode(ctx context.Context, hash [32]byte) (authCode, error) {
	s.codes.mu.Lock()
	defer s.codes.mu.Unlock()
	if s.codes.known != nil {
		return s.codes.known[hash], nil
	}
	// Read under the lock: what is changed meanwhile waits to be told.
	known := map[[32]byte]authCode{}
	_, err := list(ctx, s.db.Reader(), func(row scanner) (struct{}, error) {
		var b []byte
		var c authCode
		if err := row.Scan(&b, &c.player, &c.created, &c.expires); err != nil {
			return struct{}{}, err
		}
		var h [32]byte
		copy(h[:], b)
		known[h] = c
		return struct{}{}, nil
	}, "SELECT hash, player, created, expires FROM player_auth_codes")
	if err != nil {
		return authCode{}, fmt.Errorf("read auth codes: %w", err)
	}
	s.codes.known = known
	return known[hash], nil
}
