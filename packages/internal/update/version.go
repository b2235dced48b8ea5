package update

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Version is what `git describe` says of a commit: the last release, how many commits came after it, and which commit it is.
type Version struct {
	Major, Minor, Patch int
	// Commits is how many came after the release, 0 for the release itself.
	Commits int
	// Hash abbreviates the commit's, in hexadecimal; empty for a release.
	Hash string
	// Dirty means that the tree had changes that no commit holds.
	Dirty bool
}

// maxVersion is the longest text that is looked at, in bytes.
const maxVersion = 100

// versionText is [v]MAJOR.MINOR.PATCH[-N-gHASH][-dirty], as `git describe --tags --dirty` writes it. No number has more than
// six digits or a needless zero in front.
var versionText = regexp.MustCompile(`^v?(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:-(0|[1-9]\d{0,5})-g([0-9a-f]{4,64}))?(-dirty)?$`)

// ParseVersion reads a version: [v]MAJOR.MINOR.PATCH[-N-gHASH][-dirty].
func ParseVersion(text string) (Version, error) {
	var m []string
	if len(text) <= maxVersion {
		m = versionText.FindStringSubmatch(text)
	}
	if m == nil {
		return Version{}, fmt.Errorf("%.100q is no version: one looks like v1.4.0 or v1.4.0-12-gabc1234", text)
	}
	v := Version{Hash: m[5], Dirty: m[6] != ""}
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch, &v.Commits} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(m[i+1])
		if err != nil {
			return Version{}, fmt.Errorf("read version %q: %w", text, err)
		}
		*into = n
	}
	return v, nil
}

// Compare is negative if v is older than other, positive if it is newer, and zero if neither: which commit it is does not
// count, nor whether the tree was dirty.
func (v Version) Compare(other Version) int {
	return cmp.Or(cmp.Compare(v.Major, other.Major), cmp.Compare(v.Minor, other.Minor), cmp.Compare(v.Patch, other.Patch),
		cmp.Compare(v.Commits, other.Commits))
}

// String writes the version as ParseVersion reads it, with a v.
func (v Version) String() string {
	text := fmt.Sprintf("v%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Hash != "" {
		text += fmt.Sprintf("-%d-g%s", v.Commits, v.Hash)
	}
	if v.Dirty {
		text += "-dirty"
	}
	return text
}

// Compare compares two versions' texts as Version.Compare does.
func Compare(a, b string) (int, error) {
	va, err := ParseVersion(a)
	if err != nil {
		return 0, err
	}
	vb, err := ParseVersion(b)
	if err != nil {
		return 0, err
	}
	return va.Compare(vb), nil
}
