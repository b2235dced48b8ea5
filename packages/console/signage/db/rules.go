package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"porthole/packages/console/signage"
)

const selectRules = `SELECT r.id, r.name, r.playlist, coalesce(r.player_group, 0), coalesce(r.player, 0), r.from_date, r.to_date,
	r.from_minute, r.to_minute, r.weekdays, r.priority, r.enabled FROM schedule_rules r `

func scanRule(row scanner) (r signage.Rule, err error) {
	return r, row.Scan(&r.ID, &r.Name, &r.Playlist, &r.Target.Group, &r.Target.Player, &r.FromDate, &r.ToDate,
		&r.FromMinute, &r.ToMinute, &r.Weekdays, &r.Priority, &r.Enabled)
}

// Rules returns all rules, the highest priority first.
func (s *Store) Rules(ctx context.Context) ([]signage.Rule, error) { return rules(ctx, s.db.Reader()) }

func rules(ctx context.Context, q querier) ([]signage.Rule, error) {
	all, err := list(ctx, q, scanRule, selectRules+"ORDER BY r.priority DESC, r.from_minute, r.id")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return all, nil
}

// Rule returns a rule.
func (s *Store) Rule(ctx context.Context, id int64) (signage.Rule, error) {
	r, err := scanRule(s.db.Reader().QueryRowContext(ctx, selectRules+"WHERE r.id = ?", id))
	return r, found("read rule", err)
}

// CreateRule makes a rule. What is wrong with it is a *settings.FieldError of "name", "playlist", "target", "from_date",
// "to_date", "from_minute", "to_minute", "weekdays" or "priority".
func (s *Store) CreateRule(ctx context.Context, r signage.Rule) (signage.Rule, error) {
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		r, err = createRule(ctx, tx, r)
		return err
	})
	return r, err
}

func createRule(ctx context.Context, tx *sql.Tx, r signage.Rule) (signage.Rule, error) {
	if err := checkRule(ctx, tx, &r); err != nil {
		return r, err
	}
	if err := bound(ctx, tx, "schedule_rules", "rules", MaxRules); err != nil {
		return r, err
	}
	err := tx.QueryRowContext(ctx, `INSERT INTO schedule_rules (name, playlist, player_group, player, from_date, to_date, from_minute,
		to_minute, weekdays, priority, enabled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, r.Name, r.Playlist,
		null(r.Target.Group), null(r.Target.Player), r.FromDate, r.ToDate, r.FromMinute, r.ToMinute, r.Weekdays, r.Priority,
		r.Enabled).Scan(&r.ID)
	if err != nil {
		return r, fmt.Errorf("make rule: %w", err)
	}
	return r, nil
}

func checkRule(ctx context.Context, tx *sql.Tx, r *signage.Rule) (err error) {
	if r.Name, err = cleanText("name", r.Name, maxName); err != nil {
		return err
	}
	if r.Playlist == 0 {
		return wrong("playlist", "choose what is to play")
	}
	for _, d := range []struct{ field, date string }{{"from_date", r.FromDate}, {"to_date", r.ToDate}} {
		if _, err := time.Parse(time.DateOnly, d.date); d.date != "" && (err != nil || d.date < "2000") {
			return wrong(d.field, "must be a day like 2027-12-24, not before the year 2000")
		}
	}
	switch {
	case r.FromDate != "" && r.ToDate != "" && r.ToDate < r.FromDate:
		return wrong("to_date", "must not be before the first day")
	case r.FromMinute < 0 || r.FromMinute > 1439:
		return wrong("from_minute", "must be a time from 00:00 to 23:59")
	case r.ToMinute < 1 || r.ToMinute > 1440:
		return wrong("to_minute", "must be a time from 00:01 to 24:00")
	case r.Weekdays == 0 || r.Weekdays > 127:
		return wrong("weekdays", "choose at least one day of the week")
	case r.Priority < 1 || r.Priority > 9:
		return wrong("priority", "must be 1 to 9")
	}
	if err := must(ctx, tx, "playlists", "playlist", r.Playlist); err != nil {
		return err
	}
	return checkTarget(ctx, tx, r.Target)
}

func checkTarget(ctx context.Context, tx *sql.Tx, t signage.Target) error {
	if t.Group != 0 && t.Player != 0 {
		return wrong("target", "choose all screens, one group or one screen")
	}
	if err := must(ctx, tx, "player_groups", "target", t.Group); err != nil {
		return err
	}
	return must(ctx, tx, "players", "target", t.Player)
}

// UpdateRule changes a rule.
func (s *Store) UpdateRule(ctx context.Context, r signage.Rule) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := checkRule(ctx, tx, &r); err != nil {
			return err
		}
		return touched(tx.ExecContext(ctx, `UPDATE schedule_rules SET name = ?, playlist = ?, player_group = ?, player = ?, from_date = ?,
			to_date = ?, from_minute = ?, to_minute = ?, weekdays = ?, priority = ?, enabled = ? WHERE id = ?`, r.Name, r.Playlist,
			null(r.Target.Group), null(r.Target.Player), r.FromDate, r.ToDate, r.FromMinute, r.ToMinute, r.Weekdays, r.Priority,
			r.Enabled, r.ID))("change rule")
	})
}

// DeleteRule deletes a rule.
func (s *Store) DeleteRule(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		return touched(tx.ExecContext(ctx, "DELETE FROM schedule_rules WHERE id = ?", id))("delete rule")
	})
}

const selectInterrupts = `SELECT i.id, coalesce(i.playlist, 0), i.text, coalesce(i.player_group, 0), coalesce(i.player, 0), i.begins, i.ends,
	i.created_by FROM interrupts i `

func scanInterrupt(row scanner) (signage.Interrupt, error) {
	var i signage.Interrupt
	var begins, ends int64
	err := row.Scan(&i.ID, &i.Playlist, &i.Text, &i.Target.Group, &i.Target.Player, &begins, &ends, &i.By)
	// Not at: an interruption always has both.
	i.Begins, i.Ends = time.Unix(begins, 0).UTC(), time.Unix(ends, 0).UTC()
	return i, err
}

// Interrupts returns the interruptions that are not over, those to come included, the one that goes first first.
func (s *Store) Interrupts(ctx context.Context, now time.Time) ([]signage.Interrupt, error) {
	return interrupts(ctx, s.db.Reader(), now)
}

func interrupts(ctx context.Context, q querier, now time.Time) ([]signage.Interrupt, error) {
	all, err := list(ctx, q, scanInterrupt, selectInterrupts+"WHERE i.ends > ? AND i.ends > i.begins ORDER BY i.id DESC", now.Unix())
	if err != nil {
		return nil, fmt.Errorf("read interruptions: %w", err)
	}
	return all, nil
}

const (
	maxInterrupt = 31 * 24 * time.Hour
	// keepInterrupts is how long an interruption that is over is kept.
	keepInterrupts = 7 * 24 * time.Hour
)

// CreateInterrupt makes an interruption by a playlist or a text, of at most 31 days.
func (s *Store) CreateInterrupt(ctx context.Context, i signage.Interrupt) (signage.Interrupt, error) {
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		if i.Text, err = cleanText("text", i.Text, maxText); err != nil {
			return err
		}
		switch {
		case (i.Playlist == 0) == (i.Text == ""):
			return wrong("playlist", "choose a playlist, or write a text")
		case !i.Ends.After(i.Begins) || i.Ends.Unix() == i.Begins.Unix():
			return wrong("ends", "must be after the beginning")
		case i.Ends.Sub(i.Begins) > maxInterrupt:
			return wrong("ends", "must be within 31 days; use the schedule for more")
		}
		if err := must(ctx, tx, "playlists", "playlist", i.Playlist); err != nil {
			return err
		}
		if err := checkTarget(ctx, tx, i.Target); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM interrupts WHERE ends < ?", i.Begins.Add(-keepInterrupts).Unix())
		if err != nil {
			return fmt.Errorf("forget old interruptions: %w", err)
		}
		if err := bound(ctx, tx, "interrupts", "interruptions", maxInterrupts); err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO interrupts (playlist, text, player_group, player, begins, ends, created_by)
			VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`, null(i.Playlist), i.Text, null(i.Target.Group), null(i.Target.Player),
			i.Begins.Unix(), i.Ends.Unix(), i.By).Scan(&i.ID)
		if err != nil {
			return fmt.Errorf("make interruption: %w", err)
		}
		i.Begins, i.Ends = time.Unix(i.Begins.Unix(), 0).UTC(), time.Unix(i.Ends.Unix(), 0).UTC()
		return nil
	})
	return i, err
}

// EndInterrupt ends an interruption now, or before it begins. signage.ErrNotFound: it is over.
func (s *Store) EndInterrupt(ctx context.Context, id int64, now time.Time) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		return touched(tx.ExecContext(ctx, "UPDATE interrupts SET ends = ? WHERE id = ? AND ends > ?", now.Unix(), id, now.Unix()))("end interruption")
	})
}
