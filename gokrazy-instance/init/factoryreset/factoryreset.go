// Package factoryreset makes a device what it was when it was new: it empties the storage (/perm) before any process runs,
// when system has left word there (Marker) or a file named factory-reset.txt lies on the boot partition. A power cut at any
// moment leaves either everything as it was, or a reset that the next start completes.
package factoryreset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Marker is the file in the storage that says that a reset is due, and who wants it. It is the last thing that a reset removes.
const Marker = ".factory-reset"

const (
	// found is where e2fsck puts what it has found. It stays, empty: making it anew is e2fsck's business.
	found = "lost+found"
	// maxMarker bounds what is read of Marker, in bytes.
	maxMarker = 256
)

// fileNames are how the file on the boot partition may be called, in any case. Windows hides endings, so that who types one
// gets two.
var fileNames = []string{"factory-reset", "factory-reset.txt", "factory-reset.txt.txt"}

// Reset is where a device keeps what it knows.
type Reset struct {
	// PermDir is emptied; BootDir may hold the file that asks for it.
	PermDir, BootDir string
	// Unlock makes BootDir writable until the returned function is called; nil if it always is.
	Unlock func() (lock func() error, err error)
}

// Run empties PermDir if that was ordered or BootDir has the file. by is who wanted it; empty: nothing was reset. problem is for
// a person to read: what went wrong and what to do. The file is removed before anything is lost: where that is not
// possible, as on a card that is locked, nothing is reset, because each start would do it again.
func (r Reset) Run() (by, problem string) {
	by, err := ordered(r.PermDir)
	if err != nil {
		return "", fmt.Sprintf("It is not known whether a factory reset was asked for: %v.", err)
	}
	file := r.file()
	if by == "" && file == "" {
		return "", ""
	}
	if file != "" {
		if by == "" {
			by = "the file " + file + " on the card"
			if err := order(r.PermDir, by); err != nil {
				return "", fmt.Sprintf("The factory reset that %s asks for was not begun: %v.", file, err)
			}
		}
		if err := r.removeFile(file); err != nil {
			return "", fmt.Sprintf("Nothing was reset: %s cannot be removed from the card (%v), so that each start would reset the device again. "+
				"If the card has a lock switch, open it; else delete the file on a computer.", file, errors.Join(err, done(r.PermDir)))
		}
	}
	if err := empty(r.PermDir); err != nil {
		return "", fmt.Sprintf("The factory reset is not complete: %v. The next start tries it again; if this stays, write the image to the card anew.", err)
	}
	return by, ""
}

// order leaves word that a reset is due, durably.
func order(permDir, by string) error {
	f, err := os.OpenFile(filepath.Join(permDir, Marker), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(by + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(permDir)
}

// done removes that word, durably.
func done(permDir string) error {
	if err := os.Remove(filepath.Join(permDir, Marker)); err != nil {
		return err
	}
	return syncDir(permDir)
}

// ordered returns who has ordered a reset; empty: nobody.
func ordered(permDir string) (string, error) {
	f, err := os.Open(filepath.Join(permDir, Marker))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMarker))
	if err != nil {
		return "", err
	}
	if by := strings.TrimSpace(string(b)); by != "" {
		return by, nil
	}
	return "somebody", nil
}

// file returns the name of the file that asks for a reset, as it is on the boot partition; empty: there is none.
func (r Reset) file() string {
	// What cannot be read is not there.
	entries, _ := os.ReadDir(r.BootDir)
	for _, e := range entries {
		if e.Type().IsRegular() && slices.Contains(fileNames, strings.ToLower(e.Name())) {
			return e.Name()
		}
	}
	return ""
}

// removeFile removes every such file durably: a computer that knows upper and lower case may have made several.
func (r Reset) removeFile(name string) error {
	if r.Unlock != nil {
		lock, err := r.Unlock()
		if err != nil {
			return err
		}
		// Locking writes out what is left; the sync below has said already whether it could.
		defer lock() //nolint:errcheck // see above
	}
	for ; name != ""; name = r.file() {
		if err := os.Remove(filepath.Join(r.BootDir, name)); err != nil {
			return err
		}
	}
	return syncDir(r.BootDir)
}

// empty removes what is in the storage, durably, the marker last. What stands in its way is told, after all the rest is gone.
func empty(permDir string) error {
	entries, err := os.ReadDir(permDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		switch path := filepath.Join(permDir, e.Name()); e.Name() {
		case Marker:
		case found:
			inside, err := os.ReadDir(path)
			errs = append(errs, err)
			for _, in := range inside {
				errs = append(errs, os.RemoveAll(filepath.Join(path, in.Name())))
			}
		default:
			errs = append(errs, os.RemoveAll(path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Everything below is gone for good before the marker is.
	if err := syncFS(permDir); err != nil {
		return err
	}
	return done(permDir)
}

// syncFS writes out the file system that dir is on (syncfs(2)), syncDir the names in dir.
func syncFS(dir string) error {
	return with(dir, func(d *os.File) error { return unix.Syncfs(int(d.Fd())) })
}

func syncDir(dir string) error { return with(dir, (*os.File).Sync) }

func with(dir string, do func(*os.File) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := do(d); err != nil {
		return fmt.Errorf("write out %s: %w", dir, err)
	}
	return nil
}
