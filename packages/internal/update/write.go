package update

import (
	"archive/tar"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// WriteBundle writes an update file: the same input gives the same bytes. open returns a part as it is stored, which it
// closes.
func WriteBundle(w io.Writer, manifest, signature []byte, open func(ManifestPart) (io.ReadCloser, error)) error {
	m, err := ParseManifest(manifest)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		text []byte
	}{{ManifestFile, manifest}, {SignatureFile, signature}} {
		if err := t.WriteHeader(header(f.name, int64(len(f.text)), m.Built)); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if _, err := t.Write(f.text); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	for _, name := range []string{PartBoot, PartRoot} {
		p, _ := m.Part(name)
		if err := writePart(t, p, m.Built, open); err != nil {
			return fmt.Errorf("write %s: %w", p.File(), err)
		}
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("finish update: %w", err)
	}
	return nil
}

func writePart(t *tar.Writer, p ManifestPart, at time.Time, open func(ManifestPart) (io.ReadCloser, error)) error {
	r, err := open(p)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := t.WriteHeader(header(p.File(), p.Stored, at)); err != nil {
		return err
	}
	// Too many bytes fail here, too few at the next header or at Close.
	_, err = io.Copy(t, r)
	return err
}

func header(name string, size int64, at time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: at.Truncate(time.Second), Format: tar.FormatUSTAR}
}

// Compress writes the zstd form of a part: the same content gives the same bytes on every machine.
func Compress(w io.Writer, r io.Reader) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(Window))
	if err != nil {
		return fmt.Errorf("start compression: %w", err)
	}
	if _, err := io.Copy(z, r); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}
