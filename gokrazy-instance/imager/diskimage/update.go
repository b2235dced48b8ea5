package diskimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"porthole/gokrazy-instance/imager/keys"
	"porthole/packages/updatekit"
)

// keysDir is where the image holds the public keys it takes updates from.
var keysDir = updatekit.KeysDir[1:]

// addKeys puts the public keys in.
func addKeys(t tree, k *keys.Keys) {
	if k == nil {
		return
	}
	t.file(path.Join(keysDir, updatekit.CurrentKey), k.Current)
	t.file(path.Join(keysDir, updatekit.NextKey), k.Next)
}

// worthwhile is how much smaller the compressed root must be, as a fraction of its size: it is a compressed file system. The
// boot part is always stored compressed.
const worthwhile = 0.05

// makeManifest makes the update of this build: its parts as they are stored, the manifest and, if the key is there, the
// signature. The parts lie in the build folder; the image carries the manifest in its slot.
func (b *Builder) makeManifest(ctx context.Context) error {
	if err := b.writeFile(b.work("boot.tar"), b.BootTar); err != nil {
		return err
	}
	m := updatekit.Manifest{
		Format: updatekit.Format, Product: updatekit.Product, Board: b.Board.Name, Version: b.Version, Minimum: b.Minimum, Built: b.Time.UTC(),
	}
	for _, p := range []struct{ name, file string }{{updatekit.PartBoot, "boot.tar"}, {updatekit.PartRoot, "root.squashfs"}} {
		part, err := b.makePart(ctx, p.name, b.work(p.file))
		if err != nil {
			return err
		}
		m.Parts = append(m.Parts, part)
	}
	text, err := m.Encode()
	if err != nil {
		return fmt.Errorf("make manifest: %w", err)
	}
	b.slotFiles = map[string][]byte{updatekit.ManifestFile: text}
	if b.Keys == nil || !b.Keys.CanSign() {
		return nil
	}
	b.slotFiles[updatekit.SignatureFile], err = b.Keys.Sign(text, fmt.Sprintf("%s %s %s", updatekit.Product, b.Version, b.Board.Name))
	return err
}

// makePart describes a part, and leaves its compressed form beside it if it is to be stored like that.
func (b *Builder) makePart(ctx context.Context, name, file string) (updatekit.ManifestPart, error) {
	p := updatekit.ManifestPart{Name: name}
	var err error
	if p.Size, p.SHA256, err = measure(file); err != nil {
		return p, err
	}
	p.Stored = p.Size
	packed := file + ".zst"
	err = b.writeFile(packed, func(w io.Writer) error {
		in, err := os.Open(file)
		if err != nil {
			return err
		}
		defer in.Close()
		return updatekit.Compress(w, contextReader{ctx, in})
	})
	if err != nil {
		return p, err
	}
	info, err := os.Stat(packed)
	if err != nil {
		return p, fmt.Errorf("look at part: %w", err)
	}
	if name == updatekit.PartBoot || float64(info.Size()) < float64(p.Size)*(1-worthwhile) {
		p.Encoding, p.Stored = updatekit.Zstd, info.Size()
	}
	return p, nil
}

// Update writes the update file of the image that Image has built, and returns its path. It fails with fs.ErrNotExist
// without a key to sign it.
func (b *Builder) Update(ctx context.Context) (string, error) {
	if b.Keys == nil || !b.Keys.CanSign() {
		return "", fmt.Errorf("an update must be signed, and %s is not here (`make keys`): %w", keys.ReleaseKey, os.ErrNotExist)
	}
	out := filepath.Join(b.Out, fmt.Sprintf("porthole-%s-%s.update", b.Version, b.Board.Name))
	return out, b.step(ctx, "writing "+filepath.Base(out), func(context.Context) error {
		stored := map[string]string{updatekit.PartBoot: "boot.tar", updatekit.PartRoot: "root.squashfs"}
		tmp := out + ".part"
		err := b.writeFile(tmp, func(w io.Writer) error {
			return updatekit.WriteBundle(w, b.slotFiles[updatekit.ManifestFile], b.slotFiles[updatekit.SignatureFile],
				func(p updatekit.ManifestPart) (io.ReadCloser, error) {
					file := b.work(stored[p.Name])
					if p.Encoding == updatekit.Zstd {
						file += ".zst"
					}
					return os.Open(file)
				})
		})
		if err != nil {
			return err
		}
		if err := os.Rename(tmp, out); err != nil {
			return fmt.Errorf("finish update: %w", err)
		}
		return nil
	})
}

// writeFile makes a file from what write gives.
func (b *Builder) writeFile(file string, write func(io.Writer) error) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

// measure returns a file's size and SHA-256.
func measure(file string) (int64, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, "", fmt.Errorf("look at part: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", filepath.Base(file), err)
	}
	return n, hex.EncodeToString(h.Sum(nil)), nil
}
