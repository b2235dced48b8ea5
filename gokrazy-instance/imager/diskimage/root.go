package diskimage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// makeRoot turns gok's root file system into Porthole's.
func (b *Builder) makeRoot(ctx context.Context) error {
	dir := b.work("gok", "root")
	if _, err := (tool{name: "unsquashfs", args: []string{"-no-progress", "-no-xattrs", "-dest", dir,
		b.work("gok", "root.squashfs")}}).run(ctx); err != nil {
		return err
	}
	t := tree{}
	if err := t.addDir("", dir); err != nil {
		return err
	}
	if err := b.curate(ctx, t); err != nil {
		return err
	}
	if err := b.addFsck(ctx, t); err != nil {
		return err
	}
	for _, dir := range append([]string{filepath.Join(b.Repo, "overlays", "rootfs")}, b.Overlays...) {
		if err := t.addDir("", dir); err != nil {
			return err
		}
	}
	out := b.work("root.squashfs")
	if err := b.squash(ctx, t, out); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return fmt.Errorf("look at root file system: %w", err)
	}
	if info.Size() > rootSize {
		return fmt.Errorf("the root file system has %d MB, its partition %d MB", info.Size()/mib, rootSize/mib)
	}
	return nil
}

// curate takes out what gok copied from the build machine and adds what a Porthole needs.
func (b *Builder) curate(ctx context.Context, t tree) error {
	// The build machine's time zone: the appliance has its own setting.
	delete(t, "etc/localtime")
	// The build machine's certificate store may hold certificates of its owner's making. Go's copy of Mozilla's list
	// does not.
	roots, err := caBundle()
	if err != nil {
		return err
	}
	t.file("etc/ssl/ca-bundle.pem", roots)
	buildInfos, err := cleanSBOM(t)
	if err != nil {
		return err
	}
	if err := b.addLicences(ctx, t, buildInfos); err != nil {
		return err
	}
	list, err := os.ReadFile(b.work("processes.json"))
	if err != nil {
		return fmt.Errorf("read process list: %w", err)
	}
	t.file("etc/porthole/processes.json", list)
	about, err := json.Marshal(map[string]any{"board": b.Board.Name, "version": b.Version, "time": b.Time.UTC()})
	if err != nil {
		return fmt.Errorf("describe build: %w", err)
	}
	t.file("etc/porthole/build.json", append(about, '\n'))
	addKeys(t, b.Keys)
	// Where init mounts the boot partition.
	t.dirs("boot")
	return nil
}

// caBundle returns the certificate authorities a device trusts, as PEM. Those with conditions that a PEM file cannot
// hold (distrusted after a date) are left out.
func caBundle() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("encode certificate authority: %w", err)
		}
	}
	return out.Bytes(), nil
}

// cleanSBOM removes the build machine's paths from gok's list of what went into the image, and returns what the programs
// in it say of their modules.
func cleanSBOM(t tree) ([]string, error) {
	const name = "etc/gokrazy/sbom.json"
	old, err := t[name].read()
	if err != nil {
		return nil, fmt.Errorf("read gok's list of parts: %w", err)
	}
	var in struct {
		SBOM struct {
			ConfigHash struct {
				Path string `json:"path"`
				Hash string `json:"hash"`
			} `json:"config_hash"`
			GoPackages []struct {
				Path      string `json:"path"`
				BuildID   string
				BuildInfo string
			} `json:"go_packages"`
		} `json:"sbom"`
	}
	if err := json.Unmarshal(old, &in); err != nil {
		return nil, fmt.Errorf("read gok's list of parts: %w", err)
	}
	if len(in.SBOM.GoPackages) == 0 {
		return nil, errors.New("gok's list of parts names no programs: its format has changed")
	}
	in.SBOM.ConfigHash.Path = "config.json"
	parts, err := json.Marshal(in.SBOM)
	if err != nil {
		return nil, fmt.Errorf("encode list of parts: %w", err)
	}
	sum := sha256.Sum256(parts)
	out, err := json.MarshalIndent(map[string]any{"sbom_hash": hex.EncodeToString(sum[:]), "sbom": json.RawMessage(parts)}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode list of parts: %w", err)
	}
	t.file(name, append(out, '\n'))
	var infos []string
	for _, p := range in.SBOM.GoPackages {
		infos = append(infos, p.BuildInfo)
	}
	return infos, nil
}

// squash writes the tree as a SquashFS. zlib: kernel.rpi reads nothing else.
func (b *Builder) squash(ctx context.Context, t tree, out string) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := t.writeTar(w, b.Time)
		w.CloseWithError(err)
		written <- err
	}()
	at := strconv.FormatInt(b.Time.Unix(), 10)
	_, err := tool{name: "mksquashfs", stdin: r, args: []string{"-", out, "-tar", "-noappend", "-reproducible", "-no-xattrs",
		"-comp", "gzip", "-Xcompression-level", "9", "-b", "131072", "-all-root", "-root-mode", "0755",
		"-mkfs-time", at, "-all-time", at, "-no-progress", "-quiet"}}.run(ctx)
	r.CloseWithError(errors.New("mksquashfs has ended"))
	if tarErr := <-written; err == nil && tarErr != nil {
		return tarErr
	}
	return err
}
