package diskimage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Debian 12's e2fsck-static, the file-system check in the image. To take a newer one, change the version and put in the
// sums that the error message names.
const (
	fsckPackage = "e2fsck-static"
	fsckVersion = "1.47.0-2+b2"
)

var fsckSHA256 = map[string]string{
	"arm64": "c737ccfa53974dcbe1b5d44fdaf64d8127c050aad6ebd25309d1b74636fa9949",
	"amd64": "2a4944f323de78fcb8bc77151d9ec3282525e6e205a7bec30912eef91aa13a4c",
}

// addFsck puts Debian's static e2fsck and its licence into the tree.
func (b *Builder) addFsck(ctx context.Context, t tree) error {
	deb, err := b.debianPackage(ctx, fsckPackage, fsckVersion, fsckSHA256[b.Board.Arch])
	if err != nil {
		return err
	}
	dir := b.work("e2fsck")
	if _, err := (tool{name: "dpkg-deb", args: []string{"-x", deb, dir}}).run(ctx); err != nil {
		return err
	}
	t.program("sbin/e2fsck", filepath.Join(dir, "sbin", "e2fsck.static"))
	licence, err := os.ReadFile(filepath.Join(dir, "usr", "share", "doc", fsckPackage, "copyright"))
	if err != nil {
		return fmt.Errorf("read licence of %s: %w", fsckPackage, err)
	}
	t.file("usr/share/licenses/e2fsck/copyright", licence)
	return nil
}

// debianPackage returns a binary package for the board's architecture, from the cache or from the Debian mirror this
// machine uses. apt works in folders of its own, so that it needs no root and touches nothing of the machine's.
func (b *Builder) debianPackage(ctx context.Context, name, version, sum string) (string, error) {
	arch := b.Board.Arch
	cached := filepath.Join(b.Cache, "deb", fmt.Sprintf("%s_%s_%s.deb", name, version, arch))
	if have, err := fileSHA256(cached); err == nil && have == sum {
		return cached, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir := b.work("apt")
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "deb"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", fmt.Errorf("make apt's folder: %w", err)
		}
	}
	status := filepath.Join(dir, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return "", fmt.Errorf("make apt's folder: %w", err)
	}
	options := []string{"-q", "-o", "APT::Architecture=" + arch, "-o", "APT::Architectures::=" + arch,
		"-o", "Dir::State=" + filepath.Join(dir, "state"), "-o", "Dir::State::status=" + status,
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"), "-o", "APT::Sandbox::User=root"}
	for _, verb := range [][]string{{"update"}, {"download", name + "=" + version}} {
		if _, err := (tool{name: "apt-get", dir: filepath.Join(dir, "deb"), args: append(options, verb...)}).run(ctx); err != nil {
			return "", fmt.Errorf("fetch Debian's %s %s for %s: %w", name, version, arch, err)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "deb", name+"_*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("apt-get fetched %q for %s, expected one package", found, name)
	}
	have, err := fileSHA256(found[0])
	if err != nil {
		return "", err
	}
	if have != sum {
		return "", fmt.Errorf("package %s %s of Debian for %s has SHA-256 %s, this build expects %s. If Debian has rebuilt it, look at what changed and update gokrazy-instance/imager/diskimage/fsck.go",
			name, version, arch, have, sum)
	}
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return "", fmt.Errorf("make cache: %w", err)
	}
	if err := os.Rename(found[0], cached); err != nil {
		data, err := os.ReadFile(found[0])
		if err != nil {
			return "", fmt.Errorf("read package: %w", err)
		}
		if err := os.WriteFile(cached, data, 0o644); err != nil {
			return "", fmt.Errorf("fill cache: %w", err)
		}
	}
	return cached, nil
}

func fileSHA256(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	sum := sha256.Sum256(bytes.Clone(b))
	return hex.EncodeToString(sum[:]), nil
}
