// Package db keeps what the signage server knows: all its SQL is here, so that another database can stand behind it.
// Errors that a person can mend are signage.ErrNotFound, signage.ErrTaken, *InUseError and *settings.FieldError.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
)

// DB is the database that a Store keeps its tables in.
type DB interface {
	// Write runs f in a transaction of the only writer; it is durable when Write returns nil.
	Write(ctx context.Context, f func(*sql.Tx) error) error
	// Reader is for queries.
	Reader() *sql.DB
}

// Store keeps media, playlists, players, groups, rules and interruptions. It may be used by many goroutines.
type Store struct {
	db DB

	mu       sync.Mutex
	revision int64         // 0 until it was read; guarded by mu
	changed  chan struct{} // closed and replaced when revision grows; guarded by mu

	cache cache
	codes authCodes
}

// New returns the Store whose tables are in d.
func New(d DB) *Store { return &Store{db: d, changed: make(chan struct{})} }

// InUseError says where a medium still stands.
type InUseError struct{ Playlists []string }

func (e *InUseError) Error() string {
	return "it is in use: take it out of " + strings.Join(e.Playlists, ", ") + " first"
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

type scanner interface{ Scan(to ...any) error }

// list returns all rows of a query.
func list[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func scanString(row scanner) (s string, err error) { return s, row.Scan(&s) }
func scanInt(row scanner) (n int64, err error)     { return n, row.Scan(&n) }

// exists reports whether the query has a row.
func exists(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, query, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

const (
	revisionKey = "signage_revision"
	// namesKey counts renamings of media: they reach players without a publication.
	namesKey = "signage_names"
)

// count adds one to a number among the settings and returns it.
func count(ctx context.Context, tx *sql.Tx, key string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO settings (key, value) VALUES (?, '1') ON CONFLICT (key) DO
		UPDATE SET value = CAST(CAST(settings.value AS INTEGER) + 1 AS TEXT) RETURNING CAST(value AS INTEGER)`, key).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", key, err)
	}
	return n, nil
}

// change is a write that concerns players: the revision grows with it and who waits for that is woken.
func (s *Store) change(ctx context.Context, f func(*sql.Tx) error) error {
	var revision int64
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if err := f(tx); err != nil {
			return err
		}
		revision, err = count(ctx, tx, revisionKey)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = max(s.revision, revision)
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// Revision grows with everything that concerns players, over restarts too. It is 0 while nothing was ever kept, or when
// the database cannot be read.
func (s *Store) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revision == 0 {
		n, err := readRevision(context.Background(), s.db.Reader())
		if err != nil {
			return 0
		}
		s.revision = n
	}
	return s.revision
}

func readRevision(ctx context.Context, q querier) (int64, error) {
	v, err := readSetting(ctx, q, revisionKey)
	if err != nil || v == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read signage revision: %w", err)
	}
	return n, nil
}

// WaitOther waits until the revision is not after; false when ctx ended first.
func (s *Store) WaitOther(ctx context.Context, after int64) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if s.Revision() != after {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// at is the time of a column, the zero time for 0.
func at(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// seconds is a time for a column, 0 for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// null is an id for a column that may be NULL.
func null(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

func wrong(field, reason string) error { return &settings.FieldError{Field: field, Reason: reason} }

// What there may be at most of each kind: what every player is told stays within what program.Validate takes, and a
// program that runs wild does not fill the card.
const (
	MaxPlaylists = 500
	MaxGroups    = 500
	MaxPlayers   = 5000
	MaxRules     = 1000
	MaxMedia     = 50000
	// MaxItems is how many items a playlist may have, MaxAllItems how many all drafts together.
	MaxItems    = 1000
	MaxAllItems = program.MaxItems

	maxInterrupts = 500
)

// bound reports a *settings.FieldError when the table is full.
func bound(ctx context.Context, tx *sql.Tx, table, what string, most int) error {
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		return fmt.Errorf("count %s: %w", what, err)
	}
	if n >= most {
		return wrong(what, fmt.Sprintf("there are %d already, the most there can be; delete what is not needed any more", n))
	}
	return nil
}

// boundItems is bound for n items more in the drafts of all playlists.
func boundItems(ctx context.Context, tx *sql.Tx, more int) error {
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM playlist_items WHERE stage = 'draft'").Scan(&n); err != nil {
		return fmt.Errorf("count items: %w", err)
	}
	if n+more > MaxAllItems {
		return wrong("items", fmt.Sprintf("all playlists together have %d, and %d are the most; take out what is not needed any more", n, MaxAllItems))
	}
	return nil
}
