package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"porthole/packages/updatekit"
)

// Rotate makes the next key the current one and makes a new next one. The former current one stays as retired-ID.key and
// retired-ID.pub. It happens at once or not at all: the folder is made anew beside the old one, then the two change names.
// It returns the ID of the key that is the current one now.
func Rotate(dir, password string) (string, error) {
	var text []byte
	next, err := readPublic(dir, NextPub, &text)
	if err != nil {
		return "", err
	}
	current, err := readPublic(dir, ReleasePub, &text)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, NextKey)); err != nil {
		return "", fmt.Errorf("%s is to become the current key: put it back into %s: %w", NextKey, dir, err)
	}
	dir = filepath.Clean(dir)
	fresh := dir + ".rotating"
	// One that was left by a rotation that was cut off holds nothing that was ever used.
	if err := os.RemoveAll(fresh); err != nil {
		return "", fmt.Errorf("clear folder: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return "", fmt.Errorf("make folder for keys: %w", err)
	}
	retired := "retired-" + updatekit.KeyID(current.ID())
	names := map[string]string{ReleaseKey: retired + ".key", ReleasePub: retired + ".pub", NextKey: ReleaseKey, NextPub: ReleasePub}
	if err := copyFiles(dir, fresh, names); err != nil {
		return "", err
	}
	if err := generate(fresh, NextKey, NextPub, password); err != nil {
		return "", err
	}
	if _, err := Load(fresh, password); err != nil {
		return "", fmt.Errorf("the next key cannot be used: %w", err)
	}
	if err := syncDir(fresh); err != nil {
		return "", err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE); err != nil {
		return "", fmt.Errorf("put the new keys in the place of the old ones (where %s is a disk of its own, keep the keys in a folder on it): %w", dir, err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return "", err
	}
	if err := os.RemoveAll(fresh); err != nil {
		return "", fmt.Errorf("remove the old folder: %w", err)
	}
	return updatekit.KeyID(next.ID()), nil
}

// copyFiles copies the files of a folder under other names, with their modes.
func copyFiles(from, to string, names map[string]string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s in %s is no file: only keys belong there", e.Name(), from)
		}
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		name := names[e.Name()]
		if name == "" {
			name = e.Name()
		}
		if err := create(filepath.Join(to, name), text, info.Mode().Perm()); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there twice: a key that was retired before cannot be retired again", name)
		} else if err != nil {
			return err
		}
	}
	return nil
}
