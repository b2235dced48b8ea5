//go:build linux

package main

import (
	"fmt"
	"os"
	"sync"
)

// maxLog bounds a log file, in bytes; one former file of the same size is kept beside it.
const maxLog = 1 << 20

// logFile is a process's log on disk.
type logFile struct {
	path string
	max  int64

	mu     sync.Mutex
	f      *os.File // guarded by mu, as is what follows; nil when it cannot be written
	size   int64
	failed bool
}

func openLog(path string, limit int64) (*logFile, error) {
	l := &logFile{path: path, max: limit}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	l.f, l.size = f, st.Size()
	return nil
}

// line adds a line. It returns the first error, once: a full disk must not end what is being logged.
func (l *logFile) line(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.write(text + "\n")
	if err == nil || l.failed {
		return nil
	}
	l.failed = true
	return fmt.Errorf("write log: %w", err)
}

// write is called with mu held.
func (l *logFile) write(text string) error {
	if l.f != nil && l.size > 0 && l.size+int64(len(text)) > l.max {
		l.f.Close()
		l.f = nil
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
	}
	if l.f == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	n, err := l.f.WriteString(text)
	l.size += int64(n)
	return err
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		l.f.Close()
	}
}
