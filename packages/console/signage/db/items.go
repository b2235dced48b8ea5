package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"

	"porthole/packages/console/signage"
)

const (
	// DefaultDuration is how long an item is shown that names no time and has none of its own.
	DefaultDuration = 10 * time.Second
	maxDuration     = 24 * time.Hour
)

// itemValues are the columns that are the same in an item's draft and live.
const itemValues = "position, kind, media, camera, url, text, duration_ms, fit, description"

const selectItems = `SELECT CASE i.origin WHEN 0 THEN i.id ELSE i.origin END, i.playlist, i.position, i.kind, i.camera, i.url, i.text,
	i.duration_ms, i.fit, i.description,
	m.id, m.sha256, m.size_bytes, m.name, m.kind, m.mime, m.width, m.height, m.duration_ms, m.probe, m.parent, m.version,
	m.created, m.created_by
	FROM playlist_items i LEFT JOIN media m ON m.id = i.media `

// placed is an item with the playlist it stands in.
type placed struct {
	signage.Item
	playlist int64
}

func scanItem(row scanner) (placed, error) {
	var i placed
	var ms int64
	var m struct {
		id, size, width, height, ms, parent, version, created sql.NullInt64
		sha256, name, kind, mime, probe, by                   sql.NullString
	}
	err := row.Scan(&i.ID, &i.playlist, &i.Position, &i.Kind, &i.Camera, &i.URL, &i.Text, &ms, &i.Fit, &i.Description,
		&m.id, &m.sha256, &m.size, &m.name, &m.kind, &m.mime, &m.width, &m.height, &m.ms, &m.probe, &m.parent, &m.version,
		&m.created, &m.by)
	if err != nil {
		return i, err
	}
	i.Duration = time.Duration(ms) * time.Millisecond
	if !m.id.Valid {
		return i, nil
	}
	i.MediaID = m.id.Int64
	i.Media = &signage.Media{
		ID: m.id.Int64, SHA256: m.sha256.String, SizeBytes: m.size.Int64, Name: m.name.String, Kind: signage.MediaKind(m.kind.String),
		MIME: m.mime.String, Width: int(m.width.Int64), Height: int(m.height.Int64), Duration: time.Duration(m.ms.Int64) * time.Millisecond,
		Parent: m.parent.Int64, Version: int(m.version.Int64), Created: at(m.created.Int64), By: m.by.String,
	}
	return i, json.Unmarshal([]byte(m.probe.String), &i.Media.Probe)
}

// Items returns the items of a playlist in their order. A live item has the id of the draft item that it is a copy of.
func (s *Store) Items(ctx context.Context, playlist int64, stage signage.Stage) ([]signage.Item, error) {
	return items(ctx, s.db.Reader(), playlist, stage)
}

func items(ctx context.Context, q querier, playlist int64, stage signage.Stage) ([]signage.Item, error) {
	all, err := list(ctx, q, scanItem, selectItems+"WHERE i.playlist = ? AND i.stage = ? ORDER BY i.position, i.id", playlist, stage)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	plain := make([]signage.Item, len(all))
	for i, p := range all {
		plain[i] = p.Item
	}
	return plain, nil
}

var cameraID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$`)

// checkItem returns an item completed, or what is wrong with it.
func checkItem(ctx context.Context, tx *sql.Tx, i signage.Item) (signage.Item, error) {
	plain := signage.Item{ID: i.ID, Kind: i.Kind, Duration: i.Duration, Fit: i.Fit}
	own := false
	switch i.Kind {
	case signage.ItemMedia:
		m, err := scanMedia(tx.QueryRowContext(ctx, "SELECT "+mediaColumns+" FROM media m WHERE m.id = ?", i.MediaID))
		if err := found("read medium", err); err != nil {
			return i, err
		}
		plain.MediaID, plain.Media, own = m.ID, &m, m.Duration > 0
	case signage.ItemCamera:
		if !cameraID.MatchString(i.Camera) {
			return i, wrong("camera", "choose one of the cameras")
		}
		plain.Camera = i.Camera
	case signage.ItemStream:
		u, err := url.Parse(i.URL)
		if err != nil || (u.Scheme != "rtsp" && u.Scheme != "rtsps") || u.Hostname() == "" || len(i.URL) > maxURL {
			return i, wrong("url", "must be an address like rtsp://192.168.1.20/stream1")
		}
		plain.URL = u.String()
	case signage.ItemText:
		text, err := cleanText("text", i.Text, maxText)
		if err == nil && text == "" {
			err = wrong("text", "must not be empty")
		}
		if err != nil {
			return i, err
		}
		plain.Text = text
	default:
		return i, wrong("kind", `must be "media", "camera", "stream" or "text"`)
	}
	var err error
	if plain.Description, err = cleanText("description", i.Description, maxText); err != nil {
		return i, err
	}
	plain.Duration = plain.Duration.Truncate(time.Millisecond)
	switch {
	case plain.Duration == 0 && !own:
		plain.Duration = DefaultDuration
	case plain.Duration != 0 && (plain.Duration < time.Second || plain.Duration > maxDuration):
		return i, wrong("duration", "must be 1 second to 24 hours")
	}
	switch plain.Fit {
	case "":
		plain.Fit = "fit"
	case "fit", "fill", "stretch":
	default:
		return i, wrong("fit", `must be "fit", "fill" or "stretch"`)
	}
	return plain, nil
}

// edit changes the draft of a playlist: f gets the ids of its items in their order and returns the new order.
func (s *Store) edit(ctx context.Context, playlist int64, f func(tx *sql.Tx, ids []int64) ([]int64, error)) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error { return edit(ctx, tx, playlist, f) })
}

func edit(ctx context.Context, tx *sql.Tx, playlist int64, f func(tx *sql.Tx, ids []int64) ([]int64, error)) error {
	err := touched(tx.ExecContext(ctx, "UPDATE playlists SET changed = 1 WHERE id = ?", playlist))("edit playlist")
	if err != nil {
		return err
	}
	ids, err := list(ctx, tx, scanInt, "SELECT id FROM playlist_items WHERE playlist = ? AND stage = 'draft' ORDER BY position, id", playlist)
	if err != nil {
		return fmt.Errorf("read order of items: %w", err)
	}
	if ids, err = f(tx, ids); err != nil {
		return err
	}
	for n, id := range ids {
		_, err := tx.ExecContext(ctx, "UPDATE playlist_items SET position = ? WHERE id = ? AND position <> ?", n+1, id, n+1)
		if err != nil {
			return fmt.Errorf("order items: %w", err)
		}
	}
	return nil
}

// AddItems puts items into the draft, the first at a position from 1; 0, or one beyond the end, is at the end.
func (s *Store) AddItems(ctx context.Context, playlist int64, at int, add []signage.Item) ([]signage.Item, error) {
	var added []signage.Item
	err := s.edit(ctx, playlist, func(tx *sql.Tx, ids []int64) ([]int64, error) {
		if len(ids)+len(add) > MaxItems {
			return nil, wrong("items", fmt.Sprintf("a playlist has at most %d items", MaxItems))
		}
		if err := boundItems(ctx, tx, len(add)); err != nil {
			return nil, err
		}
		if at < 1 || at > len(ids)+1 {
			at = len(ids) + 1
		}
		for n, i := range add {
			i, err := checkItem(ctx, tx, i)
			if err != nil {
				return nil, err
			}
			i.Position = at + n
			if i.ID, err = insertItem(ctx, tx, playlist, i.Position, i); err != nil {
				return nil, err
			}
			ids = slices.Insert(ids, i.Position-1, i.ID)
			added = append(added, i)
		}
		return ids, nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// insertItem puts an item that was checked into the draft.
func insertItem(ctx context.Context, tx *sql.Tx, playlist int64, position int, i signage.Item) (id int64, err error) {
	err = tx.QueryRowContext(ctx, "INSERT INTO playlist_items (playlist, stage, "+itemValues+`)
		VALUES (?, 'draft', ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, playlist, position, i.Kind, null(i.MediaID), i.Camera, i.URL,
		i.Text, i.Duration.Milliseconds(), i.Fit, i.Description).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("add item: %w", err)
	}
	return id, nil
}

// UpdateItem changes an item of the draft; its position stays.
func (s *Store) UpdateItem(ctx context.Context, playlist int64, i signage.Item) error {
	return s.edit(ctx, playlist, func(tx *sql.Tx, ids []int64) ([]int64, error) {
		if !slices.Contains(ids, i.ID) {
			return nil, signage.ErrNotFound
		}
		i, err := checkItem(ctx, tx, i)
		if err != nil {
			return nil, err
		}
		return ids, touched(tx.ExecContext(ctx, `UPDATE playlist_items SET kind = ?, media = ?, camera = ?, url = ?, text = ?, duration_ms = ?,
			fit = ?, description = ? WHERE id = ?`, i.Kind, null(i.MediaID), i.Camera, i.URL, i.Text, i.Duration.Milliseconds(),
			i.Fit, i.Description, i.ID))("change item")
	})
}

// RemoveItem takes an item out of the draft.
func (s *Store) RemoveItem(ctx context.Context, playlist, item int64) error {
	return s.edit(ctx, playlist, func(tx *sql.Tx, ids []int64) ([]int64, error) {
		n := slices.Index(ids, item)
		if n < 0 {
			return nil, signage.ErrNotFound
		}
		return slices.Delete(ids, n, n+1), touched(tx.ExecContext(ctx, "DELETE FROM playlist_items WHERE id = ?", item))("remove item")
	})
}

// MoveItem gives an item of the draft another position, from 1; one out of range is the first or the last.
func (s *Store) MoveItem(ctx context.Context, playlist, item int64, position int) error {
	return s.edit(ctx, playlist, func(_ *sql.Tx, ids []int64) ([]int64, error) {
		n := slices.Index(ids, item)
		if n < 0 {
			return nil, signage.ErrNotFound
		}
		ids = slices.Delete(ids, n, n+1)
		return slices.Insert(ids, min(max(position-1, 0), len(ids)), item), nil
	})
}

// OrderItems gives the items of the draft the order of ids, which must be all of them; else somebody else edited the
// playlist meanwhile: signage.ErrNotFound.
func (s *Store) OrderItems(ctx context.Context, playlist int64, ids []int64) error {
	return s.edit(ctx, playlist, func(_ *sql.Tx, have []int64) ([]int64, error) {
		a, b := slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(ids))
		if !slices.Equal(a, b) {
			return nil, signage.ErrNotFound
		}
		return ids, nil
	})
}
