package privileges

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Folder is a folder that is there, with this owner and mode, before a process gives up root. Whoever needs one makes
// it: processes start at the same time, and none has to wait for another. All that need the same one say the same.
type Folder struct {
	Path     string
	UID, GID int
	Mode     fs.FileMode
}

// Make makes the folder, whose parents are root's, or sets its owner and mode.
func (f Folder) Make() error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return fmt.Errorf("make folder %s: %w", f.Path, err)
	}
	if err := os.Mkdir(f.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder %s: %w", f.Path, err)
	}
	// Through a descriptor that cannot be a link: nobody is given what a link leads to.
	fd, err := unix.Open(f.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open folder %s: %w", f.Path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at folder %s: %w", f.Path, err)
	}
	if int(st.Uid) != f.UID || int(st.Gid) != f.GID {
		if err := unix.Fchown(fd, f.UID, f.GID); err != nil {
			return fmt.Errorf("set the owner of folder %s: %w", f.Path, err)
		}
	}
	if fs.FileMode(st.Mode&0o7777) != f.Mode {
		if err := unix.Fchmod(fd, uint32(f.Mode)); err != nil {
			return fmt.Errorf("set the mode of folder %s: %w", f.Path, err)
		}
	}
	return nil
}
