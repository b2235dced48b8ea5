package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/durable"
)

// An update that does not work is taken back, and then an older program finds the database that a newer one has migrated. It works
// with that as it is if the newer one says that it can (table schema); otherwise it goes back to the copy that was made before the
// migration, and puts the newer database aside.

// formerMark stands between a database's name and the number of the schema that a copy of it has.
const formerMark = ".schema-"

// newerSuffix is what a database is put aside as, copySuffix what a copy is called while it is made.
const (
	newerSuffix = ".newer"
	copySuffix  = ".copy"
)

// compatible returns the oldest schema whose programs can work with the database; ok is false if it does not say.
func compatible(ctx context.Context, db *sql.DB) (oldest int, ok bool) {
	err := db.QueryRowContext(ctx, "SELECT compatible FROM schema").Scan(&oldest)
	return oldest, err == nil
}

// keepFormer makes a copy of the database as it is before its migration, in place of earlier copies.
func keepFormer(ctx context.Context, db *sql.DB, path string, schema int) error {
	tmp, former := path+copySuffix, path+formerMark+strconv.Itoa(schema)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copy the database before its migration: %w", err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", tmp); err != nil {
		return fmt.Errorf("copy the database before its migration: %w", err)
	}
	if err := syncFile(tmp); err != nil {
		return fmt.Errorf("copy the database before its migration: %w", err)
	}
	if err := os.Rename(tmp, former); err != nil {
		return fmt.Errorf("copy the database before its migration: %w", err)
	}
	copies, err := formers(path)
	for _, n := range copies {
		if n != schema {
			err = errors.Join(err, os.Remove(path+formerMark+strconv.Itoa(n)))
		}
	}
	return errors.Join(err, durable.SyncDir(filepath.Dir(path)))
}

// syncFile closes a file to others and puts it on the disk.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Chmod(0o600), f.Sync())
}

// formers lists the schemas of which there are copies.
func formers(path string) (list []int, err error) {
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("look for copies of the database: %w", err)
	}
	for _, name := range names {
		text, ok := strings.CutPrefix(name.Name(), filepath.Base(path)+formerMark)
		if n, err := strconv.Atoi(text); ok && err == nil {
			list = append(list, n)
		}
	}
	return list, nil
}

// goBack puts the newest copy that this program understands in the place of the database, which is closed, and the database aside.
// It returns errNewer when there is none.
func goBack(path string, known int) error {
	copies, err := formers(path)
	if err != nil {
		return err
	}
	best := 0
	for _, n := range copies {
		if n <= known {
			best = max(best, n)
		}
	}
	if best == 0 {
		return errNewer
	}
	// What the newer one has not yet written into the database itself belongs to it, not to the copy.
	if _, err := os.Lstat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the newer database is not closed: %w", errors.Join(err, errNewer))
	}
	tmp := path + copySuffix
	if err := copyFile(path+formerMark+strconv.Itoa(best), tmp); err != nil {
		return fmt.Errorf("go back to a copy of the database: %w", err)
	}
	// At no moment is there no database: a device without one could be claimed by anybody.
	if err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("go back to a copy of the database: %w", err)
	}
	if err := os.Rename(tmp, path+newerSuffix); err != nil {
		return fmt.Errorf("put the newer database aside: %w", err)
	}
	return durable.SyncDir(filepath.Dir(path))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
