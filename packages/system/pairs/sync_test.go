package pairs_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"porthole/packages/system/pairs"
)

// TestPowerCut replays what a publisher asks of the kernel, as strace saw it, on a model of a disk that forgets whatever was not
// synced, and cuts the power after each call, in every order in which the disk may have written what was pending: the old or
// the new pair is there, whole, with its owners and modes.
func TestPowerCut(t *testing.T) {
	a, b := newPEM(t, "a"), newPEM(t, "b")
	for name, c := range map[string]struct {
		task      string
		there     bool
		may, ends []string
	}{
		"replace":     {"publish", true, []string{"old", "new"}, []string{"new"}},
		"put there":   {"publish", false, []string{"none", "new"}, []string{"new"}},
		"taken away":  {"remove", true, []string{"old", "none"}, []string{"none"}},
		"over debris": {"publish", true, []string{"old", "new"}, []string{"new"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.keep("a", a)
			s.keep("b", b)
			if c.there {
				s.publish(pairs.Own, a)
			}
			if name == "over debris" {
				if err := os.CopyFS(s.Path(".own.new"), os.DirFS(s.Path("own"))); err != nil {
					t.Fatal(err)
				}
			}
			d := newDisk(t, s.dir)
			for i, call := range s.trace(c.task) {
				d.do(call)
				if states := d.cut(); len(states) == 0 || slices.ContainsFunc(states, func(s string) bool { return !slices.Contains(c.may, s) }) {
					t.Fatalf("the power goes after call %d, %s: what is there may be %q", i, call, states)
				}
			}
			if states := d.cut(); !slices.Equal(states, c.ends) {
				t.Errorf("the power goes when all is done: what is there may be %q, want %q", states, c.ends)
			}
		})
	}
}

// trace runs a publisher and returns its calls that change files, in order.
func (s *shop) trace(task string) []string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "calls")
	cmd := s.startPublisher(task, "strace", "-f", "-qq", "-y", "-s", "0", "-o", file, "-e", "signal=none", "-e",
		"trace=openat,mkdirat,mkdir,write,pwrite64,fsync,fdatasync,sync_file_range,syncfs,sync,fchmodat,fchmod,chmod,fchownat,fchown,chown,lchown,renameat2,renameat,rename,unlinkat,unlink,rmdir,linkat,ftruncate")
	if out, err := cmd.Output(); err != nil {
		s.t.Fatalf("strace: %v, %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	// A call during which another thread made one stands in two lines; it counts where it ended.
	begun := map[string]string{}
	var calls []string
	for line := range bytes.Lines(b) {
		pid, text, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		text = strings.TrimSpace(text)
		if before, ok := strings.CutSuffix(text, "<unfinished ...>"); ok {
			begun[pid] = before
			continue
		}
		if _, after, ok := strings.Cut(text, " resumed>"); ok && strings.HasPrefix(text, "<...") {
			text = begun[pid] + after
		}
		if strings.Contains(text, s.dir) && !strings.Contains(text, " = -1 ") {
			calls = append(calls, text)
		}
	}
	return calls
}

// inode is a file or folder. clean says that content, owner and mode are on the disk.
type inode struct {
	clean bool
	whose string // "old" or "new", for a file
	// names are a folder's as of each change since the last sync, the first being what is on the disk; nil for a file.
	names []map[string]*inode
}

func (i *inode) now() map[string]*inode { return i.names[len(i.names)-1] }

// set changes a folder's name, to nothing if to is nil.
func (i *inode) set(changes map[string]*inode) {
	next := maps.Clone(i.now())
	for name, to := range changes {
		if next[name] = to; to == nil {
			delete(next, name)
		}
	}
	i.names = append(i.names, next)
}

// disk is a model of the folder of all pairs.
type disk struct {
	t    *testing.T
	path string
	root *inode
}

// newDisk is one on which everything lies that is at path now, as old.
func newDisk(t *testing.T, path string) *disk {
	var load func(path string) *inode
	load = func(path string) *inode {
		entries, err := os.ReadDir(path)
		if err != nil {
			return &inode{clean: true, whose: "old"}
		}
		dir := &inode{clean: true, names: []map[string]*inode{{}}}
		for _, e := range entries {
			dir.names[0][e.Name()] = load(filepath.Join(path, e.Name()))
		}
		return dir
	}
	return &disk{t, path, load(path)}
}

// find returns a path's folder, its name there, and what it is.
func (d *disk) find(path string) (dir *inode, name string, node *inode) {
	rel, err := filepath.Rel(d.path, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		d.t.Fatalf("a call out of place: %s", path)
	}
	node = d.root
	if rel == "." {
		return nil, "", node
	}
	for part := range strings.SplitSeq(rel, "/") {
		if node == nil || node.names == nil {
			d.t.Fatalf("a call on what is not there: %s", path)
		}
		dir, name, node = node, part, node.now()[part]
	}
	return dir, name, node
}

var (
	callLine = regexp.MustCompile(`^(\w+)\((.*)\) += `)
	// A descriptor with its path, a descriptor and a path below it, or a path.
	pathArg = regexp.MustCompile(`(?:(?:\d+|AT_FDCWD)<([^>]*)>)?(?:, )?(?:"([^"]*)")?`)
)

// paths returns the paths a call names, whole.
func (d *disk) paths(args string) []string {
	var list []string
	for _, m := range pathArg.FindAllStringSubmatch(args, -1) {
		switch {
		case m[2] != "" && !filepath.IsAbs(m[2]):
			list = append(list, filepath.Join(m[1], m[2]))
		case m[2] != "":
			list = append(list, m[2])
		case m[1] != "":
			list = append(list, m[1])
		}
	}
	return list
}

// do changes the model as a call does. A call that is not known fails the test.
func (d *disk) do(call string) {
	m := callLine.FindStringSubmatch(call)
	if m == nil {
		d.t.Fatalf("strace says %q", call)
	}
	paths := d.paths(m[2])
	dir, name, node := d.find(paths[0])
	switch m[1] {
	case "openat":
		if strings.Contains(m[2], "O_CREAT") && node == nil {
			dir.set(map[string]*inode{name: {whose: "new"}})
		}
	case "mkdirat":
		dir.set(map[string]*inode{name: {names: []map[string]*inode{{}}}})
	case "write", "fchmodat", "fchmod", "fchownat", "fchown":
		node.clean = false
	case "fsync":
		if node.clean = true; node.names != nil {
			node.names = node.names[len(node.names)-1:]
		}
	case "unlinkat":
		dir.set(map[string]*inode{name: nil})
	case "renameat", "renameat2":
		toDir, toName, to := d.find(paths[1])
		if dir != toDir {
			d.t.Fatalf("renamed to another folder: %s", call)
		}
		changes := map[string]*inode{toName: node, name: nil}
		if strings.Contains(m[2], "RENAME_EXCHANGE") {
			changes[name] = to
		}
		dir.set(changes)
	default:
		d.t.Fatalf("this call is not in the model: %s", call)
	}
}

// cut returns what may be there as pairs.Own after a power cut now: "old" or "new", whole, "none", or what is wrong with it.
// Each folder is as it was after any of its changes that are not synced; a file that is not synced is not whole.
func (d *disk) cut() []string {
	states := map[string]bool{}
	for _, top := range d.root.names {
		own := top[pairs.Own]
		switch {
		case own == nil:
			states["none"] = true
			continue
		case !own.clean:
			states["a folder whose owner and mode are not synced"] = true
			continue
		}
		for _, names := range own.names {
			key, chain := names["privkey.pem"], names["fullchain.pem"]
			switch {
			case key == nil || chain == nil:
				states["half of it"] = true
			case !key.clean || !chain.clean:
				states["a file that is not synced"] = true
			case key.whose != chain.whose:
				states[fmt.Sprintf("the %s key with the %s chain", key.whose, chain.whose)] = true
			default:
				states[key.whose] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(states))
}
