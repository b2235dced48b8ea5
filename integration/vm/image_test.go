package vm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// TestNoSecrets searches the shipped image: no password, no key, no identity, nothing of the machine that built it.
func TestNoSecrets(t *testing.T) {
	image := thePiImage(t)
	root := unpackRoot(t, image)
	boot := unpackBoot(t, image)
	forbidden := buildMachine(t)
	for _, dir := range []string{root, boot} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			checkNoSecret(t, name, b, forbidden)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/gokr-pw.txt", "etc/ssl/gokrazy-web.key.pem", "etc/machine-id", "etc/localtime"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("the image has /%s", name)
		}
	}
	text, err := os.ReadFile(filepath.Join(boot, "porthole.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			t.Errorf("a line of porthole.toml is on: %q", line)
		}
	}
	checkPermEmpty(t, image)
}

// privateKey matches a key in PEM, not a program's mere mention of one.
var privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}`)

func checkNoSecret(t *testing.T, name string, b []byte, forbidden map[string]string) {
	t.Helper()
	if at := privateKey.FindIndex(b); at != nil {
		t.Errorf("%s has a private key at %d", name, at[0])
	}
	for text, what := range forbidden {
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			t.Errorf("%s has %s at %d: %q", name, what, at, b[max(0, at-20):min(len(b), at+len(text)+40)])
		}
	}
}

// buildMachine returns what would tell of the machine that built the image.
func buildMachine(t *testing.T) map[string]string {
	t.Helper()
	abs, err := filepath.Abs(repo)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	forbidden := map[string]string{abs: "the checkout's path", workDir: "the build's path"}
	for _, dir := range strings.Fields(string(out)) {
		forbidden[dir] = "a Go cache's path"
	}
	id, err := os.ReadFile("/etc/machine-id")
	if err == nil && len(bytes.TrimSpace(id)) == 32 {
		forbidden[string(bytes.TrimSpace(id))] = "the build machine's id"
	}
	private, err := filepath.Glob(filepath.Join(workDir, "keys", "*.key"))
	if err != nil || len(private) != 2 {
		t.Fatalf("the build's private keys: %q, %v", private, err)
	}
	for _, file := range private {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, secret, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if len(secret) < 100 {
			t.Fatalf("%s holds no key", file)
		}
		forbidden[secret] = "a private key for updates"
	}
	return forbidden
}

// cutOut copies a partition of a disk to a file.
func cutOut(t *testing.T, disk string, number int) string {
	t.Helper()
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	p := parts[number-1]
	in, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("partition%d", number))
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, io.NewSectionReader(in, p.Start, p.Size)); err != nil {
		t.Fatal(err)
	}
	return path
}

// runTool runs a Debian tool and returns what it says.
func runTool(t *testing.T, pkg, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Fatalf("%s is missing: install the Debian package %s", name, pkg)
		}
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func unpackRoot(t *testing.T, disk string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	runTool(t, "squashfs-tools", "unsquashfs", "-no-progress", "-no-xattrs", "-dest", dir, cutOut(t, disk, 2))
	return dir
}

func unpackBoot(t *testing.T, disk string) string {
	t.Helper()
	dir := t.TempDir()
	fat := cutOut(t, disk, 1)
	runTool(t, "dosfstools", "fsck.fat", "-n", fat)
	runTool(t, "mtools", "mcopy", "-s", "-i", fat, "::*", dir)
	return dir
}

// checkPermEmpty: the storage of a fresh image holds nothing.
func checkPermEmpty(t *testing.T, disk string) {
	t.Helper()
	perm := cutOut(t, disk, 4)
	runTool(t, "e2fsprogs", "e2fsck", "-f", "-n", perm)
	if out := runTool(t, "e2fsprogs", "debugfs", "-R", "ls -p /", perm); strings.Count(out, "\n/") > 3 || !strings.Contains(out, "lost+found") {
		t.Errorf("the fresh storage holds:\n%s", out)
	}
}

// TestSameBytes builds the image again, from another folder, at another time, with another time zone and umask: not a
// byte may differ. The decoder is compiled again as well, which takes minutes; with -short it comes out of the cache.
func TestSameBytes(t *testing.T) {
	first := thePiImage(t)
	elsewhere := filepath.Join(t.TempDir(), "somewhere", "else")
	copyCheckout(t, elsewhere)
	epoch, err := exec.CommandContext(t.Context(), "git", "-C", repo, "log", "-1", "--format=%ct").Output()
	if err != nil {
		t.Fatal(err)
	}
	// The copy is no git checkout: it is told the time of the commit.
	env := []string{"SOURCE_DATE_EPOCH=" + strings.TrimSpace(string(epoch)), "TZ=Asia/Kathmandu", "LANG=de_DE.UTF-8"}
	if !testing.Short() {
		env = append(env, otherCache(t)...)
	}
	second, err := vm.BuildImage(t.Context(), vm.ImageOptions{
		Repo: elsewhere, Out: filepath.Join(elsewhere, "build"), Board: "pi", Version: vm.TestVersion, Progress: progress(t), Env: env,
		KeysDir: filepath.Join(workDir, "keys"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := sum(t, first), sum(t, second); a != b {
		t.Errorf("the images differ: %s", difference(t, first, second))
	}
}

// otherCache makes a cache that holds what Porthole's builds have downloaded, and nothing they have built, and returns the
// environment that names it. Go's own cache stays: what it holds is checked by its content.
func otherCache(t *testing.T) []string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, downloads := range []string{"porthole/decoder/sources", "porthole/deb"} {
		if err := os.CopyFS(filepath.Join(dir, downloads), os.DirFS(filepath.Join(cache, downloads))); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"XDG_CACHE_HOME=" + dir, "GOCACHE=" + strings.TrimSpace(string(out))}
}

// TestLicences: the image holds the licences of what it is made of, where Go's own tools do not put them, and the offer
// of the decoder's source.
func TestLicences(t *testing.T) {
	root := unpackRoot(t, thePiImage(t))
	for name, want := range map[string]string{
		"README":                                 "e2fsprogs",
		"porthole/LICENSE":                       "Apache License",
		"go-fonts/LICENSE-go-fonts.txt":          "Bigelow & Holmes",
		"decoder/SOURCE-OFFER.txt":               "complete corresponding source",
		"decoder/LICENSES/ffmpeg-LGPL-2.1.txt":   "GNU LESSER GENERAL PUBLIC LICENSE",
		"decoder/LICENSES/libvpx-LICENSE.txt":    "The WebM Project authors",
		"decoder/LICENSES/opus-COPYING.txt":      "Xiph.Org",
		"decoder/LICENSES/glibc-copyright.txt":   "GNU C Library",
		"e2fsck/copyright":                       "GPL",
		"kernel.rpi/LICENSE.linux":               "GNU GENERAL PUBLIC LICENSE",
		"go/github.com/pion/webrtc/v4@*/LICENSE": "Permission is hereby granted",
	} {
		found, err := filepath.Glob(filepath.Join(root, "usr", "share", "licenses", name))
		if err != nil || len(found) == 0 {
			t.Errorf("the image has no %s (%v)", name, err)
			continue
		}
		if text, err := os.ReadFile(found[0]); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not speak of %q (%v)", name, want, err)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "usr", "local", "bin", "ffmpeg-porthole")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the image has no decoder: %v", err)
	}
}

// copyCheckout copies the files that git knows of or would take, as they are now, with other modes and times.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	list, err := exec.CommandContext(t.Context(), "git", "-C", repo, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(list), "\x00"), "\x00") {
		from, dest := filepath.Join(repo, name), filepath.Join(to, name)
		b, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dest, b, info.Mode().Perm()&^0o077); err != nil {
			t.Fatal(err)
		}
	}
}

func sum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// difference says in which partition two images differ first, and in which file if it is the root file system.
func difference(t *testing.T, a, b string) string {
	t.Helper()
	for n := 1; n <= 4; n++ {
		if sum(t, cutOut(t, a, n)) == sum(t, cutOut(t, b, n)) {
			continue
		}
		if n == 2 {
			out, err := exec.CommandContext(t.Context(), "diff", "-rq", unpackRoot(t, a), unpackRoot(t, b)).CombinedOutput()
			return fmt.Sprintf("root file system: %s (%v)", out, err)
		}
		return fmt.Sprintf("partition %d", n)
	}
	return "outside of all partitions"
}
