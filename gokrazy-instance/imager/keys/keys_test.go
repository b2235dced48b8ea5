package keys_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"porthole/gokrazy-instance/imager/keys"
	"porthole/packages/updatekit"
)

// device returns the keys that a device with an image of that build trusts.
func device(t *testing.T, k *keys.Keys) []minisign.PublicKey {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string][]byte{updatekit.CurrentKey: k.Current, updatekit.NextKey: k.Next} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := updatekit.ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func load(t *testing.T, dir, password string) *keys.Keys {
	t.Helper()
	k, err := keys.Load(dir, password)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t *testing.T, k *keys.Keys, version string) (manifest, signature []byte) {
	t.Helper()
	part := updatekit.ManifestPart{Name: updatekit.PartBoot, Size: 1, Stored: 1, SHA256: strings.Repeat("0", 64)}
	root := part
	root.Name = updatekit.PartRoot
	manifest, err := updatekit.Manifest{Format: updatekit.Format, Product: updatekit.Product, Board: "pi", Version: version,
		Built: time.Unix(1.8e9, 0), Parts: []updatekit.ManifestPart{part, root}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if signature, err = k.Sign(manifest, "porthole "+version); err != nil {
		t.Fatal(err)
	}
	return manifest, signature
}

// TestRotation follows a device in the field through two rotations: it takes updates signed with its next key, and with no
// key that it never heard of.
func TestRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if made, err := keys.Made(dir); made || err != nil {
		t.Fatalf("before they are made: %v, %v", made, err)
	}
	if err := keys.Make(dir, ""); err != nil {
		t.Fatal(err)
	}
	first := load(t, dir, "")
	inField := device(t, first)
	if m, s := signed(t, first, "v1.0.0"); !bytes.Equal(s, second(first.Sign(m, "porthole v1.0.0"))) {
		t.Error("signing twice gives different signatures")
	}
	now, err := keys.Rotate(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	rotated := load(t, dir, "")
	if !bytes.Equal(rotated.Current, first.Next) || now != updatekit.KeyID(inField[1].ID()) || bytes.Equal(rotated.Next, first.Next) {
		t.Errorf("after the rotation the current key is %s (%s), the next %s", rotated.Current, now, rotated.Next)
	}
	m, s := signed(t, rotated, "v1.1.0")
	if _, err := updatekit.Verify(m, s, inField); err != nil {
		t.Errorf("a device in the field refuses what the next key signed: %v", err)
	}
	retired := "retired-" + updatekit.KeyID(inField[0].ID())
	for name, mode := range map[string]fs.FileMode{
		keys.ReleaseKey: 0o600, keys.NextKey: 0o600, retired + ".key": 0o600, keys.ReleasePub: 0o644, keys.NextPub: 0o644, retired + ".pub": 0o644,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := os.Stat(dir + ".rotating"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the rotation is still there: %v", err)
	}
	if _, err := keys.Rotate(dir, ""); err != nil {
		t.Fatal(err)
	}
	twice := load(t, dir, "")
	m, s = signed(t, twice, "v1.2.0")
	if _, err := updatekit.Verify(m, s, inField); err == nil || !strings.Contains(err.Error(), "does not trust") {
		t.Errorf("a device that missed a rotation takes a key it never heard of: %v", err)
	}
	if _, err := updatekit.Verify(m, s, device(t, rotated)); err != nil {
		t.Errorf("a device that took part refuses: %v", err)
	}
}

func second(s []byte, _ error) []byte { return s }

// TestNeverLost: nothing that is asked of a folder of keys loses one.
func TestNeverLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Make(dir, ""); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	if err := keys.Make(dir, ""); err == nil || !strings.Contains(err.Error(), "-rotate") {
		t.Errorf("making them again: %v", err)
	}
	// One of them alone is as good a reason.
	part := t.TempDir()
	if err := os.WriteFile(filepath.Join(part, keys.NextPub), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.Make(part, ""); err == nil {
		t.Error("keys are made beside another one")
	}
	// The next key is kept elsewhere: building goes on without it, rotating asks for it.
	away := filepath.Join(t.TempDir(), keys.NextKey)
	if err := os.Rename(filepath.Join(dir, keys.NextKey), away); err != nil {
		t.Fatal(err)
	}
	if k := load(t, dir, ""); !k.CanSign() {
		t.Error("without the next key nothing can be signed")
	}
	if _, err := keys.Rotate(dir, ""); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("rotating without the next key: %v", err)
	}
	if err := os.Rename(away, filepath.Join(dir, keys.NextKey)); err != nil {
		t.Fatal(err)
	}
	// A next key that is not the one devices know would shut them all out.
	if err := os.WriteFile(filepath.Join(dir, keys.NextKey), []byte(before[keys.ReleaseKey]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Rotate(dir, ""); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("rotating to another key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, keys.NextKey), []byte(before[keys.NextKey]), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range contents(t, dir) {
		if text != before[name] {
			t.Errorf("%s has changed", name)
		}
	}
	// Somebody who only builds, without the private key, cannot sign.
	if err := os.Remove(filepath.Join(dir, keys.ReleaseKey)); err != nil {
		t.Fatal(err)
	}
	k := load(t, dir, "")
	if _, err := k.Sign(nil, ""); k.CanSign() || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the private key: %v", err)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

// TestPassword: with a password the private key in the file is of no use without it.
func TestPassword(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Make(dir, "correct horse"); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]string{"": "set " + keys.PasswordVariable, "wrong": "is wrong"} {
		if _, err := keys.Load(dir, password); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with password %q: %v", password, err)
		}
	}
	if k := load(t, dir, "correct horse"); !k.CanSign() {
		t.Error("with the right password nothing can be signed")
	}
}
