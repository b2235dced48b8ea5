package vm_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"porthole/gokrazy-instance/imager/keys"
	"porthole/packages/updatekit"
)

// master is a test image taken apart: updates are made of its parts without compiling anything again.
type master struct {
	board string
	// boot is its boot part, root its root file system's file.
	boot []byte
	root string
	keys *keys.Keys
}

// takeApart finds what a test image was made of.
func takeApart(t *testing.T, image, board string) *master {
	t.Helper()
	dir := filepath.Join(filepath.Dir(image), "image", board)
	boot, err := os.ReadFile(filepath.Join(dir, "boot.tar"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.Load(filepath.Join(workDir, "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	return &master{board: board, boot: boot, root: filepath.Join(dir, "root.squashfs"), keys: k}
}

// bundle is an update in the making.
type bundle struct {
	manifest updatekit.Manifest
	// content holds the parts as they are written.
	content map[string][]byte
}

func newBundle(board, version string, boot, root []byte) *bundle {
	b := &bundle{content: map[string][]byte{updatekit.PartBoot: boot, updatekit.PartRoot: root}, manifest: updatekit.Manifest{
		Format: updatekit.Format, Product: updatekit.Product, Board: board, Version: version, Built: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}}
	for _, name := range []string{updatekit.PartBoot, updatekit.PartRoot} {
		sum, size := sha256.Sum256(b.content[name]), int64(len(b.content[name]))
		b.manifest.Parts = append(b.manifest.Parts, updatekit.ManifestPart{Name: name, Size: size, Stored: size, SHA256: hex.EncodeToString(sum[:])})
	}
	return b
}

// signed returns the manifest and its signature.
func (b *bundle) signed(t *testing.T, k *keys.Keys) (manifest, signature []byte) {
	t.Helper()
	manifest, err := b.manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if signature, err = k.Sign(manifest, "a test"); err != nil {
		t.Fatal(err)
	}
	return manifest, signature
}

// write writes the update's file.
func (b *bundle) write(t *testing.T, k *keys.Keys, path string) {
	t.Helper()
	manifest, signature := b.signed(t, k)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = updatekit.WriteBundle(f, manifest, signature, func(p updatekit.ManifestPart) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.content[p.Name])), nil
	})
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// change is what is different in an update. A nil function changes nothing.
type change struct {
	// boot gets each file of the boot part and returns what it is to be.
	boot func(name string, content []byte) []byte
	// root gets the folder of the unpacked root file system.
	root func(dir string) error
	// flags are given to system besides those it has.
	flags []string
}

// make makes an update to a version.
func (m *master) make(t *testing.T, version string, c change) *bundle {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	runTool(t, "squashfs-tools", "unsquashfs", "-q", "-n", "-no-xattrs", "-dest", dir, m.root)
	about := filepath.Join(dir, "etc", "porthole", "build.json")
	rewriteJSON(t, about, func(v map[string]any) { v["version"] = version })
	if len(c.flags) > 0 {
		giveFlags(t, filepath.Join(dir, "etc", "porthole", "processes.json"), c.flags)
	}
	if c.root != nil {
		if err := c.root(dir); err != nil {
			t.Fatal(err)
		}
	}
	packed := dir + ".squashfs"
	// Fast, not small.
	runTool(t, "squashfs-tools", "mksquashfs", dir, packed, "-quiet", "-no-progress", "-noappend", "-all-root", "-comp", "gzip", "-Xcompression-level", "1")
	root, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{dir, packed} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
	}
	boot := m.boot
	if c.boot != nil {
		boot = rewriteBoot(t, m.boot, c.boot)
	}
	return newBundle(m.board, version, boot, root)
}

func rewriteJSON(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	change(v)
	replaceFile(t, path, v)
}

// giveFlags changes the list of processes.
func giveFlags(t *testing.T, path string, flags []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p["path"] == "/user/system" {
			args, _ := p["args"].([]any)
			for _, flag := range flags {
				args = append(args, flag)
			}
			p["args"] = args
		}
	}
	replaceFile(t, path, list)
}

func replaceFile(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o444); err != nil {
		t.Fatal(err)
	}
}

// rewriteBoot writes a boot part again with other files' contents; nil drops a file.
func rewriteBoot(t *testing.T, boot []byte, change func(string, []byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for r := tar.NewReader(bytes.NewReader(boot)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if content = change(h.Name, content); content == nil {
			continue
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// stuck compiles the program that never gets ready, for a board.
func stuck(t *testing.T, board string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "stuck")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", out, "./integration/vm/stuck")
	cmd.Dir = repo
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+map[string]string{"pi": "arm64", "vm": "amd64"}[board])
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

// inPlaceOf returns a change that puts a program in the place of another.
func inPlaceOf(name, program string) func(dir string) error {
	return func(dir string) error {
		b, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o555)
	}
}

// ended are the phases in which nothing is going on.
func ended(phase string) bool {
	return phase == "idle" || phase == "kept" || phase == "rolled-back" || phase == "failed"
}

// bringing bounds the transfer of a part into a guest.
const bringing = patience
