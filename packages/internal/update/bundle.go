package update

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names of a bundle's first two members, in this order; the parts come behind them, in any order. They are also the names
// under which a slot keeps them.
const (
	ManifestFile  = "manifest.json"
	SignatureFile = "manifest.json.minisig"
)

// Bundle is an update in a file: an uncompressed tar (POSIX.1-1988, "ustar") of the manifest, its signature and the parts.
type Bundle struct {
	// Manifest and Signature are as they stand in the file; nothing has checked them yet.
	Manifest, Signature []byte

	parts map[string]*io.SectionReader
}

// OpenBundle finds the members of an update file of that size. It reads little more than their headers. The error is a
// *Refusal if the file is at fault, otherwise it is of reading.
func OpenBundle(r io.ReaderAt, size int64) (*Bundle, error) {
	src := &source{}
	whole := io.NewSectionReader(readerAt{r, src}, 0, size)
	t := tar.NewReader(whole)
	manifest, signature, err := readHead(t, src)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: manifest, Signature: signature, parts: map[string]*io.SectionReader{}}
	for {
		h, err := nextPart(t, src)
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		plain := strings.TrimSuffix(h.Name, ".zst")
		if b.parts[plain] != nil || b.parts[plain+".zst"] != nil {
			return nil, refuse(ErrBundle, "The update file holds %s twice: it was not made by Porthole. Choose another file.", plain)
		}
		// A tar.Reader reads whole headers and nothing ahead, so this is where the member's content begins.
		at, err := whole.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("read update: %w", err)
		}
		if h.Size > size-at {
			return nil, cutShort()
		}
		b.parts[h.Name] = io.NewSectionReader(r, at, h.Size)
	}
}

// Stored returns a part as it is stored.
func (b *Bundle) Stored(p ManifestPart) (*io.SectionReader, error) {
	s := b.parts[p.File()]
	if s == nil {
		return nil, refuse(ErrBundle, "The update file has no %s: it is damaged or incomplete. Get it again.", p.File())
	}
	if s.Size() != p.Stored {
		return nil, wrongSize(p.File(), s.Size(), p.Stored)
	}
	return io.NewSectionReader(s, 0, s.Size()), nil
}

// Part returns a part as it is written: exactly p.Size bytes, or an error instead of the end; its hash is the caller's to
// check. Close it.
func (b *Bundle) Part(p ManifestPart) (io.ReadCloser, error) {
	s, err := b.Stored(p)
	if err != nil {
		return nil, err
	}
	return decode(s, p)
}

// Stream is an update that comes in from one end to the other.
type Stream struct {
	// Manifest and Signature are as they stand in the file; nothing has checked them yet.
	Manifest, Signature []byte

	tar  *tar.Reader
	src  *source
	seen []string
	part io.Closer
	err  error
}

// ReadBundle reads the manifest and the signature; the parts come with Next. The error is a *Refusal if the file is at
// fault, otherwise it is of reading.
func ReadBundle(r io.Reader) (*Stream, error) {
	src := &source{r: r}
	t := tar.NewReader(src)
	manifest, signature, err := readHead(t, src)
	if err != nil {
		return nil, err
	}
	return &Stream{Manifest: manifest, Signature: signature, tar: t, src: src}, nil
}

// Next returns the next part and its content as it is written, as Bundle.Part does; what was not read of the former one is
// skipped. The content is good until Next or Close. At the end, when every part of the manifest has come, it returns io.EOF.
func (s *Stream) Next(m Manifest) (ManifestPart, io.Reader, error) {
	s.Close()
	if s.err != nil {
		return ManifestPart{}, nil, s.err
	}
	p, r, err := s.next(m)
	s.err = err
	return p, r, err
}

func (s *Stream) next(m Manifest) (ManifestPart, io.Reader, error) {
	h, err := nextPart(s.tar, s.src)
	if errors.Is(err, io.EOF) {
		for _, p := range m.Parts {
			if !slices.Contains(s.seen, p.File()) {
				return ManifestPart{}, nil, refuse(ErrBundle, "The update file has no %s: it is damaged or incomplete. Get it again.", p.File())
			}
		}
		return ManifestPart{}, nil, io.EOF
	}
	if err != nil {
		return ManifestPart{}, nil, err
	}
	i := slices.IndexFunc(m.Parts, func(p ManifestPart) bool { return p.File() == h.Name })
	if i < 0 || slices.Contains(s.seen, h.Name) {
		return ManifestPart{}, nil, refuse(ErrBundle, "The update file holds a %s that its manifest does not name: it was not made by Porthole. Choose another file.", h.Name)
	}
	p := m.Parts[i]
	if h.Size != p.Stored {
		return ManifestPart{}, nil, wrongSize(h.Name, h.Size, p.Stored)
	}
	s.seen = append(s.seen, h.Name)
	r, err := decode(sourced{s.tar, s.src}, p)
	if err != nil {
		return ManifestPart{}, nil, err
	}
	s.part = r
	return p, r, nil
}

// Close ends the part that Next returned. It does not close what the stream is read from.
func (s *Stream) Close() {
	if s.part != nil {
		// Closing a decoder only gives its memory back.
		_ = s.part.Close()
		s.part = nil
	}
}

// readHead reads the first two members.
func readHead(t *tar.Reader, src *source) (manifest, signature []byte, err error) {
	if manifest, err = readMember(t, src, ManifestFile, MaxManifest); err != nil {
		return nil, nil, err
	}
	signature, err = readMember(t, src, SignatureFile, MaxSignature)
	return manifest, signature, err
}

func readMember(t *tar.Reader, src *source, name string, most int64) ([]byte, error) {
	h, err := next(t, src)
	if errors.Is(err, io.EOF) {
		return nil, cutShort()
	}
	if err != nil {
		return nil, err
	}
	if h.Name != name {
		return nil, refuse(ErrBundle, "This is not an update for Porthole: choose the file whose name ends in .update.")
	}
	if h.Size > most {
		return nil, refuse(ErrBundle, "The update's %s is larger than %d KiB: it was not made by Porthole. Choose another file.", name, most>>10)
	}
	text := make([]byte, h.Size)
	if _, err := io.ReadFull(t, text); err != nil {
		return nil, src.explain(err)
	}
	return text, nil
}

// partFiles are the names that parts can have.
var partFiles = []string{"boot.tar", "boot.tar.zst", "root.squashfs", "root.squashfs.zst"}

func nextPart(t *tar.Reader, src *source) (*tar.Header, error) {
	h, err := next(t, src)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(partFiles, h.Name) {
		return nil, refuse(ErrBundle, "The update file holds %.60q, which belongs in no update: it was not made by Porthole. Choose another file.", h.Name)
	}
	if h.Size <= 0 || h.Size > MaxPart {
		return nil, refuse(ErrBundle, "The update's %s has %d bytes, which is not possible: it was not made by Porthole. Choose another file.", h.Name, h.Size)
	}
	return h, nil
}

// next returns the next member's header; io.EOF is the end.
func next(t *tar.Reader, src *source) (*tar.Header, error) {
	h, err := t.Next()
	if errors.Is(err, io.EOF) && src.err == nil {
		return nil, io.EOF
	}
	if err != nil {
		return nil, src.explain(err)
	}
	if h.Typeflag != tar.TypeReg || h.Format != tar.FormatUSTAR {
		return nil, refuse(ErrBundle, "The update file holds something else than plain files: it was not made by Porthole. Choose another file.")
	}
	return h, nil
}

func cutShort() error {
	return refuse(ErrBundle, "The update file is cut short: it did not come over whole. Get it again.")
}

func wrongSize(name string, have, want int64) error {
	return refuse(ErrBundle, "The update's %s has %d bytes, its manifest says %d: the file is damaged. Get it again.", name, have, want)
}
