package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"modernc.org/sqlite"
)

// errDamaged is what openStore says of a file that SQLite cannot read. It is never replaced by an empty one: that would
// throw away the household's cameras and open the device to whoever claims it next.
var errDamaged = errors.New("the database is damaged; it was left as it is. Restore a backup, " +
	"or move the file away to start anew (cameras, accounts and settings are then lost)")

// store is the database: one connection writes, a few read.
type store struct {
	w, r *sql.DB

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the revision grows; guarded by mu
}

// openStore opens or makes the database at path, checks it and brings it to the newest schema. Where a newer program has left one that
// this one cannot use, it goes back to the copy from before that. The caller closes it.
func openStore(ctx context.Context, path string) (*store, error) {
	s, err := openNewest(ctx, path)
	if !errors.Is(err, errNewer) {
		return s, err
	}
	entries, listErr := migrations()
	if listErr != nil {
		return nil, listErr
	}
	if backErr := goBack(path, len(entries)); errors.Is(backErr, errNewer) {
		return nil, err
	} else if backErr != nil {
		return nil, errors.Join(err, backErr)
	}
	if s, err = openNewest(ctx, path); err != nil {
		return nil, err
	}
	const what = "Settings are again what they were before an update that was taken back; what was changed since is put aside on the storage (porthole.db" + newerSuffix + ")"
	if err := s.write(ctx, func(tx *sql.Tx) error {
		return audited(ctx, tx, auditEntry{Who: "console", Area: auditDevice, What: what})
	}); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func openNewest(ctx context.Context, path string) (*store, error) {
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	w, err := sql.Open("sqlite", dsn(path, "_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", dsn(path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), w.Close())
	}
	r.SetMaxOpenConns(4)
	s := &store{w: w, r: r, changed: make(chan struct{})}
	err = s.check(ctx)
	if err == nil {
		err = migrate(ctx, w, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), s.close())
	}
	return s, nil
}

// prepareFile makes the folder and the file with the modes they must have; SQLite gives its other files the same.
func prepareFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for database: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close folder of database to others: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open database file: %w", err)
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return fmt.Errorf("close database file to others: %w", err)
	}
	return nil
}

func dsn(path, more string) string {
	// busy_timeout comes first: setting the journal mode may already have to wait.
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
}

func (s *store) check(ctx context.Context) error {
	var said string
	if err := s.w.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return fmt.Errorf("check database: %w", err)
	}
	if said != "ok" {
		return fmt.Errorf("check database: %s: %w", said, errDamaged)
	}
	return nil
}

// explain adds errDamaged to what SQLite says of damaged files (SQLITE_CORRUPT and SQLITE_NOTADB, sqlite.org/rescode.html).
func explain(err error) error {
	const corrupt, notADatabase = 11, 26
	var se *sqlite.Error
	if errors.As(err, &se) && (se.Code()&0xff == corrupt || se.Code()&0xff == notADatabase) {
		return fmt.Errorf("%w: %w", err, errDamaged)
	}
	return err
}

func (s *store) close() error { return errors.Join(s.r.Close(), s.w.Close()) }

// write runs f in a transaction that other processes need not hear of.
func (s *store) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer undo(tx)
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// Write is write for the packages that keep something of their own here; it is what db.DB asks for. The device's zone and
// how its screen hangs are among that, and player follows them.
func (s *store) Write(ctx context.Context, f func(*sql.Tx) error) error {
	news := false
	err := s.write(ctx, func(tx *sql.Tx) error {
		before, err := forPlayer(ctx, tx)
		if err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		after, err := forPlayer(ctx, tx)
		if err != nil || after == before {
			return err
		}
		news = true
		return countRevision(ctx, tx)
	})
	if err == nil && news {
		s.wake()
	}
	return err
}

// forPlayer is what player follows of that which others write.
func forPlayer(ctx context.Context, q querier) (facts [2]string, err error) {
	if facts[0], err = timezone(ctx, q); err != nil {
		return facts, err
	}
	facts[1], err = ownOrientation(ctx, q)
	return facts, err
}

// Reader is for reading only: it refuses to write.
func (s *store) Reader() *sql.DB { return s.r }

// change is write for what other processes follow: the revision grows and everybody who waits is woken.
func (s *store) change(ctx context.Context, f func(*sql.Tx) error) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return countRevision(ctx, tx)
	})
	if err == nil {
		s.wake()
	}
	return err
}

func countRevision(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE settings SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = 'revision'")
	if err != nil {
		return fmt.Errorf("count revision: %w", err)
	}
	return nil
}

// wake wakes everybody who waits for another revision.
func (s *store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// waitOther waits until the revision is not after and returns it; false when ctx ended first. A reset database may have
// fallen behind after, and that is news too.
func (s *store) waitOther(ctx context.Context, after int64) (bool, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		revision, err := s.revision(ctx, s.r)
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if revision != after {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-changed:
		}
	}
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (s *store) revision(ctx context.Context, q querier) (int64, error) {
	v, err := setting(ctx, q, "revision")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read revision: %w", err)
	}
	return n, nil
}

// setting returns the value kept under key, empty when there is none.
func setting(ctx context.Context, q querier, key string) (string, error) {
	var v string
	err := q.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&v)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read setting %s: %w", key, err)
	}
	return v, nil
}

func setSetting(ctx context.Context, tx *sql.Tx, key, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	if err != nil {
		return fmt.Errorf("keep setting %s: %w", key, err)
	}
	return nil
}

// undo ends a transaction that was not committed; after a commit there is nothing to undo.
func undo(tx *sql.Tx) { _ = tx.Rollback() }
