package update

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aead.dev/minisign"
)

// KeysDir is where a device's root file system holds the keys it trusts.
const KeysDir = "/etc/porthole/update-keys"

// Files of KeysDir: the key that releases are signed with, and the one that will be next.
const (
	CurrentKey = "current.pub"
	NextKey    = "next.pub"
)

// maxKey is the largest file that a public key is read from, in bytes.
const maxKey = 1 << 10

// ErrNoKeys means that a device has no keys: it cannot tell whose an update is, and takes none.
var ErrNoKeys = errors.New("this Porthole was built without keys for updates: it takes none; write a new image to its card")

// ReadKeys returns the keys in a folder: current.pub, and next.pub if there is one. The error is ErrNoKeys if there is
// neither.
func ReadKeys(dir string) ([]minisign.PublicKey, error) {
	var keys []minisign.PublicKey
	for _, name := range []string{CurrentKey, NextKey} {
		key, err := readKey(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read key for updates: %w", err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, ErrNoKeys
	}
	return keys, nil
}

func readKey(path string) (minisign.PublicKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return minisign.PublicKey{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return minisign.PublicKey{}, err
	}
	var key minisign.PublicKey
	if len(text) > maxKey {
		return key, fmt.Errorf("%s is larger than %d bytes", path, maxKey)
	}
	if err := key.UnmarshalText(text); err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// KeyID names a key as minisign does: 16 hexadecimal digits.
func KeyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// Verify checks that the manifest was signed by one of the keys, and only then reads it. The error is a *Refusal, or
// ErrNoKeys.
func Verify(manifest, signature []byte, keys []minisign.PublicKey) (Manifest, error) {
	if len(keys) == 0 {
		return Manifest{}, ErrNoKeys
	}
	if len(manifest) > MaxManifest {
		return Manifest{}, refuse(ErrManifest, "The update's manifest is larger than %d KiB: this is not an update for Porthole.", MaxManifest>>10)
	}
	var s minisign.Signature
	if len(signature) > MaxSignature || s.UnmarshalText(signature) != nil {
		return Manifest{}, refuse(ErrSignature, "The update's signature cannot be read: the file is damaged or was not signed. Get it again from where it came from.")
	}
	known := false
	var names []string
	for _, key := range keys {
		if minisign.Verify(key, manifest, signature) {
			return ParseManifest(manifest)
		}
		known = known || key.ID() == s.KeyID
		names = append(names, KeyID(key.ID()))
	}
	if known {
		return Manifest{}, refuse(ErrSignature, "The update's signature is wrong: the file was changed or damaged after it was signed. Get it again from where it came from.")
	}
	return Manifest{}, refuse(ErrSignature, "The update is signed with key %s, which this device does not trust (it trusts %s): it is for somebody else's devices, or signed with a key that came later than this version.",
		KeyID(s.KeyID), strings.Join(names, " and "))
}
