package db

import (
	"context"
	"database/sql"
	"fmt"

	"porthole/packages/console/signage"
)

// MaxFeedback is how many reports of a player are kept.
const MaxFeedback = 500

// AddFeedback keeps reports in one transaction, of each player the last 500. A report with a message id that the player
// used before is the same report; who was deleted meanwhile is left out.
func (s *Store) AddFeedback(ctx context.Context, reports []signage.Feedback) error {
	if len(reports) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		players := map[int64]bool{}
		for _, f := range reports {
			_, err := tx.ExecContext(ctx, `INSERT INTO player_feedback (player, message_id, at, received, status, message, item)
				SELECT id, ?, ?, ?, ?, ?, ? FROM players WHERE id = ? ON CONFLICT DO NOTHING`,
				f.MessageID, seconds(f.At), f.Received.Unix(), f.Status, f.Message, f.Item, f.Player)
			if err != nil {
				return fmt.Errorf("keep report of player %d: %w", f.Player, err)
			}
			players[f.Player] = true
		}
		for id := range players {
			_, err := tx.ExecContext(ctx, `DELETE FROM player_feedback WHERE player = ? AND id <=
				(SELECT id FROM player_feedback WHERE player = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, id, id, MaxFeedback)
			if err != nil {
				return fmt.Errorf("bound reports of player %d: %w", id, err)
			}
		}
		return nil
	})
}

// Feedbacks returns the last reports of a player, the newest first; of all players for player 0.
func (s *Store) Feedbacks(ctx context.Context, player int64, limit int) ([]signage.Feedback, error) {
	// A condition for both cases would keep SQLite from using the index.
	of, args := "", []any{}
	if player != 0 {
		of, args = "WHERE player = ? ", []any{player}
	}
	all, err := list(ctx, s.db.Reader(), func(row scanner) (signage.Feedback, error) {
		var f signage.Feedback
		var when, received int64
		err := row.Scan(&f.ID, &f.Player, &f.MessageID, &when, &received, &f.Status, &f.Message, &f.Item)
		f.At, f.Received = at(when), at(received)
		return f, err
	}, "SELECT id, player, message_id, at, received, status, message, item FROM player_feedback "+of+"ORDER BY id DESC LIMIT ?",
		append(args, max(limit, 0))...)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return all, nil
}
