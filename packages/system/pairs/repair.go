package pairs

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// anyMode are the bits of a mode that count.
const anyMode = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// repair sets owners and modes of everything in the folder as they should be, removes what a power cut has left half
// done, and says what was wrong; the caller holds mu.
func (s *Store) repair() error {
	root, err := os.OpenRoot(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("open the certificates' folder: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("look at %s: %w", s.Path(path), err)
		}
		if path != "." && strings.HasPrefix(d.Name(), ".") {
			s.cfg.Log.Warn("removed what a power cut has left of a certificate's change", "path", s.Path(path))
			if err := root.RemoveAll(path); err != nil {
				return fmt.Errorf("remove %s: %w", s.Path(path), err)
			}
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		// Whatever else lies here may be a key.
		want := keyMode
		switch {
		case d.IsDir():
			want = dirMode
		case !d.Type().IsRegular():
			return nil
		case d.Name() == chainFile:
			want = chainMode
		}
		st, err := d.Info()
		if err != nil {
			return fmt.Errorf("look at %s: %w", s.Path(path), err)
		}
		mode, wrongOwner := st.Mode()&anyMode, s.cfg.GID != KeepGroup && !ownedBy(st, 0, s.cfg.GID)
		if mode == want && !wrongOwner {
			return nil
		}
		s.cfg.Log.Warn("repaired owner or mode of a certificate's file", "file", s.Path(path), "mode", mode, "want", want, "wrong_owner", wrongOwner)
		// Neither leads a link out of the folder, nor is one followed.
		f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return fmt.Errorf("repair %s: %w", s.Path(path), err)
		}
		defer f.Close()
		if err := s.own(f, want); err != nil {
			return err
		}
		if name, file, ok := strings.Cut(path, "/"); ok && file == keyFile {
			s.cfg.Journal.Add(name, fmt.Sprintf("The private key had mode %04o or a wrong owner: repaired. Others than the device's own processes may have read it.", mode.Perm()), ByDevice)
		}
		return nil
	})
}

func ownedBy(st fs.FileInfo, uid, gid int) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == uid && int(s.Gid) == gid
}
