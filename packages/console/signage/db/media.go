package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"porthole/packages/console/signage"
)

const mediaColumns = "m.id, m.sha256, m.size_bytes, m.name, m.kind, m.mime, m.width, m.height, m.duration_ms, m.probe, m.parent, m.version, m.created, m.created_by"

func scanMedia(row scanner) (signage.Media, error) {
	var m signage.Media
	err := scanMediaAnd(row, &m)
	return m, err
}

// scanMediaAnd scans the columns of a medium, and more that come before them.
func scanMediaAnd(row scanner, m *signage.Media, before ...any) error {
	var probe string
	var ms, created int64
	err := row.Scan(append(before, &m.ID, &m.SHA256, &m.SizeBytes, &m.Name, &m.Kind, &m.MIME, &m.Width, &m.Height, &ms, &probe,
		&m.Parent, &m.Version, &created, &m.By)...)
	if err != nil {
		return err
	}
	m.Duration, m.Created = time.Duration(ms)*time.Millisecond, at(created)
	return json.Unmarshal([]byte(probe), &m.Probe)
}

// AddMedia keeps a medium whose file is in place. The name is made unique: "a.jpg" becomes "a (2).jpg". A zero Created
// is now, a zero Version 1.
func (s *Store) AddMedia(ctx context.Context, m signage.Media) (signage.Media, error) {
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		m, err = addMedia(ctx, tx, m)
		return err
	})
	return m, err
}

func addMedia(ctx context.Context, tx *sql.Tx, m signage.Media) (signage.Media, error) {
	name, err := cleanFileName(m.Name)
	if err != nil {
		return m, err
	}
	if err := bound(ctx, tx, "media", "media", MaxMedia); err != nil {
		return m, err
	}
	if m.Name, err = freeName(ctx, tx, "media", name, maxFileName); err != nil {
		return m, fmt.Errorf("add medium %q: %w", name, err)
	}
	probe, err := json.Marshal(m.Probe)
	if err != nil {
		return m, fmt.Errorf("encode probe: %w", err)
	}
	if m.Created.IsZero() {
		m.Created = time.Now()
	}
	m.Version = max(m.Version, 1)
	err = tx.QueryRowContext(ctx, `INSERT INTO media (sha256, size_bytes, name, kind, mime, width, height, duration_ms, probe,
		parent, version, created, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		m.SHA256, m.SizeBytes, m.Name, m.Kind, m.MIME, m.Width, m.Height, m.Duration.Milliseconds(), string(probe),
		m.Parent, m.Version, m.Created.Unix(), m.By).Scan(&m.ID)
	if err != nil {
		return m, fmt.Errorf("add medium %q: %w", m.Name, err)
	}
	m.Created = at(m.Created.Unix())
	return m, nil
}

// freeName returns name, or the first of "name (2)", "name (3)" and so on that nothing in the table has.
func freeName(ctx context.Context, tx *sql.Tx, table, name string, most int) (string, error) {
	for n, free := 2, name; ; n++ {
		taken, err := exists(ctx, tx, "SELECT 1 FROM "+table+" WHERE name = ?", free)
		if err != nil || !taken {
			return free, err
		}
		free = numbered(name, n, most)
	}
}

// Media returns a medium.
func (s *Store) Media(ctx context.Context, id int64) (signage.Media, error) {
	m, err := scanMedia(s.db.Reader().QueryRowContext(ctx, "SELECT "+mediaColumns+" FROM media m WHERE m.id = ?", id))
	return m, found("read medium", err)
}

// AllMedia returns all media, the newest first.
func (s *Store) AllMedia(ctx context.Context) ([]signage.Media, error) {
	all, err := list(ctx, s.db.Reader(), scanMedia, "SELECT "+mediaColumns+" FROM media m ORDER BY m.created DESC, m.id DESC")
	if err != nil {
		return nil, fmt.Errorf("read media: %w", err)
	}
	return all, nil
}

// RenameMedia gives a medium another name.
func (s *Store) RenameMedia(ctx context.Context, id int64, name string) error {
	name, err := cleanFileName(name)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := free(ctx, tx, "media", "name", name, id); err != nil {
			return err
		}
		if _, err := count(ctx, tx, namesKey); err != nil {
			return err
		}
		return touched(tx.ExecContext(ctx, "UPDATE media SET name = ? WHERE id = ?", name, id))("rename medium")
	})
}

// DeleteMedia forgets a medium; its file goes with the library's next collection. What still stands in a playlist is
// refused with *InUseError.
func (s *Store) DeleteMedia(ctx context.Context, id int64) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		names, err := list(ctx, tx, scanString, `SELECT DISTINCT p.name FROM playlist_items i JOIN playlists p ON p.id = i.playlist
			WHERE i.media = ? ORDER BY p.name`, id)
		if err != nil {
			return fmt.Errorf("look for the medium in playlists: %w", err)
		}
		if len(names) > 0 {
			return &InUseError{names}
		}
		return touched(tx.ExecContext(ctx, "DELETE FROM media WHERE id = ?", id))("delete medium")
	})
}

// HashesInUse returns the SHA-256 of every file that a medium needs, in hex.
func (s *Store) HashesInUse(ctx context.Context) (map[string]bool, error) {
	all, err := list(ctx, s.db.Reader(), scanString, "SELECT DISTINCT sha256 FROM media")
	if err != nil {
		return nil, fmt.Errorf("read hashes of media: %w", err)
	}
	set := make(map[string]bool, len(all))
	for _, h := range all {
		set[h] = true
	}
	return set, nil
}

// found is the error of reading one thing.
func found(what string, err error) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return signage.ErrNotFound
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// touched is the error of changing one thing, given what is done.
func touched(res sql.Result, err error) func(what string) error {
	return func(what string) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n == 0 {
			return signage.ErrNotFound
		}
		return nil
	}
}

// free reports signage.ErrTaken when something other than id has that value.
func free(ctx context.Context, tx *sql.Tx, table, column, value string, id int64) error {
	taken, err := exists(ctx, tx, "SELECT 1 FROM "+table+" WHERE "+column+" = ? AND id <> ?", value, id)
	switch {
	case err != nil:
		return fmt.Errorf("look for the name %q: %w", value, err)
	case taken:
		return signage.ErrTaken
	}
	return nil
}

// must reports a *settings.FieldError when the table has no such id; 0 is none, which is right.
func must(ctx context.Context, tx *sql.Tx, table, field string, id int64) error {
	if id == 0 {
		return nil
	}
	ok, err := exists(ctx, tx, "SELECT 1 FROM "+table+" WHERE id = ?", id)
	switch {
	case err != nil:
		return fmt.Errorf("look for %s %d: %w", field, id, err)
	case !ok:
		return wrong(field, "does not exist any more; choose another one")
	}
	return nil
}
