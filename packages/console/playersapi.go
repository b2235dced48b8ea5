package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"porthole/packages/console/signage/library"
	"porthole/packages/console/signage/playerapi"
)

// playersPath is above what players ask for; what a player's address of a medium has behind mediaPath lets whoever knows it
// fetch that.
const (
	playersPath = "/api/"
	mediaPath   = "/api/media/"
)

// newPlayers returns the API of signage players.
func (c *console) newPlayers(ctx context.Context) (*playerapi.API, error) {
	key, err := c.store.mediaKey(ctx)
	if err != nil {
		return nil, err
	}
	return playerapi.New(playerapi.Config{
		Log: c.log, Store: c.signage, Files: c.library, Adder: c.library,
		Refused: library.AsRefusal, Hasher: c.hasher, Key: key,
		Remote: remoteOf, Origins: c.origins, LongPoll: c.longPoll,
		Open: map[string]http.HandlerFunc{
			"GET /api/health":      c.serveHealth,
			"GET /api/certificate": c.serveAPICertificate,
		},
	}), nil
}

func (c *console) servePlayers(w http.ResponseWriter, r *http.Request) { c.players.ServeHTTP(w, r) }

// origins are the web sites that may use the API with their visitors' credentials.
func (c *console) origins() []string {
	list, err := c.signage.Origins(context.Background())
	if err != nil {
		c.log.Error("cannot read which origins are listed", "err", err)
	}
	return list
}

// mediaKey returns the key that addresses of media are sealed with; it is made once.
func (s *store) mediaKey(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails (crypto/rand)
	var text string
	err := s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO secrets (name, value) VALUES ('media', ?) ON CONFLICT DO NOTHING", hex.EncodeToString(fresh)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = 'media'").Scan(&text)
	})
	if err != nil {
		return nil, fmt.Errorf("make key for addresses of media: %w", err)
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) < 16 {
		return nil, fmt.Errorf("the key for addresses of media is damaged: %d characters", len(text))
	}
	return key, nil
}

// logPath is a path without what lets people in.
func logPath(path string) string {
	if strings.HasPrefix(path, mediaPath) {
		return mediaPath + "…"
	}
	return path
}
