package main_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	randv2 "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"porthole/packages/internal/bootpart"
	"porthole/packages/internal/update"
	"porthole/packages/internal/update/updatetest"
)

// updateBoard is that of the devices and update files here.
const updateBoard = bootpart.BoardPi

// updateBuilt is when all versions here were built.
var updateBuilt = time.Date(2026, 11, 22, 7, 5, 31, 0, time.UTC)

// updateKey signs update files.
type updateKey struct{ updatetest.Key }

func newUpdateKey(t testing.TB) updateKey {
	t.Helper()
	return updateKey{updatetest.NewKey(t)}
}

// release is an update to be made.
type release struct {
	Version string
	// Board is updateBoard if empty.
	Board string
	// Kernel decides the boot part, Programs the root part: releases with the same text share the part. RootSize is that of
	// the root part in bytes, a multiple of 512; 0 means 1 MiB.
	Kernel, Programs string
	RootSize         int
	// Compressed stores the boot part with zstd.
	Compressed bool
}

// updateFile is an update file in memory.
type updateFile struct {
	Manifest  update.Manifest
	Raw       []byte // of the manifest
	Signature []byte
	Bundle    []byte
	// Parts are as they are written, Stored as the file has them.
	Parts, Stored map[string][]byte
}

// file writes the update file and returns its name.
func (u updateFile) file(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "porthole-"+u.Manifest.Version+"-"+u.Manifest.Board+".update")
	if err := os.WriteFile(name, u.Bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// make makes the update.
func (k updateKey) make(t testing.TB, r release) updateFile {
	t.Helper()
	if r.Board == "" {
		r.Board = updateBoard
	}
	if r.RootSize == 0 {
		r.RootSize = 1 << 20
	}
	root := noise("programs "+r.Programs, r.RootSize)
	u := updateFile{Parts: map[string][]byte{update.PartBoot: bootPart(t, r.Kernel), update.PartRoot: root}, Stored: map[string][]byte{}}
	u.Manifest = update.Manifest{Format: update.Format, Product: update.Product, Board: r.Board, Version: r.Version, Built: updateBuilt}
	for _, name := range []string{update.PartBoot, update.PartRoot} {
		part := u.Parts[name]
		sum := sha256.Sum256(part)
		p := update.ManifestPart{Name: name, Size: int64(len(part)), SHA256: hex.EncodeToString(sum[:])}
		u.Stored[name] = part
		if r.Compressed && name == update.PartBoot {
			var b bytes.Buffer
			if err := update.Compress(&b, bytes.NewReader(part)); err != nil {
				t.Fatal(err)
			}
			p.Encoding, u.Stored[name] = update.Zstd, b.Bytes()
		}
		p.Stored = int64(len(u.Stored[name]))
		u.Manifest.Parts = append(u.Manifest.Parts, p)
	}
	raw, err := u.Manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	u.Raw, u.Signature = raw, k.Sign(raw)
	var b bytes.Buffer
	err = update.WriteBundle(&b, u.Raw, u.Signature, func(p update.ManifestPart) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(u.Stored[p.Name])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	u.Bundle = b.Bytes()
	return u
}

// noise is what does not compress, the same for the same text.
func noise(text string, size int) []byte {
	b := make([]byte, size)
	randv2.NewChaCha8(sha256.Sum256([]byte(text))).Read(b)
	return b
}

// bootPart is a boot part with a kernel of half a megabyte.
func bootPart(t testing.TB, kernel string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		text []byte
	}{
		{"cmdline.txt", []byte("console=serial0,115200 root=SLOT rootwait ro\n")},
		{"config.txt", []byte("os_prefix=SLOT/\narm_64bit=1\nkernel=vmlinuz\n")},
		{"overlays/README", []byte("The firmware looks for it.\n")},
		{"vmlinuz", noise("kernel "+kernel, 512<<10)},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text)), ModTime: updateBuilt, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
