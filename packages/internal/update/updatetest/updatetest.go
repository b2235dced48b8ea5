// Package updatetest makes signed updates for tests.
package updatetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aead.dev/minisign"

	"porthole/packages/internal/update"
)

// Key signs updates.
type Key struct {
	Public  minisign.PublicKey
	private minisign.PrivateKey
}

// NewKey makes a key.
func NewKey(t testing.TB) Key {
	t.Helper()
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Key{Public: public, private: private}
}

// FixedKey is a key that is the same each time, for fuzz targets: their workers are processes of their own.
func FixedKey(t testing.TB) Key {
	t.Helper()
	public, private, err := minisign.GenerateKey(bytes.NewReader(make([]byte, 1<<10)))
	if err != nil {
		t.Fatal(err)
	}
	return Key{Public: public, private: private}
}

// Sign returns the signature of a manifest.
func (k Key) Sign(manifest []byte) []byte {
	return minisign.SignWithComments(k.private, manifest, "a test", "a test")
}

// Keys returns what a device that trusts these keys has read from its folder.
func Keys(keys ...Key) []minisign.PublicKey {
	var all []minisign.PublicKey
	for _, k := range keys {
		all = append(all, k.Public)
	}
	return all
}

// WriteKeys writes a folder as a device has it: the current key, and the next one.
func WriteKeys(t testing.TB, dir string, current, next Key) {
	t.Helper()
	for name, k := range map[string]Key{update.CurrentKey: current, update.NextKey: next} {
		text, err := k.Public.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// built is when every update of this package was.
var built = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Update is an update in the making: change what is to be wrong with it before Bundle.
type Update struct {
	Manifest update.Manifest
	// Content holds the parts as they are written, stored as the bundle holds them.
	Content, stored map[string][]byte
}

// New makes an update for a board with these parts; the boot part is stored compressed, the root as it is.
func New(t testing.TB, board, version string, boot, root []byte) *Update {
	t.Helper()
	u := &Update{
		Manifest: update.Manifest{Format: update.Format, Product: update.Product, Board: board, Version: version, Built: built},
		Content:  map[string][]byte{update.PartBoot: boot, update.PartRoot: root},
		stored:   map[string][]byte{update.PartRoot: root},
	}
	var packed bytes.Buffer
	if err := update.Compress(&packed, bytes.NewReader(boot)); err != nil {
		t.Fatal(err)
	}
	u.stored[update.PartBoot] = packed.Bytes()
	for _, name := range []string{update.PartBoot, update.PartRoot} {
		sum := sha256.Sum256(u.Content[name])
		p := update.ManifestPart{Name: name, Size: int64(len(u.Content[name])), SHA256: hex.EncodeToString(sum[:]), Stored: int64(len(u.stored[name]))}
		if name == update.PartBoot {
			p.Encoding = update.Zstd
		}
		u.Manifest.Parts = append(u.Manifest.Parts, p)
	}
	return u
}

// Signed returns the manifest and its signature.
func (u *Update) Signed(t testing.TB, k Key) (manifest, signature []byte) {
	t.Helper()
	manifest, err := u.Manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return manifest, k.Sign(manifest)
}

// Bundle returns the file.
func (u *Update) Bundle(t testing.TB, k Key) []byte {
	t.Helper()
	manifest, signature := u.Signed(t, k)
	var out bytes.Buffer
	err := update.WriteBundle(&out, manifest, signature, func(p update.ManifestPart) (io.ReadCloser, error) {
		if u.stored[p.Name] == nil {
			return nil, errors.New("there is no such part")
		}
		return io.NopCloser(bytes.NewReader(u.stored[p.Name])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
