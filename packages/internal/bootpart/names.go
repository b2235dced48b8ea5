package bootpart

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// checkPath accepts what every reader of FAT takes, and takes alike: relative paths of printable ASCII.
func checkPath(p string) error {
	if p == "" || len(p) > MaxName {
		return fmt.Errorf("the name %.40q has %d bytes, not 1 to %d", p, len(p), MaxName)
	}
	elements := strings.Split(p, "/")
	if len(elements) > MaxDepth {
		return fmt.Errorf("%q lies more than %d folders deep", p, MaxDepth)
	}
	for _, e := range elements {
		if err := checkElement(e); err != nil {
			return fmt.Errorf("the name %q cannot be used: %w", p, err)
		}
	}
	return nil
}

func checkElement(e string) error {
	switch {
	case e == "":
		return errors.New("a part of it is empty")
	case strings.Trim(e, ".") == "":
		return errors.New("it leads elsewhere")
	case e[0] == ' ' || strings.HasSuffix(e, " ") || strings.HasSuffix(e, "."):
		return errors.New("it begins or ends with a space, or ends with a dot")
	}
	for i := range len(e) {
		if c := e[i]; c < ' ' || c > '~' || strings.IndexByte(`"*:<>?\|`, c) >= 0 {
			return fmt.Errorf("it has the character %q", c)
		}
	}
	return nil
}

// shortName is a name of eight and three characters as it lies in a folder.
type shortName [11]byte

// Flags of Windows NT: a short name is shown in lower case (the entry's byte 12).
const (
	lowerBase = 0x08
	lowerExt  = 0x10
)

// shortChar tells whether short names may have the character; letters are upper-case there.
func shortChar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'()-@^_`{}~", c) >= 0
}

func makeShort(base, ext string) shortName {
	s := shortName{}
	copy(s[:], "           ")
	copy(s[:8], base)
	copy(s[8:], ext)
	return s
}

// fitShort returns a name's short form if it has one. The long form is needed too unless the flags can say which letters
// are lower-case.
func fitShort(name string) (s shortName, flags byte, long, fits bool) {
	base, ext, dot := strings.Cut(name, ".")
	if base == "" || len(base) > 8 || len(ext) > 3 || dot && ext == "" {
		return s, 0, true, false
	}
	for i, part := range []string{base, ext} {
		up := strings.ToUpper(part)
		for j := range len(up) {
			if !shortChar(up[j]) {
				return s, 0, true, false
			}
		}
		switch {
		case part == up:
		case part == strings.ToLower(part):
			flags |= []byte{lowerBase, lowerExt}[i]
		default:
			long = true
		}
	}
	if long {
		flags = 0
	}
	return makeShort(strings.ToUpper(base), strings.ToUpper(ext)), flags, long, true
}

// aliases gives the files of one folder their short names.
type aliases struct {
	used map[shortName]bool
	next map[string]int // by what comes before the tail, so that a thousand like names do not take a million tries
}

func newAliases(names []string) *aliases {
	a := &aliases{used: map[shortName]bool{}, next: map[string]int{}}
	for _, n := range names {
		if s, _, _, fits := fitShort(n); fits {
			a.used[s] = true
		}
	}
	return a
}

// of returns the short name of one that has no short form: FOO~1.TXT (Microsoft FAT specification 1.03, section 7.4).
func (a *aliases) of(name string) shortName {
	name = strings.TrimLeft(name, ".")
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		base, ext = name[:i], name[i+1:]
	}
	base, ext = shortened(base, 6), shortened(ext, 3)
	if base == "" {
		base = "_"
	}
	for {
		a.next[base+"."+ext]++
		tail := "~" + strconv.Itoa(a.next[base+"."+ext])
		s := makeShort(base[:min(len(base), 8-len(tail))]+tail, ext)
		if !a.used[s] {
			a.used[s] = true
			return s
		}
	}
}

// shortened makes at most n characters of short names of a part of a name.
func shortened(part string, n int) string {
	var out []byte
	for _, c := range []byte(strings.ToUpper(part)) {
		if c == ' ' || c == '.' {
			continue
		}
		if !shortChar(c) {
			c = '_'
		}
		if out = append(out, c); len(out) == n {
			break
		}
	}
	return string(out)
}

// text returns a short name as people write it.
func (s shortName) text(flags byte) string {
	base, ext := strings.TrimRight(string(s[:8]), " "), strings.TrimRight(string(s[8:]), " ")
	if flags&lowerBase != 0 {
		base = strings.ToLower(base)
	}
	if flags&lowerExt != 0 {
		ext = strings.ToLower(ext)
	}
	if ext == "" {
		return base
	}
	return base + "." + ext
}

// sum is the check sum that ties a long name to its short one (Microsoft FAT specification 1.03, section 7.2).
func (s shortName) sum() byte {
	var n byte
	for _, c := range s {
		n = n>>1 | n<<7
		n += c
	}
	return n
}
