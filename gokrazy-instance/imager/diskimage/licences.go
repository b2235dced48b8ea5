package diskimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// licenceDir is where the image keeps the licences of what it is made of.
const licenceDir = "usr/share/licenses"

// licenceFile matches the names that licences and notices have in Go modules.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)`)

// dep matches a module in a program's build information: dep, path, version.
var dep = regexp.MustCompile(`(?m)^(?:dep|=>)\t(\S+)\t(v\S+)`)

// addLicences puts in the licences of the Go modules that are in the image's programs, of Go itself, of the checkout, and
// of what the parts module brings (kernel, firmware, boot loader).
func (b *Builder) addLicences(ctx context.Context, t tree, buildInfos []string) error {
	env, err := goEnv(ctx, "GOMODCACHE", "GOROOT")
	if err != nil {
		return err
	}
	cache, root := strings.TrimPrefix(env[0], "GOMODCACHE="), strings.TrimPrefix(env[1], "GOROOT=")
	if err := addLicenceFiles(t, "go", root); err != nil {
		return err
	}
	modules := map[string]bool{}
	for _, info := range buildInfos {
		for _, m := range dep.FindAllStringSubmatch(info, -1) {
			modules[m[1]+"@"+m[2]] = true
		}
	}
	if len(modules) == 0 {
		return errors.New("the programs name no Go modules: the format of their build information has changed")
	}
	for m := range modules {
		if err := addLicenceFiles(t, path.Join("go", m), filepath.Join(cache, escapeModule(m))); err != nil {
			return err
		}
	}
	if err := b.addOwnLicences(t); err != nil {
		return err
	}
	return b.addPartLicences(ctx, t)
}

// addOwnLicences takes what the checkout itself holds: Porthole's licence, and that of the fonts on the screen, which are
// in player's program and have another licence than the module they come in.
func (b *Builder) addOwnLicences(t tree) error {
	if err := addLicenceFiles(t, "porthole", b.Repo); err != nil {
		return err
	}
	return addLicenceFiles(t, "go-fonts", filepath.Join(b.Repo, "media", "samples", "fonts"))
}

// addPartLicences takes the licences of kernel and firmware from their modules.
func (b *Builder) addPartLicences(ctx context.Context, t tree) error {
	in, err := readInstance(filepath.Join(b.Repo, "gokrazy-instance"), b.Board.Name)
	if err != nil {
		return err
	}
	for _, key := range []string{"KernelPackage", "FirmwarePackage"} {
		var pkg string
		if err := json.Unmarshal(in.rest[key], &pkg); err != nil {
			return fmt.Errorf("read %s of the instance: %w", key, err)
		}
		if pkg == "" {
			continue
		}
		dir, err := b.partDir(ctx, pkg)
		if err != nil {
			return err
		}
		if err := addLicenceFiles(t, path.Base(pkg), dir); err != nil {
			return err
		}
	}
	return nil
}

// partDir returns where a module of the parts module lies.
func (b *Builder) partDir(ctx context.Context, module string) (string, error) {
	out, err := tool{name: "go", args: []string{"list", "-m", "-f", "{{.Dir}}", module},
		dir: filepath.Join(b.Repo, "gokrazy-instance", "imager", "parts")}.run(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// addLicenceFiles copies the licences at the top of a folder. A folder without any is an error: somebody has to look
// where that module keeps its licence.
func addLicenceFiles(t tree, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("find licence of %s: %w", name, err)
	}
	found := false
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("read licence of %s: %w", name, err)
		}
		t.file(path.Join(licenceDir, name, e.Name()), text)
		found = true
	}
	if !found {
		return fmt.Errorf("%s has no licence in %s: %w", name, dir, fs.ErrNotExist)
	}
	return nil
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
