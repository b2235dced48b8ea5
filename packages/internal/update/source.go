package update

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Window is the most of a part's content that its compressed form refers back to, in bytes; whoever decodes it needs that
// much memory.
const Window = 8 << 20

// source remembers the error that reading a bundle ended with, so that a broken connection is not taken for a broken file.
type source struct {
	// r is nil where a readerAt does the reading.
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.note(err)
	return n, err
}

func (s *source) note(err error) {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && s.err == nil {
		s.err = err
	}
}

// explain turns the error of a reader above the source into the one to return.
func (s *source) explain(err error) error {
	var r *Refusal
	switch {
	case s.err != nil:
		return fmt.Errorf("read update: %w", s.err)
	case errors.As(err, &r):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return cutShort()
	default:
		return refuse(ErrBundle, "The update file is damaged (%v). Get it again.", err)
	}
}

// readerAt tells a source the errors of reading at random.
type readerAt struct {
	r   io.ReaderAt
	src *source
}

func (r readerAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := r.r.ReadAt(p, at)
	r.src.note(err)
	return n, err
}

// sourced is a reader above a source.
type sourced struct {
	io.Reader
	src *source
}

// decode returns a part's content from its stored form.
func decode(stored io.Reader, p ManifestPart) (io.ReadCloser, error) {
	s, ok := stored.(sourced)
	if !ok {
		src := &source{r: stored}
		s = sourced{src, src}
	}
	if p.Encoding == "" {
		return &exact{r: s.Reader, src: s.src, left: p.Size, name: p.File(), close: func() {}}, nil
	}
	d, err := zstd.NewReader(s.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(Window), zstd.WithDecoderMaxMemory(uint64(max(p.Size, Window))))
	if err != nil {
		return nil, s.src.explain(err)
	}
	return &exact{r: d, src: s.src, left: p.Size, name: p.File(), close: d.Close}, nil
}

// exact ends after as many bytes as the manifest says, and fails where the content has more or fewer.
type exact struct {
	r     io.Reader
	src   *source
	left  int64
	name  string
	close func()
	err   error
}

func (e *exact) Read(p []byte) (int, error) {
	if e.err != nil || len(p) == 0 {
		return 0, e.err
	}
	if e.left == 0 {
		e.err = e.end()
		return 0, e.err
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err != nil && (e.left > 0 || !errors.Is(err, io.EOF)) {
		e.err = e.src.explain(err)
		return n, e.err
	}
	return n, nil
}

func (e *exact) end() error {
	switch _, err := io.ReadFull(e.r, make([]byte, 1)); {
	case err == nil:
		return refuse(ErrBundle, "The update's %s is larger than its manifest says: the file is damaged. Get it again.", e.name)
	case errors.Is(err, io.EOF) && e.src.err == nil:
		return io.EOF
	default:
		return e.src.explain(err)
	}
}

func (e *exact) Close() error {
	e.close()
	if e.err == nil {
		e.err = errors.New("read part of update: it is closed")
	}
	return nil
}
