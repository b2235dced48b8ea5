package db

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"porthole/packages/console/signage"
)

const selectPlaylists = `SELECT p.id, p.name, p.version, p.changed, p.transition, p.created,
	count(i.id), coalesce(sum(CASE i.duration_ms WHEN 0 THEN coalesce(m.duration_ms, 0) ELSE i.duration_ms END), 0)
	FROM playlists p LEFT JOIN playlist_items i ON i.playlist = p.id AND i.stage = 'draft' LEFT JOIN media m ON m.id = i.media `

func scanPlaylist(row scanner) (signage.Playlist, error) {
	var p signage.Playlist
	var created, ms int64
	err := row.Scan(&p.ID, &p.Name, &p.Version, &p.Changed, &p.Transition, &created, &p.Items, &ms)
	p.Created, p.Total = at(created), time.Duration(ms)*time.Millisecond
	return p, err
}

// Playlists returns all playlists by name.
func (s *Store) Playlists(ctx context.Context) ([]signage.Playlist, error) {
	all, err := list(ctx, s.db.Reader(), scanPlaylist, selectPlaylists+"GROUP BY p.id ORDER BY lower(p.name), p.id")
	if err != nil {
		return nil, fmt.Errorf("read playlists: %w", err)
	}
	return all, nil
}

// PlaylistsWith returns the playlists that have a medium, as a draft or on the screens, by name.
func (s *Store) PlaylistsWith(ctx context.Context, media int64) ([]signage.Playlist, error) {
	all, err := list(ctx, s.db.Reader(), scanPlaylist,
		selectPlaylists+"WHERE p.id IN (SELECT playlist FROM playlist_items WHERE media = ?) GROUP BY p.id ORDER BY lower(p.name), p.id", media)
	if err != nil {
		return nil, fmt.Errorf("read playlists of a medium: %w", err)
	}
	return all, nil
}

// Playlist returns a playlist.
func (s *Store) Playlist(ctx context.Context, id int64) (signage.Playlist, error) {
	return playlist(ctx, s.db.Reader(), id)
}

func playlist(ctx context.Context, q querier, id int64) (signage.Playlist, error) {
	p, err := scanPlaylist(q.QueryRowContext(ctx, selectPlaylists+"WHERE p.id = ? GROUP BY p.id", id))
	return p, found("read playlist", err)
}

// CreatePlaylist makes an empty playlist.
func (s *Store) CreatePlaylist(ctx context.Context, name string) (signage.Playlist, error) {
	var p signage.Playlist
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		id, err := createPlaylist(ctx, tx, name)
		if err != nil {
			return err
		}
		p, err = playlist(ctx, tx, id)
		return err
	})
	return p, err
}

func createPlaylist(ctx context.Context, tx *sql.Tx, name string) (id int64, err error) {
	if name, err = cleanName("name", name); err != nil {
		return 0, err
	}
	if err := free(ctx, tx, "playlists", "name", name, 0); err != nil {
		return 0, err
	}
	if err := bound(ctx, tx, "playlists", "playlists", MaxPlaylists); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, "INSERT INTO playlists (name, created) VALUES (?, ?) RETURNING id", name, time.Now().Unix()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("make playlist: %w", err)
	}
	return id, nil
}

// UpdatePlaylist changes name and transition.
func (s *Store) UpdatePlaylist(ctx context.Context, p signage.Playlist) error {
	return s.change(ctx, func(tx *sql.Tx) error { return updatePlaylist(ctx, tx, p) })
}

func updatePlaylist(ctx context.Context, tx *sql.Tx, p signage.Playlist) error {
	name, err := cleanName("name", p.Name)
	if err != nil {
		return err
	}
	if p.Transition != "cut" && p.Transition != "crossfade" {
		return wrong("transition", `must be "cut" or "crossfade"`)
	}
	if err := free(ctx, tx, "playlists", "name", name, p.ID); err != nil {
		return err
	}
	return touched(tx.ExecContext(ctx, "UPDATE playlists SET name = ?, transition = ? WHERE id = ?",
		name, p.Transition, p.ID))("change playlist")
}

// DeletePlaylist deletes a playlist with its rules and interruptions; who had it as his own has none then.
func (s *Store) DeletePlaylist(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM settings WHERE key = ? AND value = ?", defaultPlaylistKey, strconv.FormatInt(id, 10))
		if err != nil {
			return fmt.Errorf("forget default playlist: %w", err)
		}
		return touched(tx.ExecContext(ctx, "DELETE FROM playlists WHERE id = ?", id))("delete playlist")
	})
}

// CopyPlaylist makes a playlist of the draft of another one. An empty name becomes the other's with a number.
func (s *Store) CopyPlaylist(ctx context.Context, id int64, name string) (signage.Playlist, error) {
	var p signage.Playlist
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		from, err := playlist(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := boundItems(ctx, tx, from.Items); err != nil {
			return err
		}
		if name == "" {
			if name, err = freeName(ctx, tx, "playlists", from.Name, maxName); err != nil {
				return fmt.Errorf("find a name for the copy: %w", err)
			}
		}
		to, err := createPlaylist(ctx, tx, name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO playlist_items (playlist, stage, `+itemValues+`)
			SELECT ?, 'draft', `+itemValues+` FROM playlist_items WHERE playlist = ? AND stage = 'draft' ORDER BY position`, to, id)
		if err != nil {
			return fmt.Errorf("copy items: %w", err)
		}
		_, err = tx.ExecContext(ctx, "UPDATE playlists SET transition = ?, changed = ? WHERE id = ?", from.Transition, from.Items > 0, to)
		if err != nil {
			return fmt.Errorf("copy playlist: %w", err)
		}
		p, err = playlist(ctx, tx, to)
		return err
	})
	return p, err
}

// Publish gives players what is in the draft, as a new version.
func (s *Store) Publish(ctx context.Context, id int64) (signage.Playlist, error) {
	var p signage.Playlist
	err := s.change(ctx, func(tx *sql.Tx) error {
		if err := publish(ctx, tx, id); err != nil {
			return err
		}
		var err error
		p, err = playlist(ctx, tx, id)
		return err
	})
	return p, err
}

func publish(ctx context.Context, tx *sql.Tx, id int64) error {
	err := touched(tx.ExecContext(ctx, "UPDATE playlists SET version = version + 1, changed = 0, published = ? WHERE id = ?",
		time.Now().Unix(), id))("publish playlist")
	if err != nil {
		return err
	}
	for _, q := range []string{
		"DELETE FROM playlist_items WHERE playlist = ? AND stage = 'live'",
		`INSERT INTO playlist_items (playlist, stage, origin, ` + itemValues + `)
			SELECT playlist, 'live', id, ` + itemValues + ` FROM playlist_items WHERE playlist = ? AND stage = 'draft' ORDER BY position`,
	} {
		if _, err := tx.ExecContext(ctx, q, id); err != nil {
			return fmt.Errorf("publish items: %w", err)
		}
	}
	return nil
}

// Revert makes the draft what is live. A playlist that was never published has nothing to go back to: *settings.FieldError.
func (s *Store) Revert(ctx context.Context, id int64) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		p, err := playlist(ctx, tx, id)
		if err != nil {
			return err
		}
		if p.Version == 0 {
			return wrong("playlist", "was never published, so there is nothing to go back to")
		}
		for _, q := range []string{
			"DELETE FROM playlist_items WHERE playlist = ? AND stage = 'draft'",
			`INSERT INTO playlist_items (id, playlist, stage, ` + itemValues + `)
				SELECT origin, playlist, 'draft', ` + itemValues + ` FROM playlist_items WHERE playlist = ? AND stage = 'live' ORDER BY position`,
			"UPDATE playlists SET changed = 0 WHERE id = ?",
		} {
			if _, err := tx.ExecContext(ctx, q, id); err != nil {
				return fmt.Errorf("go back to what is live: %w", err)
			}
		}
		return nil
	})
}
