package update

import (
	"errors"
	"io"
)

// Decode returns a part's content from how a bundle stores it: exactly p.Size bytes, or an error instead of the end, a
// *Refusal if what is stored is at fault. Its hash is the caller's to check. Close it.
func (p ManifestPart) Decode(stored io.Reader) (io.ReadCloser, error) { return decode(stored, p) }

// Seek skips parts that nobody needs, where the bundle comes from something that can: archive/tar does so.
func (s *source) Seek(offset int64, whence int) (int64, error) {
	to, ok := s.r.(io.Seeker)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return to.Seek(offset, whence)
}
