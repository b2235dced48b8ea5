package diskimage

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// node is a file, folder or symbolic link of a tree.
type node struct {
	mode fs.FileMode
	// data is a file's content, unless it lies in the file host of the build machine.
	data []byte
	host string
	// link is where a symbolic link leads.
	link string
}

// tree is a file system to be made: slash-separated paths without a leading slash. Owners are always root, times are
// given when it is written.
type tree map[string]node

// addDir adds everything below dir at path at; what is there already is replaced. Modes are reduced to what matters in
// a read-only system, so that the umask of whoever checked the files out does not: folders 0755, programs 0555, other
// files 0444.
func (t tree) addDir(at, dir string) error {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		name := path.Join(at, filepath.ToSlash(rel))
		if name == "." {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			t[name] = node{mode: fs.ModeDir | 0o755}
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			t[name] = node{mode: fs.ModeSymlink | 0o777, link: link}
		case info.Mode().IsRegular():
			mode := fs.FileMode(0o444)
			if info.Mode()&0o100 != 0 {
				mode = 0o555
			}
			t[name] = node{mode: mode, host: p}
		default:
			return fmt.Errorf("%s is neither file, folder nor link", p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read folder %s: %w", dir, err)
	}
	return nil
}

// file adds a file with mode 0444 and the folders above it.
func (t tree) file(name string, data []byte) {
	t.dirs(path.Dir(name))
	t[name] = node{mode: 0o444, data: data}
}

// program adds an executable that lies on the build machine, and the folders above it.
func (t tree) program(name, host string) {
	t.dirs(path.Dir(name))
	t[name] = node{mode: 0o555, host: host}
}

// dirs adds a folder and those above it.
func (t tree) dirs(name string) {
	for ; name != "." && name != "/"; name = path.Dir(name) {
		t[name] = node{mode: fs.ModeDir | 0o755}
	}
}

// read returns a file's content.
func (n node) read() ([]byte, error) {
	if n.host == "" {
		return n.data, nil
	}
	return os.ReadFile(n.host)
}

// paths returns all paths, sorted, folders before what is in them.
func (t tree) paths() []string { return slices.Sorted(maps.Keys(t)) }

// writeTar writes the tree as a tar stream: sorted, owned by root, every time stamp at.
func (t tree) writeTar(w io.Writer, at time.Time) error {
	tw := tar.NewWriter(w)
	for _, name := range t.paths() {
		n := t[name]
		h := &tar.Header{Name: name, Mode: int64(n.mode.Perm()), ModTime: at, Format: tar.FormatPAX}
		var data []byte
		switch {
		case n.mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		case n.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, n.link
		default:
			var err error
			if data, err = n.read(); err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := tw.Write(data); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return tw.Close()
}
