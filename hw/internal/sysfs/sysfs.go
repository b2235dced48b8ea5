// Package sysfs reads and writes the one-line files below /sys and /proc.
package sysfs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is a folder that stands for /; the empty one is /.
type Root string

// Path is where a file lies.
func (r Root) Path(parts ...string) string {
	if r == "" {
		r = "/"
	}
	return filepath.Join(append([]string{string(r)}, parts...)...)
}

// maxText bounds what is read: a page, which is the most that a sysfs attribute has (Documentation/filesystems/sysfs.rst).
const maxText = 4096

// Bytes returns a file's content, at most a page of it.
func (r Root) Bytes(parts ...string) ([]byte, error) {
	f, err := os.Open(r.Path(parts...))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return b, nil
}

// Text returns a file's content without white space and zero bytes around it.
func (r Root) Text(parts ...string) (string, error) {
	b, err := r.Bytes(parts...)
	return strings.Trim(string(b), " \t\r\n\x00"), err
}

// Int returns a file's content as a decimal number.
func (r Root) Int(parts ...string) (int64, error) {
	text, err := r.Text(parts...)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", r.Path(parts...), err)
	}
	return v, nil
}

// Write writes a file that is there, with one system call, as a sysfs attribute wants it.
func (r Root) Write(text string, parts ...string) error {
	f, err := os.OpenFile(r.Path(parts...), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Glob returns the paths that match a pattern below the root.
func (r Root) Glob(pattern string) []string {
	paths, err := filepath.Glob(r.Path(pattern))
	if err != nil {
		return nil // only for a malformed pattern
	}
	return paths
}
