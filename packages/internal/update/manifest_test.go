package update_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/update"
	"porthole/packages/internal/update/updatetest"
)

func example(t testing.TB) *updatetest.Update {
	t.Helper()
	return updatetest.New(t, "vm", "v1.2.3-4-gabcdef0", bytes.Repeat([]byte("kernel "), 5000), []byte("hsqs, and the rest"))
}

func TestVerify(t *testing.T) {
	current, next, other := updatetest.NewKey(t), updatetest.NewKey(t), updatetest.NewKey(t)
	dir := t.TempDir()
	updatetest.WriteKeys(t, dir, current, next)
	keys, err := update.ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	u := example(t)
	for _, k := range []updatetest.Key{current, next} {
		manifest, signature := u.Signed(t, k)
		m, err := update.Verify(manifest, signature, keys)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(m, u.Manifest) {
			t.Error(cmp.Diff(u.Manifest, m))
		}
	}
	manifest, signature := u.Signed(t, current)
	changed := bytes.Replace(manifest, []byte("v1.2.3"), []byte("v9.2.3"), 1)
	comment := bytes.Replace(signature, []byte("trusted comment: a test"), []byte("trusted comment: a best"), 2)
	for name, c := range map[string]struct {
		manifest, signature []byte
		want                string
		kind                error
	}{
		"changed":           {changed, signature, "signature is wrong", update.ErrSignature},
		"changed comment":   {manifest, comment, "signature is wrong", update.ErrSignature},
		"another key":       {manifest, other.Sign(manifest), update.KeyID(other.Public.ID()) + ", which this device does not trust", update.ErrSignature},
		"no signature":      {manifest, nil, "cannot be read", update.ErrSignature},
		"half a signature":  {manifest, signature[:len(signature)/2], "cannot be read", update.ErrSignature},
		"endless signature": {manifest, append(bytes.Clone(signature), make([]byte, update.MaxSignature)...), "cannot be read", update.ErrSignature},
		"endless manifest":  {make([]byte, update.MaxManifest+1), signature, "larger than 64 KiB", update.ErrManifest},
		// Nothing of a manifest that is not signed is read, however wrong it is.
		"unsigned rubbish": {[]byte("{"), signature, "signature is wrong", update.ErrSignature},
		"signed rubbish":   {[]byte("{"), current.Sign([]byte("{")), "cannot be used", update.ErrManifest},
	} {
		_, err := update.Verify(c.manifest, c.signature, keys)
		var r *update.Refusal
		if !errors.As(err, &r) || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s gives %v, want %q", name, err, c.want)
		}
	}
	if _, err := update.Verify(manifest, signature, nil); !errors.Is(err, update.ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
}

func TestReadKeys(t *testing.T) {
	dir := t.TempDir()
	if _, err := update.ReadKeys(filepath.Join(dir, "none")); !errors.Is(err, update.ErrNoKeys) {
		t.Errorf("without a folder: %v", err)
	}
	key := updatetest.NewKey(t)
	updatetest.WriteKeys(t, dir, key, updatetest.NewKey(t))
	if err := os.Remove(filepath.Join(dir, update.NextKey)); err != nil {
		t.Fatal(err)
	}
	if keys, err := update.ReadKeys(dir); err != nil || len(keys) != 1 || !keys[0].Equal(key.Public) {
		t.Errorf("with one key: %v, %v", keys, err)
	}
	for text, want := range map[string]string{"rubbish": "next.pub", strings.Repeat("A", 2000): "larger than"} {
		if err := os.WriteFile(filepath.Join(dir, update.NextKey), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// A key that cannot be read is not passed over: somebody meant something by it.
		if _, err := update.ReadKeys(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %.20q as the next key: %v", text, err)
		}
	}
}

func TestManifestRefused(t *testing.T) {
	text, err := example(t).Manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	if _, err := update.ParseManifest([]byte(strings.Replace(good, `"format"`, `"later": {"a": [1, {"b": null}]}, "format"`, 1))); err != nil {
		t.Errorf("a field that later versions may have is refused: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"format": 1`, `"format": 2`, "install a release between the two first"},
		{`"format": 1`, `"format": "1"`, "cannot be used"},
		{`"product": "porthole"`, `"product": "toaster"`, `"toaster", not for Porthole`},
		{`"board": "vm"`, `"board": "../x"`, "is no board"},
		{`"board": "vm"`, `"board": "vm", "Board": "pi"`, "twice"},
		{`"board": "vm"`, `"board": "vm", "x": {"y": 1, "y": 2}`, "twice"},
		{`"board": "vm"`, `"board": "vm", "x": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40), "too deep"},
		{`"board": "vm"`, "\"board\": \"v\xff\"", "UTF-8"},
		{`"version": "v1.2.3`, `"version": "vx.2.3`, "is no version"},
		{`"built": "2026`, `"minimum_version": "old", "built": "2026`, "minimum_version"},
		{`"built": "2026`, `"built": "1970`, "1970"},
		{`"built": "2026`, `"built": "x`, "cannot be used"},
		{`"name": "root"`, `"name": "boot"`, `part "boot" 2 times`},
		{`"name": "root"`, `"name": "other"`, `part "root" 0 times`},
		{`"size": 18`, `"size": -18`, "size of -18"},
		{`"size": 18`, `"size": 9999999999`, "size of 9999999999"},
		{`"size": 18`, `"size": 17`, "instead of 17"},
		{`"stored_size": 18`, `"stored_size": 0`, "stored_size of 0"},
		{`"encoding": "zstd"`, `"encoding": "rar"`, `"rar" is not known`},
		{`"sha256": "`, `"sha256": "0`, "64 hexadecimal digits"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%s is not in %s", c.old, good)
		}
		_, err := update.ParseManifest([]byte(bad))
		if !errors.Is(err, update.ErrManifest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s gives %v, want %q", c.new, err, c.want)
		}
	}
	for _, bad := range []string{"", "null", "[]", good + good, good + "x", good[:len(good)-3]} {
		if _, err := update.ParseManifest([]byte(bad)); !errors.Is(err, update.ErrManifest) {
			t.Errorf("%.40q gives %v", bad, err)
		}
	}
	third := example(t).Manifest
	third.Parts = append(third.Parts, update.ManifestPart{Name: "firmware", Size: 1, Stored: 1, SHA256: strings.Repeat("0", 64)})
	if _, err := third.Encode(); err == nil {
		t.Error("a part that no device knows can be signed")
	}
}

// FuzzManifest: whatever is taken for a manifest keeps its bounds, and is the same when written and read again.
func FuzzManifest(f *testing.F) {
	u := example(f)
	text, err := u.Manifest.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("\n"), nil))
	f.Add([]byte(`{"format":1,"product":"porthole","Format":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := update.ParseManifest(text)
		if err != nil {
			if !errors.Is(err, update.ErrManifest) {
				t.Errorf("an error that is no refusal: %v", err)
			}
			return
		}
		if len(m.Parts) != 2 {
			t.Fatalf("%d parts", len(m.Parts))
		}
		for _, name := range []string{update.PartBoot, update.PartRoot} {
			p, ok := m.Part(name)
			if !ok || p.Size <= 0 || p.Size > update.MaxPart || p.Stored <= 0 || p.Stored > update.MaxPart || len(p.Sum()) != 32 {
				t.Errorf("part %s is %+v", name, p)
			}
		}
		out, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := update.ParseManifest(out)
		if err != nil || !cmp.Equal(again, m) {
			t.Errorf("written and read again (%v): %s", err, cmp.Diff(m, again))
		}
	})
}

// TestFixedKey: the signature fuzz target is about one key, in every process.
func TestFixedKey(t *testing.T) {
	if id := updatetest.FixedKey(t).Public.ID(); id != updatetest.FixedKey(t).Public.ID() {
		t.Error("the key is another each time")
	}
}

// FuzzSignature: no signature but the real one is good, whatever its text looks like, and none is for another manifest.
func FuzzSignature(f *testing.F) {
	key := updatetest.FixedKey(f)
	keys := updatetest.Keys(key)
	manifest, signature := example(f).Signed(f, key)
	var real minisign.Signature
	if err := real.UnmarshalText(signature); err != nil {
		f.Fatal(err)
	}
	f.Add(signature)
	f.Add(bytes.ReplaceAll(signature, []byte("\n"), []byte("\r\n")))
	f.Add(updatetest.NewKey(f).Sign(manifest))
	f.Add([]byte("untrusted comment: \n\ntrusted comment: \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := update.Verify(manifest, text, keys); err != nil {
			if !errors.Is(err, update.ErrSignature) {
				t.Errorf("an error that is no refusal: %v", err)
			}
			return
		}
		var s minisign.Signature
		if err := s.UnmarshalText(text); err != nil || !s.Equal(real) {
			t.Errorf("a signature that was never made is taken: %q", text)
		}
		if _, err := update.Verify(append(bytes.Clone(manifest), ' '), text, keys); err == nil {
			t.Error("it is good for another manifest")
		}
	})
}
