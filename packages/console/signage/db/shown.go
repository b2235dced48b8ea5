package db

import (
	"context"
	"database/sql"
	"fmt"
)

// Shown is what a player that knows only "the playlist now" was told last: its version grows whenever the content is another.
type Shown struct {
	Version int64
	Hash    string
}

// Shown returns what SaveShown kept, by player.
func (s *Store) Shown(ctx context.Context) (map[int64]Shown, error) {
	type row struct {
		id int64
		Shown
	}
	rows, err := list(ctx, s.db.Reader(), func(from scanner) (r row, err error) {
		return r, from.Scan(&r.id, &r.Version, &r.Hash)
	}, "SELECT player, version, hash FROM player_shown")
	if err != nil {
		return nil, fmt.Errorf("read what players were told: %w", err)
	}
	all := make(map[int64]Shown, len(rows))
	for _, r := range rows {
		all[r.id] = r.Shown
	}
	return all, nil
}

// SaveShown keeps what players were told, in one transaction; who was deleted meanwhile is left out.
func (s *Store) SaveShown(ctx context.Context, shown map[int64]Shown) error {
	if len(shown) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		for id, v := range shown {
			_, err := tx.ExecContext(ctx, `INSERT INTO player_shown (player, version, hash) SELECT id, ?, ? FROM players WHERE id = ?
				ON CONFLICT (player) DO UPDATE SET version = excluded.version, hash = excluded.hash`, v.Version, v.Hash, id)
			if err != nil {
				return fmt.Errorf("keep what player %d was told: %w", id, err)
			}
		}
		return nil
	})
}
