package diskimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"porthole/gokrazy-instance/imager/keys"
	"porthole/packages/updatekit"
)

// Builder makes the image of one board.
type Builder struct {
	Board Board
	// Repo is the checkout, Out where the image goes, Cache where downloads are kept.
	Repo, Out, Cache string
	// Version is what the programs say of themselves, as package update reads it; Time is every time stamp in the image.
	Version string
	Time    time.Time
	// Minimum is the oldest version that can take the update to this one directly; empty: any.
	Minimum string
	// Keys are those the image takes updates from, and what its own update is signed with; without any it takes none.
	Keys *keys.Keys
	// Args are flags to add to processes, for tests: by the process's name.
	Args map[string][]string
	// Packages are programs of this module to run beside the board's own, for tests.
	Packages []string
	// Overlays are folders laid over the root file system, later ones over earlier ones.
	Overlays []string
	// Progress gets a line per step.
	Progress io.Writer

	// boot is what lies at the top of the boot partition, part what lies in a slot, and slotFiles what is added to the image's
	// slot: its manifest and signature, by name.
	boot, part tree
	slotFiles  map[string][]byte
}

// Image builds the image and returns its path.
func (b *Builder) Image(ctx context.Context) (string, error) {
	for _, dir := range []*string{&b.Repo, &b.Out, &b.Cache} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return "", fmt.Errorf("find folder %s: %w", *dir, err)
		}
		*dir = abs
	}
	if err := b.checkVersions(); err != nil {
		return "", err
	}
	if err := os.RemoveAll(b.work("")); err != nil {
		return "", fmt.Errorf("clear the last build: %w", err)
	}
	if err := os.MkdirAll(b.work(""), 0o755); err != nil {
		return "", fmt.Errorf("make build folder: %w", err)
	}
	image := filepath.Join(b.Out, "porthole-"+b.Board.Name+".img")
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"compiling for " + b.Board.Arch, b.runGok},
		{"making the root file system", b.makeRoot},
		{"laying out the boot file system", b.makeBoot},
		{"making the update's parts", b.makeManifest},
		{"making the boot file system", b.makeBootFAT},
		{"making /perm", b.makePerm},
		{"writing " + filepath.Base(image), func(context.Context) error { return b.assemble(image) }},
	} {
		if err := b.step(ctx, s.name, s.run); err != nil {
			return "", err
		}
	}
	return image, nil
}

func (b *Builder) checkVersions() error {
	if _, err := updatekit.ParseVersion(b.Version); err != nil {
		return err
	}
	if b.Minimum == "" {
		return nil
	}
	_, err := updatekit.ParseVersion(b.Minimum)
	return err
}

// Compress writes image.zst beside the image and returns its path.
func (b *Builder) Compress(ctx context.Context, image string) (string, error) {
	out := image + ".zst"
	return out, b.step(ctx, "compressing "+filepath.Base(image), func(ctx context.Context) error {
		return compress(ctx, image, out)
	})
}

// work returns a path in this board's build folder.
func (b *Builder) work(elem ...string) string {
	return filepath.Join(append([]string{b.Out, "image", b.Board.Name}, elem...)...)
}

// tick is how often a long step says that it goes on.
const tick = 5 * time.Second

func (b *Builder) step(ctx context.Context, name string, run func(context.Context) error) error {
	fmt.Fprintf(b.Progress, "%s: %s …\n", b.Board.Name, name)
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(b.Progress, "%s: %s: done in %.1f s\n", b.Board.Name, name, time.Since(start).Seconds())
			return nil
		case <-t.C:
			fmt.Fprintf(b.Progress, "%s: %s: %.0f s\n", b.Board.Name, name, time.Since(start).Seconds())
		}
	}
}

// tool is one run of a program of the build machine.
type tool struct {
	name  string
	args  []string
	dir   string
	env   []string
	stdin io.Reader
}

// pkgOf names the Debian package of each tool, for the message when one is missing.
var pkgOf = map[string]string{
	"mksquashfs": "squashfs-tools", "unsquashfs": "squashfs-tools",
	"mcopy": "mtools", "mke2fs": "e2fsprogs", "dpkg-deb": "dpkg", "apt-get": "apt",
}

// run runs t and returns its standard output. What it printed is in the error if it fails.
func (t tool) run(ctx context.Context) ([]byte, error) {
	path, err := lookPath(t.name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, t.args...)
	cmd.Dir = t.dir
	cmd.Stdin = t.stdin
	// A fixed time zone and language: FAT stores local time. The time is told to each tool in its own way: mksquashfs does
	// not want to hear it twice.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SOURCE_DATE_EPOCH=") })
	cmd.Env = append(append(env, "TZ=UTC", "LC_ALL=C"), t.env...)
	var stdout, all bytes.Buffer
	cmd.Stdout = io.MultiWriter(&stdout, &all)
	cmd.Stderr = &all
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(t.name), err, tail(all.String()))
	}
	return stdout.Bytes(), nil
}

// tailLines is how much of a failed tool's output is shown.
const tailLines = 20

func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// lookPath also looks where Debian keeps tools that are not on everybody's PATH.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			return path, nil
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil && pkgOf[name] != "" {
		return "", fmt.Errorf("%s is missing: install the Debian package %s", name, pkgOf[name])
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is missing on this machine", name)
	}
	return path, err
}

// goEnv asks the go command for its settings.
func goEnv(ctx context.Context, names ...string) ([]string, error) {
	out, err := tool{name: "go", args: append([]string{"env"}, names...)}.run(ctx)
	if err != nil {
		return nil, err
	}
	values := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(values) != len(names) {
		return nil, fmt.Errorf("go env answered %d values for %d names", len(values), len(names))
	}
	var env []string
	for i, n := range names {
		env = append(env, n+"="+values[i])
	}
	return env, nil
}
