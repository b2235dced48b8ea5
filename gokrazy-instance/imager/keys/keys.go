// Package keys makes and keeps the keys that updates are signed with (docs/updates.md, "Keys"): the current one, and the
// next one, whose public half every image carries already, so that a lost or stolen key can be replaced.
package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"aead.dev/minisign"

	"porthole/packages/updatekit"
)

// Files of a keys folder: private halves, and public ones beside them. Only the public ones and release.key are needed to
// build; next.key is needed to rotate and best kept elsewhere.
const (
	ReleaseKey = "release.key"
	ReleasePub = "release.pub"
	NextKey    = "next.key"
	NextPub    = "next.pub"
)

// PasswordVariable is the environment variable with the password of private keys; empty: they have none.
const PasswordVariable = "PORTHOLE_KEY_PASSWORD"

// Keys are what a build takes from a keys folder.
type Keys struct {
	// Current and Next are public key files, as a device keeps them.
	Current, Next []byte

	private *minisign.PrivateKey
}

// Sign signs an update's manifest. The signature depends on nothing but the key and what is signed. It fails with
// fs.ErrNotExist where the private key is not.
func (k *Keys) Sign(manifest []byte, comment string) ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("sign update: %s is not here: %w", ReleaseKey, fs.ErrNotExist)
	}
	id := updatekit.KeyID(k.private.ID())
	return minisign.SignWithComments(*k.private, manifest, comment, "signature from Porthole's release key "+id), nil
}

// CanSign is whether the private key is there.
func (k *Keys) CanSign() bool { return k.private != nil }

// Made is whether dir holds any keys.
func Made(dir string) (bool, error) {
	for _, name := range []string{ReleaseKey, ReleasePub, NextKey, NextPub} {
		switch _, err := os.Lstat(filepath.Join(dir, name)); {
		case err == nil:
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("look for keys: %w", err)
		}
	}
	return false, nil
}

// Make makes both keys. It overwrites nothing: a folder that holds any of them is an error.
func Make(dir, password string) error {
	made, err := Made(dir)
	if err != nil {
		return err
	}
	if made {
		return fmt.Errorf("%s holds keys already, and devices in the field may trust them: to replace the current one, use `imager keys -rotate`", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for keys: %w", err)
	}
	for _, name := range [][2]string{{ReleaseKey, ReleasePub}, {NextKey, NextPub}} {
		if err := generate(dir, name[0], name[1], password); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// Load reads what a build needs; release.key may be missing, the public keys must be there.
func Load(dir, password string) (*Keys, error) {
	var k Keys
	current, err := readPublic(dir, ReleasePub, &k.Current)
	if err != nil {
		return nil, err
	}
	next, err := readPublic(dir, NextPub, &k.Next)
	if err != nil {
		return nil, err
	}
	if current.Equal(next) {
		return nil, fmt.Errorf("%s and %s in %s are the same key: the next one is there for the day when the current one is lost or stolen", ReleasePub, NextPub, dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, ReleaseKey))
	if errors.Is(err, fs.ErrNotExist) {
		return &k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	private, err := decrypt(text, password)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, ReleaseKey), err)
	}
	if !current.Equal(private.Public()) {
		return nil, fmt.Errorf("%s and %s in %s do not belong together: no device would take what is signed", ReleaseKey, ReleasePub, dir)
	}
	k.private = &private
	return &k, nil
}

func readPublic(dir, name string, text *[]byte) (minisign.PublicKey, error) {
	var key minisign.PublicKey
	var err error
	if *text, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
		return key, fmt.Errorf("read key for updates (`make keys` makes them): %w", err)
	}
	if err := key.UnmarshalText(*text); err != nil {
		return key, fmt.Errorf("read %s: %w", filepath.Join(dir, name), err)
	}
	return key, nil
}

func decrypt(text []byte, password string) (minisign.PrivateKey, error) {
	var key minisign.PrivateKey
	if !minisign.IsEncrypted(text) {
		return key, key.UnmarshalText(text)
	}
	if password == "" {
		return key, fmt.Errorf("it has a password: set %s", PasswordVariable)
	}
	key, err := minisign.DecryptKey(password, text)
	if err != nil {
		return key, fmt.Errorf("the password in %s is wrong, or the file is damaged: %w", PasswordVariable, err)
	}
	return key, nil
}

// generate makes a key; files that are there already are an error.
func generate(dir, privateName, publicName, password string) error {
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	secret, err := private.MarshalText()
	if password != "" {
		secret, err = minisign.EncryptKey(password, private)
	}
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	text, err := public.MarshalText()
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	if err := create(filepath.Join(dir, privateName), append(secret, '\n'), 0o600); err != nil {
		return err
	}
	return create(filepath.Join(dir, publicName), append(text, '\n'), 0o644)
}

// create writes a file that must not exist, and has it on the disk when it returns.
func create(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write folder %s: %w", dir, err)
	}
	return nil
}
