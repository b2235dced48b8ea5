package main

import (
	"context"
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
	key, err := c.store.secretKey(ctx, mediaKey)
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

// logPath is a path without what lets people in.
func logPath(path string) string {
	if strings.HasPrefix(path, mediaPath) {
		return mediaPath + "…"
	}
	return path
}
