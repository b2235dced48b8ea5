package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"porthole/integration/vm"
	"porthole/packages/updatekit"
)

// changedProgram is a file that is added to one program, as a small correction would be: it must not be optimised away.
const (
	changedProgram = "packages/console/benchchange.go"
	change         = "package main\n\nimport \"os\"\n\nfunc init() {\n\tif len(os.Args) > 1<<20 {\n\t\tpanic(\"more arguments than anybody gives\")\n\t}\n}\n"
)

// measureUpdate builds the Raspberry Pi's update twice, as two releases that differ in one program, and says how much of the
// second a device that runs the first is sent: the parts whose hashes differ.
func measureUpdate(ctx context.Context, dir string) (*table, error) {
	repo := filepath.Join(dir, "checkout")
	if err := copyCheckout(ctx, repo); err != nil {
		return nil, err
	}
	o := vm.ImageOptions{Repo: repo, Board: "pi", Update: true, KeysDir: filepath.Join(dir, "keys"), Progress: os.Stderr}
	o.Version, o.Out, o.Env = "v1.0.0", filepath.Join(dir, "first"), []string{"SOURCE_DATE_EPOCH=1800000000"}
	before, _, err := buildUpdate(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(repo, changedProgram), []byte(change), 0o600); err != nil {
		return nil, fmt.Errorf("change a program: %w", err)
	}
	o.Version, o.Out, o.Env = "v1.0.1", filepath.Join(dir, "second"), []string{"SOURCE_DATE_EPOCH=1800604800"}
	after, image, err := buildUpdate(ctx, o)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(o.BundlePath())
	if err != nil {
		return nil, fmt.Errorf("look at the update: %w", err)
	}
	packed, err := compressedSize(image)
	if err != nil {
		return nil, err
	}
	sent, parts := int64(0), "nothing"
	for _, p := range after.Parts {
		if had, _ := before.Part(p.Name); had.SHA256 != p.SHA256 {
			sent += p.Stored
			parts = strings.TrimPrefix(parts+", "+p.Name, "nothing, ")
		}
	}
	t := newTable()
	t.set(value, "update: the whole file", megabytes(info.Size()))
	for _, p := range after.Parts {
		t.set(value, "update: part "+p.Name+", as sent / as written", megabytes(p.Stored)+" / "+megabytes(p.Size))
	}
	t.set(value, "update: sent when one program has changed", fmt.Sprintf("%s (%s), %.0f %% of the file", megabytes(sent), parts, 100*float64(sent)/float64(info.Size())))
	t.set(value, "image of the same build, compressed", megabytes(packed))
	return t, nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func buildUpdate(ctx context.Context, o vm.ImageOptions) (updatekit.Manifest, string, error) {
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return updatekit.Manifest{}, "", fmt.Errorf("make a folder: %w", err)
	}
	image, err := vm.BuildImage(ctx, o)
	if err != nil {
		return updatekit.Manifest{}, "", err
	}
	f, err := os.Open(o.BundlePath())
	if err != nil {
		return updatekit.Manifest{}, "", fmt.Errorf("open the update: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return updatekit.Manifest{}, "", fmt.Errorf("look at the update: %w", err)
	}
	b, err := updatekit.OpenBundle(f, info.Size())
	if err != nil {
		return updatekit.Manifest{}, "", err
	}
	m, err := updatekit.ParseManifest(b.Manifest)
	return m, image, err
}

// compressedSize is what a file would take as .zst.
func compressedSize(file string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, fmt.Errorf("open the image: %w", err)
	}
	defer f.Close()
	var n counter
	if err := updatekit.Compress(&n, f); err != nil {
		return 0, err
	}
	return int64(n), nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// copyCheckout copies the files that git knows of or would take, as they are now.
func copyCheckout(ctx context.Context, to string) error {
	list, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("ask git for the checkout's files: %w", err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(list), "\x00"), "\x00") {
		if err := copyFile(name, filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copy the checkout: %w", err)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
