package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"porthole/packages/internal/settings"
)

// streamCount is how many streams a camera has.
func streamCount(cam settings.Camera) int { return 1 + len(cam.MoreURLs) }

// newToken returns 130 random bits in lowercase base32 (RFC 4648): 26 characters that nobody guesses.
func newToken() string { return strings.ToLower(rand.Text()) }

// streamTokens are the tokens of every camera's streams, by camera, in the order of the streams.
func streamTokens(ctx context.Context, q querier) (map[string][]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT camera, token FROM stream_tokens ORDER BY camera, stream")
	if err != nil {
		return nil, fmt.Errorf("read stream tokens: %w", err)
	}
	defer rows.Close()
	tokens := map[string][]string{}
	for rows.Next() {
		var camera, token string
		if err := rows.Scan(&camera, &token); err != nil {
			return nil, fmt.Errorf("read stream token: %w", err)
		}
		tokens[camera] = append(tokens[camera], token)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read stream tokens: %w", err)
	}
	return tokens, nil
}

// completeTokens makes the tokens that the camera's streams lack and drops those of streams it no longer has.
func completeTokens(ctx context.Context, tx *sql.Tx, cam settings.Camera) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM stream_tokens WHERE camera = ? AND stream > ?", cam.ID, streamCount(cam)); err != nil {
		return fmt.Errorf("drop tokens of camera %s: %w", cam.ID, err)
	}
	for n := 1; n <= streamCount(cam); n++ {
		_, err := tx.ExecContext(ctx, "INSERT INTO stream_tokens (camera, stream, token, made) VALUES (?, ?, ?, ?) ON CONFLICT (camera, stream) DO NOTHING",
			cam.ID, n, newToken(), time.Now().Unix())
		if err != nil {
			return fmt.Errorf("make token of camera %s: %w", cam.ID, err)
		}
	}
	return nil
}

// dropTokens forgets the tokens of a camera that is gone: one that gets its id later is another camera.
func dropTokens(ctx context.Context, tx *sql.Tx, camera string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM stream_tokens WHERE camera = ?", camera); err != nil {
		return fmt.Errorf("drop tokens of camera %s: %w", camera, err)
	}
	return nil
}

// rotateToken gives a stream a new token; the old one is worth nothing from then on.
func (s *store) rotateToken(ctx context.Context, camera string, stream int) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE stream_tokens SET token = ?, made = ? WHERE camera = ? AND stream = ?",
			newToken(), time.Now().Unix(), camera, stream)
		if err != nil {
			return fmt.Errorf("rotate token of camera %s: %w", camera, err)
		}
		return nil
	})
}

// tokensMissing reports whether a stream of one of the cameras has no token.
func tokensMissing(ctx context.Context, q querier, cameras []settings.Camera) (bool, error) {
	tokens, err := streamTokens(ctx, q)
	if err != nil {
		return false, err
	}
	for _, cam := range cameras {
		if len(tokens[cam.ID]) != streamCount(cam) {
			return true, nil
		}
	}
	return false, nil
}
