package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// playerSettings returns what is kept for player. Which way the screen hangs is kept with the screens, and only there.
func playerSettings(ctx context.Context, q querier) (settings.PlayerSettings, error) {
	var s settings.PlayerSettings
	rows, err := q.QueryContext(ctx, "SELECT key, value FROM player_settings")
	if err != nil {
		return s, fmt.Errorf("read player settings: %w", err)
	}
	defer rows.Close()
	m := map[string]json.RawMessage{}
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return s, fmt.Errorf("read player setting: %w", err)
		}
		m[k] = json.RawMessage(v)
	}
	if err := rows.Err(); err != nil {
		return s, fmt.Errorf("read player settings: %w", err)
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("understand player settings: %w", err)
	}
	s.Orientation, err = ownOrientation(ctx, q)
	return s, err
}

// ownOrientation is that of the device's own screen; empty for the usual one, and before there is a screen.
func ownOrientation(ctx context.Context, q querier) (string, error) {
	var o string
	err := q.QueryRowContext(ctx, "SELECT orientation FROM players WHERE own = 1").Scan(&o)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read how the screen hangs: %w", err)
	}
	if o == settings.Orientations()[0] {
		o = ""
	}
	return o, nil
}

// timezone is the zone of the device: schedules and screen hours are in it.
func timezone(ctx context.Context, q querier) (string, error) {
	name, err := setting(ctx, q, "timezone")
	if name == "" {
		name = "UTC"
	}
	return name, err
}

// setPlayerSetting keeps a value under the key of its JSON name in settings.PlayerSettings.
func setPlayerSetting(ctx context.Context, tx *sql.Tx, key string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode player setting %s: %w", key, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO player_settings (key, value) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, string(b))
	if err != nil {
		return fmt.Errorf("keep player setting %s: %w", key, err)
	}
	return nil
}

// putPlayerSettings replaces all that is kept for player. Orientation is passed over: it is the screen's.
func putPlayerSettings(ctx context.Context, tx *sql.Tx, s settings.PlayerSettings) error {
	s.Orientation = ""
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode player settings: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("split player settings: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM player_settings"); err != nil {
		return fmt.Errorf("clear player settings: %w", err)
	}
	for k, v := range all {
		if err := setPlayerSetting(ctx, tx, k, v); err != nil {
			return err
		}
	}
	return nil
}

// follow takes the connection of a server. With another server than before goes everything that was the former one's:
// nobody else gets its code, and its certificate is not expected of anybody else.
func follow(to *settings.PlayerSettings, server string) {
	if server == to.Server {
		return
	}
	to.Server, to.Hostname, to.QuickConnectCode, to.Pin, to.Trust = server, "", "", "", ""
}

// provisionPlayer takes what a file says of the own screen; the rest stays as it is. It returns what it had to leave out.
func provisionPlayer(ctx context.Context, tx *sql.Tx, p provision.Player) (problems []provision.Problem, err error) {
	s, err := playerSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	if p.Server != "" {
		follow(&s, p.Server)
	}
	p.Orientation = "" // taken with the screens
	b, err := json.Marshal(p)
	if err == nil {
		// A file may say anything of what player has, under the same names.
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("take player settings: %w", err)
	}
	s, wrong := s.Normalize()
	for _, w := range wrong {
		// The file's own mistakes were found when it was read: what is left is trust in a pin that nobody gave.
		problems = append(problems, provision.Problem{Key: "player." + w.Field, Reason: w.Reason})
		if w.Field == "trust" {
			s.Trust = ""
		}
	}
	return problems, putPlayerSettings(ctx, tx, s)
}
