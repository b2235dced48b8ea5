package sbom

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// known are the licences of modules whose files say it in words that no program reads.
var known = map[string]string{
	// "Unless otherwise stated": both, at the user's choice.
	"kernel.org/pub/linux/libs/security/libcap/psx": "BSD-3-Clause OR GPL-2.0-only",
	// SQLite itself is in the public domain, with a blessing; sqlite-vec is under MIT.
	"modernc.org/sqlite": "BSD-3-Clause AND blessing AND MIT",
	// musl's parts.
	"modernc.org/libc": "BSD-3-Clause AND MIT",
}

// primary are the files that hold a module's own licence; others hold notices, grants of patents, and the licences of what it
// was made from.
var primary = regexp.MustCompile(`(?i)^(licen[cs]e|copying)(\.(txt|md))?$`)

// spdx are today's names of licences that the scanner calls by their former ones (https://spdx.org/licenses/, "Deprecated").
var spdx = map[string]string{"GPL-2.0": "GPL-2.0-only", "LGPL-2.1": "LGPL-2.1-only", "GPL-3.0": "GPL-3.0-only"}

// Identify returns the licence of a module as an SPDX expression: of all that its own licence files say. It is empty if they say
// nothing that is known. Texts are by file name.
func Identify(module string, texts map[string][]byte) string {
	if licence := known[module]; licence != "" {
		return licence
	}
	var ids []string
	for name, text := range texts {
		if !primary.MatchString(path.Base(name)) {
			continue
		}
		for _, m := range licensecheck.Scan(text).Match {
			if m.IsURL {
				continue
			}
			id := m.ID
			if now := spdx[id]; now != "" {
				id = now
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), " AND ")
}
