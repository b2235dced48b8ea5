package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ImageOptions say which image to build.
type ImageOptions struct {
	// Repo is the checkout, Out the folder for the image, Board "pi" or "vm".
	Repo, Out, Board string
	// Packages are programs to run beside the appliance's own, for tests: Go import paths below porthole/.
	Packages []string
	// Args are flags to start processes with, for tests: process=flag.
	Args []string
	// Version is what the programs say of themselves: as `git describe` writes it, see TestVersion.
	Version string
	// KeysDir holds the keys that updates are signed with; they are made if there are none. Empty: the folder keys in Out.
	KeysDir string
	// Update asks for the update file too, see BundlePath.
	Update bool
	// Env is added to the build's environment.
	Env []string
	// Progress gets the imager's lines.
	Progress io.Writer
}

// TestVersion is that of a test's images; tests that need a newer or an older one count from there.
const TestVersion = "v1.2.3"

// BundlePath is where BuildImage puts the update file of an image.
func (o ImageOptions) BundlePath() string {
	return filepath.Join(o.Out, fmt.Sprintf("porthole-%s-%s.update", o.Version, o.Board))
}

// overlays are the Makefile's targets for what is laid over a board's root file system.
var overlays = map[string]string{"pi": "build/overlay-arm64", "vm": "build/overlay-amd64"}

// BuildImage runs the imager, with the decoder as `make image` does, and returns the image's path. Test keys never come from, or go to, the checkout.
func BuildImage(ctx context.Context, o ImageOptions) (string, error) {
	tool := filepath.Join(o.Out, "imager")
	compile := exec.CommandContext(ctx, "go", "build", "-o", tool, "./gokrazy-instance/imager")
	compile.Dir = o.Repo
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the imager: %w\n%s", err, out)
	}
	if o.KeysDir == "" {
		o.KeysDir = filepath.Join(o.Out, "keys")
	}
	if out, err := exec.CommandContext(ctx, tool, "keys", "-dir", o.KeysDir, "-if-missing").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make keys: %w\n%s", err, out)
	}
	verb := "image"
	if o.Update {
		verb = "update"
	}
	args := []string{verb, "-board", o.Board, "-repo", o.Repo, "-out", o.Out, "-version", o.Version, "-keys", o.KeysDir}
	for _, a := range o.Args {
		args = append(args, "-arg", a)
	}
	for _, p := range o.Packages {
		args = append(args, "-package", p)
	}
	// The decoder itself comes out of the cache if it was built before.
	overlay := exec.CommandContext(ctx, "make", "--no-print-directory", overlays[o.Board])
	overlay.Dir = o.Repo
	overlay.Env = append(os.Environ(), o.Env...)
	overlay.Stdout, overlay.Stderr = o.Progress, o.Progress
	if err := overlay.Run(); err != nil {
		return "", fmt.Errorf("build the decoder: %w", err)
	}
	args = append(args, "-overlay", filepath.Join(o.Repo, overlays[o.Board]))
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = append(os.Environ(), o.Env...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	// The imager's last line says what went wrong.
	cmd.Stderr = o.Progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the image: %w", err)
	}
	path, _, _ := strings.Cut(strings.TrimSpace(stdout.String()), "\n")
	return path, nil
}
