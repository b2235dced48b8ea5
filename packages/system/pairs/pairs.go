// Package pairs keeps certificates with their private keys, a folder for each, so that those who may read them find the
// old pair or the new one, never half of either, whenever the power goes.
package pairs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/durable"
)

// The names of the pairs, which are those of their folders.
const (
	// Device and DeviceRSA are the device's own authority's.
	Device    = "device"
	DeviceRSA = "device-rsa"
	// ACME and ACMERSA come from an ACME server, Own and OwnRSA from the owner.
	ACME    = "acme"
	ACMERSA = "acme-rsa"
	Own     = "own"
	OwnRSA  = "own-rsa"
)

// Names are all names, in the order in which they are listed.
func Names() []string { return []string{Device, DeviceRSA, ACME, ACMERSA, Own, OwnRSA} }

// Public reports whether the pair of this name is for the public; the others are the device's own, which nobody but it
// may replace.
func Public(name string) bool { return name != Device && name != DeviceRSA }

const (
	keyFile, chainFile = "privkey.pem", "fullchain.pem"
	// fresh ends the name of a folder that is being written, or of the former pair that is being removed; it begins with a dot.
	fresh = ".new"

	dirMode   fs.FileMode = 0o750
	keyMode   fs.FileMode = 0o640
	chainMode fs.FileMode = 0o644

	// maxFile bounds a file of a pair, in bytes.
	maxFile = 256 << 10
)

// KeepGroup as Config.GID leaves files to whoever writes them (hostrun).
const KeepGroup = -1

// Config says where things lie.
type Config struct {
	Log *slog.Logger
	// Dir holds a folder for each pair.
	Dir string
	// GID is the group that may read private keys; KeepGroup leaves owners alone.
	GID int
	// Journal takes down what happens to pairs.
	Journal *Journal
}

// Store is the folder of all pairs. It has one writer: this.
type Store struct {
	cfg Config

	mu sync.Mutex
	// Guarded by mu: what is in service, and in words what is not although it is there, by name.
	list    []Info
	damaged map[string]string
}

// New returns a store; Prepare makes it fit for use.
func New(cfg Config) *Store { return &Store{cfg: cfg} }

// Prepare makes the folder, removes what a power cut has left half done, and sets owners and modes as they should be,
// which the log and, for a private key, the journal tell. It may be called again.
func (s *Store) Prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := s.repair(); err != nil {
		return err
	}
	s.look()
	return nil
}

// makeDir makes the folder of all pairs if it is not there.
func (s *Store) makeDir() error {
	err := os.Mkdir(s.cfg.Dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(s.cfg.Dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the certificates' folder: %w", err)
	}
	dir, err := os.Open(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("open the certificates' folder: %w", err)
	}
	defer dir.Close()
	if err := s.own(dir, dirMode); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(s.cfg.Dir))
}

// Journal is where it is taken down what happens to pairs.
func (s *Store) Journal() *Journal { return s.cfg.Journal }

// Publish puts the pair in the place of the one with this name, or where there is none. The former is gone when it
// returns nil, and the new one is on the disk. On an error one of the two is there.
func (s *Store) Publish(name string, chain, key []byte) error {
	if !slices.Contains(Names(), name) {
		return fmt.Errorf("publish certificate: there is no name %q for one", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.look()
	next, now := s.Path("."+name+fresh), s.Path(name)
	if err := s.write(next, chain, key); err != nil {
		os.RemoveAll(next)
		return fmt.Errorf("publish certificate %s: %w", name, err)
	}
	err := unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, now, unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(next, now)
	}
	if err != nil {
		os.RemoveAll(next)
		return fmt.Errorf("put certificate %s in place: %w", name, err)
	}
	// The former goes only when the new one's name is on the disk.
	if err := durable.SyncDir(s.cfg.Dir); err != nil {
		return fmt.Errorf("publish certificate %s: %w", name, err)
	}
	if err := os.RemoveAll(next); err != nil {
		s.cfg.Log.Warn("a certificate that was replaced stays until the next start", "folder", next, "err", err)
	}
	return nil
}

// Remove takes the pair with this name away. If there is none, errors.Is finds fs.ErrNotExist.
func (s *Store) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.look()
	// As a whole, as it came: nobody finds a chain without its key.
	gone := s.Path("." + name + fresh)
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove certificate %s: %w", name, err)
	}
	if err := os.Rename(s.Path(name), gone); err != nil {
		return fmt.Errorf("remove certificate %s: %w", name, err)
	}
	if err := durable.SyncDir(s.cfg.Dir); err != nil {
		return fmt.Errorf("remove certificate %s: %w", name, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove certificate %s: %w", name, err)
	}
	return nil
}

// Load returns the files of the pair with this name, nil for one that is not there.
func (s *Store) Load(name string) (chain, key []byte, err error) {
	dir, err := os.OpenRoot(s.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open certificate %s: %w", name, err)
	}
	defer dir.Close()
	if chain, err = read(dir, chainFile); err == nil {
		key, err = read(dir, keyFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate %s: %w", name, err)
	}
	return chain, key, nil
}

// read returns a file's content, nil if it is not there.
func read(dir *os.Root, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Path is where something in the folder of all pairs lies: the folder of a pair, by its name, or what is in it.
func (s *Store) Path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// write makes the folder with both files, all of it on the disk when it returns nil.
func (s *Store) write(dir string, chain, key []byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what was left of the last time: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
		mode    fs.FileMode
	}{{keyFile, key, keyMode}, {chainFile, chain, chainMode}} {
		if err := s.writeFile(filepath.Join(dir, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := s.own(d, dirMode); err != nil {
		return err
	}
	return d.Sync()
}

func (s *Store) writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := s.own(f, mode); err != nil {
		return err
	}
	return f.Sync()
}

// own sets owner and mode. The owner comes first: nobody may read a key in between.
func (s *Store) own(f *os.File, mode fs.FileMode) error {
	if s.cfg.GID != KeepGroup {
		if err := f.Chown(0, s.cfg.GID); err != nil {
			return fmt.Errorf("set the owner of a certificate's file: %w", err)
		}
	}
	if err := f.Chmod(mode); err != nil {
		return fmt.Errorf("set the mode of a certificate's file: %w", err)
	}
	return nil
}
