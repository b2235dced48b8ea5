package bootpart

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is files and folders to be written: folders by path, "" the top one.
type tree struct {
	at      time.Time // of the folders
	folders map[string]*folder
	seen    map[string]string // paths by what FAT takes for the same
	files   int
}

type folder struct {
	first, clusters uint32
	items           []item
}

func newTree(at time.Time) *tree {
	return &tree{at: at, folders: map[string]*folder{"": {}}, seen: map[string]string{}}
}

// add adds a file, or a folder if it.attr says so, and the folders above it. The item's name is taken from the path.
func (t *tree) add(p string, it item) error {
	if err := checkPath(p); err != nil {
		return err
	}
	if t.files++; t.files > MaxFiles {
		return fmt.Errorf("it has more than %d files", MaxFiles)
	}
	dir, name := path.Split(p)
	dir = strings.TrimSuffix(dir, "/")
	if err := t.addFolder(dir); err != nil {
		return err
	}
	if old, ok := t.seen[strings.ToLower(p)]; ok {
		return fmt.Errorf("%q and %q have the same name", old, p)
	}
	t.seen[strings.ToLower(p)] = p
	it.name = name
	t.folders[dir].items = append(t.folders[dir].items, it)
	if it.attr&attrFolder != 0 {
		t.folders[p] = &folder{first: it.first}
	}
	return nil
}

func (t *tree) addFolder(dir string) error {
	if dir == "" {
		return nil
	}
	if old, ok := t.seen[strings.ToLower(dir)]; ok {
		if old != dir || t.folders[dir] == nil {
			return fmt.Errorf("%q and the folder %q have the same name", old, dir)
		}
		return nil
	}
	return t.add(dir, item{attr: attrFolder, time: t.at})
}

// file returns the item of a path.
func (t *tree) file(p string) *item {
	dir, name := path.Split(p)
	f := t.folders[strings.TrimSuffix(dir, "/")]
	i := slices.IndexFunc(f.items, func(it item) bool { return it.name == name })
	return &f.items[i]
}

// size returns how many clusters the folder needs.
func (f *folder) size() uint32 {
	entries := 2
	for _, it := range f.items {
		entries++
		if _, _, isLong, _ := fitShort(it.name); isLong {
			entries += (len(it.name) + longChars - 1) / longChars
		}
	}
	return uint32((entries*entrySize + clusterSize - 1) / clusterSize)
}

// errNoRoom: a tree does not fit.
var errNoRoom = errors.New("it has too many files for its folders' room")

// place gives each folder clusters that lie together, the top one's first. Take returns the first of n.
func (t *tree) place(take func(n uint32) (uint32, error)) error {
	for _, dir := range slices.Sorted(maps.Keys(t.folders)) {
		f := t.folders[dir]
		f.clusters = f.size()
		var err error
		if f.first, err = take(f.clusters); err != nil {
			return err
		}
		if dir != "" {
			t.file(dir).first = f.first
		}
	}
	return nil
}

// encode returns the folders' contents by their first cluster. In the root folder's tree the top one is written as such.
func (t *tree) encode(root bool) map[uint32][]byte {
	out := map[uint32][]byte{}
	for dir, f := range t.folders {
		self, parent := f.first, uint32(0)
		if above := strings.TrimSuffix(path.Dir(dir), "."); dir != "" && (above != "" || !root) {
			parent = t.folders[above].first
		}
		if dir == "" && root {
			self = 0
		}
		out[f.first] = padded(encodeFolder(self, parent, t.at, f.items), int(f.clusters)*clusterSize)
	}
	return out
}

// table is a part of a FAT: what is said of the clusters from base on.
type table struct {
	base    uint32
	entries []uint32
}

// Values of a FAT's entries; the four highest bits are nobody's.
const (
	fatMask  = 0x0fffffff
	fatEnd   = 0x0fffffff
	fatEnds  = 0x0ffffff8 // this and all above end a chain
	fatFirst = 0x0ffffff8 // of cluster 0: the medium's kind
)

// chain links n clusters from first on.
func (t table) chain(first, n uint32) {
	for i := range n {
		t.entries[first-t.base+i] = first + i + 1
	}
	if n > 0 {
		t.entries[first-t.base+n-1] = fatEnd
	}
}

func (t table) bytes() []byte {
	out := make([]byte, 0, len(t.entries)*fatEntry)
	for _, e := range t.entries {
		out = append(out, byte(e), byte(e>>8), byte(e>>16), byte(e>>24))
	}
	return out
}
