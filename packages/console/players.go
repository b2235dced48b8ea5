package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"porthole/packages/console/signage/playerapi"
)

// mediaFolder opens media by their content.
type mediaFolder string

// Open implements playerapi.Files.
func (m mediaFolder) Open(sha256 string) (*os.File, error) {
	return os.Open(filepath.Join(string(m), sha256))
}

// newPlayers makes the players' side.
func (c *console) newPlayers(ctx context.Context) (*playerapi.API, error) {
	key, err := c.store.mediaKey(ctx)
	if err != nil {
		return nil, err
	}
	return playerapi.New(playerapi.Config{
		Log: c.log, Store: c.signage, Hasher: c.hasher, Key: key, Remote: remoteOf, LongPoll: c.longPoll,
		Files: mediaFolder(filepath.Join(c.env.PermDir, "console", "media")),
	}), nil
}

// mediaKey returns the secret that addresses of media are made with.
func (s *store) mediaKey(ctx context.Context) ([]byte, error) {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	var kept string
	err := s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO secrets (name, value) VALUES ('media', ?) ON CONFLICT DO NOTHING", hex.EncodeToString(b)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = 'media'").Scan(&kept)
	})
	if err != nil {
		return nil, fmt.Errorf("keep the secret of media addresses: %w", err)
	}
	return hex.DecodeString(kept)
}
