package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// errNewer means that a later Porthole wrote the database.
var errNewer = errors.New("the database was written by a newer Porthole; update this one, or restore an older copy of the database")

// migrate brings the database at path to the newest schema, after a copy was made of it: each step is one transaction and is counted
// in user_version. One that is newer is left as it is; that is errNewer unless it says that this program can work with it.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	entries, err := migrations()
	if err != nil {
		return err
	}
	if have > len(entries) {
		if oldest, ok := compatible(ctx, db); ok && oldest <= len(entries) {
			return nil
		}
		return fmt.Errorf("schema version %d, this program knows %d: %w", have, len(entries), errNewer)
	}
	if have > 0 && have < len(entries) {
		if err := keepFormer(ctx, db, path, have); err != nil {
			return err
		}
	}
	for i, e := range entries {
		number, err := strconv.Atoi(strings.SplitN(e.Name(), "_", 2)[0])
		if err != nil || number != i+1 {
			return fmt.Errorf("migration %s is not number %d", e.Name(), i+1)
		}
		if number <= have {
			continue
		}
		script, err := migrationFiles.ReadFile("migrations/" + e.Name())
		if err != nil {
			return fmt.Errorf("read migration %s: %w", e.Name(), err)
		}
		if err := migrateStep(ctx, db, number, string(script)); err != nil {
			return fmt.Errorf("apply migration %s: %w", e.Name(), err)
		}
	}
	return nil
}

// migrations lists them. ReadDir sorts by name, and the names begin with the number.
func migrations() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	return entries, nil
}

func migrateStep(ctx context.Context, db *sql.DB, number int, script string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer undo(tx)
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return err
	}
	// A pragma takes no parameters; number is ours.
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(number)); err != nil {
		return err
	}
	return tx.Commit()
}
