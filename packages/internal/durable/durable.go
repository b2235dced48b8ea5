// Package durable writes files that are whole after a power cut at any moment.
package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// Suffix ends the name of a file that is being written. One that the power cut has left is overwritten by the next.
const Suffix = ".new"

// WriteFile replaces the file at path, at once or not at all: content and name are on the disk when it returns nil. A path
// has one writer at a time, its folder must be there, mode is before umask. On an error (errors.Is finds the system's, as
// ENOSPC) the old file is still there.
func WriteFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path+Suffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir puts the names in a folder on the disk: what was made, renamed or removed there.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
