// Package durable writes files that are whole after a power cut at any moment.
package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// prefix begins the names of files that are being written.
const prefix = ".new-"

// WriteFile replaces the file at path, at once or not at all: content and name are on the disk when it returns nil. The folder
// must be there, mode is before umask. On an error (errors.Is finds the system's, as ENOSPC) the old file is still there.
func WriteFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), prefix+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
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

// Sweep removes what WriteFile was writing in the folder when the power went. Call it while nobody writes there.
func Sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing is there that could be left over
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
