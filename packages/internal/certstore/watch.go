package certstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files may go on changing before they are read: modes follow contents.
	settle = 100 * time.Millisecond
	// reread is how often they are read without having been seen to change: watches can be lost.
	reread = time.Minute
)

// Watch follows what changes in the folder until ctx ends.
func (s *Store) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch certificates: %w", err)
	}
	defer w.Close()
	due := time.NewTimer(0)
	defer due.Stop()
	for waiting := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			s.log.Warn("watching certificates failed; they are read again", "err", err)
		case <-w.Events:
		case <-due.C:
			// Watched before they are read: what changes in between is seen.
			s.watch(w)
			if err := s.load(true); err != nil {
				s.log.Warn("cannot look for new certificates; the former stay in use", "err", err)
			}
			due.Reset(reread)
			waiting = false
			continue
		}
		// Not put off by what follows, which may never end.
		if !waiting {
			due.Reset(settle)
			waiting = true
		}
	}
}

// watch watches the folder and those in it. A folder that took another's place needs a watch of its own.
func (s *Store) watch(w *fsnotify.Watcher) {
	for _, path := range w.WatchList() {
		// It may be gone already.
		_ = w.Remove(path)
	}
	paths := []string{s.dir}
	if root, err := os.OpenRoot(s.dir); err == nil {
		names, _ := folders(root) // load says what is wrong
		for _, name := range names {
			paths = append(paths, filepath.Join(s.dir, name))
		}
		root.Close()
	}
	for _, path := range paths {
		if err := w.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("cannot watch certificates; they are read once a minute", "folder", path, "err", err)
		}
	}
}
