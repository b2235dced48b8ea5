package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"porthole/packages/internal/durable"
)

const (
	dirMode   = 0o750
	keyMode   = 0o640
	chainMode = 0o644
	// keepGroup leaves files to the group of whoever writes them (hostrun).
	keepGroup = -1
)

// replace puts b in place of file atomically and durably: file and folder are synced.
func replace(file string, b []byte, mode fs.FileMode, gid int) error {
	dir := filepath.Dir(file)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	// Owner before mode: nobody may read a key in between.
	if err := own(tmp.Name(), gid); err != nil {
		return err
	}
	if err := errors.Join(tmp.Chmod(mode), write(tmp, b), tmp.Sync()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return fmt.Errorf("put %s in place: %w", file, err)
	}
	return durable.SyncDir(dir)
}

// makeDir makes a certificate's folder, if it is not there, and the one around it.
func makeDir(dir string, gid int) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		err := os.Mkdir(d, dirMode)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.MkdirAll(d, dirMode)
		}
		switch {
		case errors.Is(err, fs.ErrExist):
		case err != nil:
			return fmt.Errorf("make the certificates' folder: %w", err)
		default:
			if err := own(d, gid); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(f *os.File, b []byte) error {
	_, err := f.Write(b)
	return err
}

func own(path string, gid int) error {
	if gid == keepGroup {
		return nil
	}
	if err := os.Chown(path, 0, gid); err != nil {
		return fmt.Errorf("set the owner of %s: %w", path, err)
	}
	return nil
}

// repair sets owners and modes below the certificates' folder as they should be, and logs what was wrong.
func repair(log *slog.Logger, root string, gid int) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("look at %s: %w", path, err)
		}
		want := fs.FileMode(chainMode)
		switch {
		case d.IsDir():
			want = dirMode
		case !d.Type().IsRegular():
			return nil
		case d.Name() == "privkey.pem":
			want = keyMode
		case d.Name()[0] == '.':
			// What a power cut left of replace.
			log.Warn("removed a half-written file", "file", path)
			return os.Remove(path)
		}
		st, err := d.Info()
		if err != nil {
			return fmt.Errorf("look at %s: %w", path, err)
		}
		wrongOwner := gid != keepGroup && !ownedBy(st, 0, gid)
		if st.Mode().Perm() == want && !wrongOwner {
			return nil
		}
		log.Warn("repaired owner or mode of a certificate's file", "file", path, "mode", st.Mode().Perm(), "want", want, "wrong_owner", wrongOwner)
		if err := own(path, gid); err != nil {
			return err
		}
		if err := os.Chmod(path, want); err != nil {
			return fmt.Errorf("repair the mode of %s: %w", path, err)
		}
		return nil
	})
}
