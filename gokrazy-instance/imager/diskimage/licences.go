package diskimage

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// licenceFile matches the names that licences and notices have in Go modules.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)`)

// names returns the texts' names, sorted.
func names(texts map[string][]byte) []string { return slices.Sorted(maps.Keys(texts)) }

// partModule returns where a module of the parts module lies, and its version.
func (b *Builder) partModule(ctx context.Context, module string) (dir, version string, err error) {
	out, err := tool{name: "go", args: []string{"list", "-m", "-f", "{{.Version}} {{.Dir}}", module},
		dir: filepath.Join(b.Repo, "gokrazy-instance", "imager", "parts")}.run(ctx)
	if err != nil {
		return "", "", err
	}
	version, dir, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok {
		return "", "", fmt.Errorf("go list does not know where %s is: %q", module, out)
	}
	return dir, version, nil
}

// addLicenceFiles copies the licences at the top of a folder, and returns them by their names below licenceDir. A folder
// without any is an error: somebody has to look where that module keeps its licence.
func addLicenceFiles(t tree, name, dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("find licence of %s: %w", name, err)
	}
	texts := map[string][]byte{}
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read licence of %s: %w", name, err)
		}
		texts[path.Join(name, e.Name())] = text
		t.file(path.Join(licenceDir, name, e.Name()), text)
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s has no licence in %s: %w", name, dir, fs.ErrNotExist)
	}
	return texts, nil
}

// escapeModule writes a module as the module cache does (https://go.dev/ref/mod#goproxy-protocol): an exclamation mark
// and a lower-case letter for each upper-case one.
func escapeModule(m string) string {
	var out strings.Builder
	for _, r := range m {
		if unicode.IsUpper(r) {
			out.WriteByte('!')
			r = unicode.ToLower(r)
		}
		out.WriteRune(r)
	}
	return out.String()
}
