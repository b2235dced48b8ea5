package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/internal/program"
)

const (
	timezoneKey        = "timezone"
	defaultPlaylistKey = "default_playlist"
	originsKey         = "cors_origins"
	maxOrigins         = 50
)

func readSetting(ctx context.Context, q querier, key string) (string, error) {
	var v string
	err := q.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&v)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read setting %s: %w", key, err)
	}
	return v, nil
}

func writeSetting(ctx context.Context, tx *sql.Tx, key, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	if err != nil {
		return fmt.Errorf("keep setting %s: %w", key, err)
	}
	return nil
}

// Timezone returns the IANA name of the zone that schedules are in; "UTC" until somebody chose one.
func (s *Store) Timezone(ctx context.Context) (string, error) { return timezone(ctx, s.db.Reader()) }

func timezone(ctx context.Context, q querier) (string, error) {
	name, err := readSetting(ctx, q, timezoneKey)
	if name == "" {
		name = "UTC"
	}
	return name, err
}

// SetTimezone chooses the zone. A name that is not known is a *settings.FieldError of "timezone".
func (s *Store) SetTimezone(ctx context.Context, name string) error {
	return s.change(ctx, func(tx *sql.Tx) error { return setTimezone(ctx, tx, name) })
}

func setTimezone(ctx context.Context, tx *sql.Tx, name string) error {
	if _, ok := program.Zone(name); !ok {
		return wrong("timezone", "is not known; use a name like Europe/Bucharest, or UTC")
	}
	return writeSetting(ctx, tx, timezoneKey, name)
}

// DefaultPlaylist returns the playlist of players that have none, nor their group; 0 for none.
func (s *Store) DefaultPlaylist(ctx context.Context) (int64, error) {
	return defaultPlaylist(ctx, s.db.Reader())
}

func defaultPlaylist(ctx context.Context, q querier) (int64, error) {
	v, err := readSetting(ctx, q, defaultPlaylistKey)
	if err != nil || v == "" {
		return 0, err
	}
	id, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read default playlist: %w", err)
	}
	return id, nil
}

// SetDefaultPlaylist chooses it; 0 for none.
func (s *Store) SetDefaultPlaylist(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *sql.Tx) error { return setDefaultPlaylist(ctx, tx, id) })
}

func setDefaultPlaylist(ctx context.Context, tx *sql.Tx, id int64) error {
	if err := must(ctx, tx, "playlists", "default_playlist", id); err != nil {
		return err
	}
	return writeSetting(ctx, tx, defaultPlaylistKey, strconv.FormatInt(id, 10))
}

// Origins returns the origins (RFC 6454) whose pages may use the player API with credentials.
func (s *Store) Origins(ctx context.Context) ([]string, error) {
	v, err := readSetting(ctx, s.db.Reader(), originsKey)
	if err != nil || v == "" {
		return nil, err
	}
	var all []string
	if err := json.Unmarshal([]byte(v), &all); err != nil {
		return nil, fmt.Errorf("read origins: %w", err)
	}
	return all, nil
}

// SetOrigins chooses them, at most 50. What is not like https://example.org is a *settings.FieldError of "cors_origins".
func (s *Store) SetOrigins(ctx context.Context, origins []string) error {
	var all []string
	for _, o := range origins {
		if o = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(o)), "/"); o == "" {
			continue
		}
		u, err := url.Parse(o)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.Scheme+"://"+u.Host != o {
			return wrong(originsKey, strconv.Quote(o)+" is no origin; write for example https://example.org or http://192.168.1.9:8080")
		}
		if !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	if len(all) > maxOrigins {
		return wrong(originsKey, fmt.Sprintf("use at most %d", maxOrigins))
	}
	b, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("encode origins: %w", err)
	}
	return s.change(ctx, func(tx *sql.Tx) error { return writeSetting(ctx, tx, originsKey, string(b)) })
}
