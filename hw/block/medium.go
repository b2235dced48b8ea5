package block

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// MediumChunk is how much one system call moves at most, in bytes, and so the memory a Medium needs.
	MediumChunk = 1 << 20
	// MaxUnwritten is how much a Medium lets wait in the kernel's memory, in bytes. A slow card that is given more at once keeps
	// everything else that wants to write, or needs memory, waiting for seconds.
	MaxUnwritten = 8 << 20
)

// Medium is a partition, a disk or a plain file that is written in large pieces and read from the medium itself, not from what
// the kernel remembers of it. Its methods may be used from several goroutines; those that write wait for one another.
type Medium struct {
	file *os.File
	// direct reads past the page cache; nil where the file system has no such reads.
	direct *os.File
	size   int64

	mu         sync.Mutex // guards what follows, and the order of writing
	dirtyFirst int64      // the range that was written since the last sync, in bytes
	dirtyEnd   int64
	unwritten  int64 // bytes of it

	reading sync.Mutex // guards buffer
	buffer  []byte
}

// OpenMedium opens the device or file at path. Its size is fixed from then on.
func OpenMedium(path string, opts Options) (*Medium, error) {
	d, err := Open(path, opts)
	if err != nil {
		return nil, err
	}
	m := &Medium{file: d.file}
	st, err := d.file.Stat()
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("look at %s: %w", path, err)
	}
	if st.Mode().IsRegular() {
		m.size = st.Size()
	} else {
		size, err := d.SizeBytes()
		if err != nil {
			d.Close()
			return nil, err
		}
		m.size = int64(size)
	}
	// Of the very same file, whatever path names by now.
	m.direct, err = reopenDirect(d.file)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		d.Close()
		return nil, fmt.Errorf("open %s for reading from the medium: %w", path, err)
	}
	return m, nil
}

func reopenDirect(f *os.File) (*os.File, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var direct *os.File
	var openErr error
	err = c.Control(func(fd uintptr) {
		direct, openErr = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_DIRECT, 0)
	})
	return direct, errors.Join(err, openErr)
}

// Close closes the medium. What was not synced may be lost.
func (m *Medium) Close() error {
	err := m.file.Close()
	if m.direct != nil {
		err = errors.Join(err, m.direct.Close())
	}
	return err
}

// Size is the medium's size in bytes.
func (m *Medium) Size() int64 { return m.size }

// WriteAt writes p, in pieces of at most MediumChunk. It never lets more than MaxUnwritten wait to be written. It writes
// nothing and returns ErrLayout if p does not lie within the medium: a file does not grow.
func (m *Medium) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset > m.size || int64(len(p)) > m.size-offset {
		return 0, fmt.Errorf("write %d bytes at %d of %s, which has %d: %w", len(p), offset, m.file.Name(), m.size, ErrLayout)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	done := 0
	for done < len(p) {
		piece := p[done:min(len(p), done+MediumChunk)]
		at := offset + int64(done)
		n, err := m.file.WriteAt(piece, at)
		done += n
		m.dirty(at, int64(n))
		if err != nil {
			return done, fmt.Errorf("write %d bytes at %d of %s: %w", len(piece), at, m.file.Name(), err)
		}
		if m.unwritten >= MaxUnwritten {
			if err := m.sync(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// dirty notes what was written. The caller holds mu.
func (m *Medium) dirty(at, n int64) {
	if m.unwritten == 0 {
		m.dirtyFirst, m.dirtyEnd = at, at+n
	}
	m.dirtyFirst, m.dirtyEnd = min(m.dirtyFirst, at), max(m.dirtyEnd, at+n)
	m.unwritten += n
}

// Sync waits until the medium has what was written, its own cache included.
func (m *Medium) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sync()
}

// sync is Sync. The caller holds mu.
func (m *Medium) sync() error {
	c, err := m.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("sync %s: %w", m.file.Name(), err)
	}
	var syncErr error
	err = c.Control(func(fd uintptr) {
		for {
			// A device has no metadata, and a plain file keeps its size: the data is all there is.
			if syncErr = unix.Fdatasync(int(fd)); !errors.Is(syncErr, unix.EINTR) {
				break
			}
		}
		// Nobody reads it from memory: it would only push out what is needed. Advice, so a refusal does not matter.
		_ = unix.Fadvise(int(fd), m.dirtyFirst, m.dirtyEnd-m.dirtyFirst, unix.FADV_DONTNEED)
	})
	if err := errors.Join(err, syncErr); err != nil {
		return fmt.Errorf("sync %s: %w", m.file.Name(), err)
	}
	m.unwritten = 0
	return nil
}

// ReadAt reads from the medium. What was written without a Sync is written first. It returns io.EOF at the end.
func (m *Medium) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("read at %d of %s: %w", offset, m.file.Name(), ErrUnaligned)
	}
	if err := m.flush(); err != nil {
		return 0, err
	}
	m.reading.Lock()
	defer m.reading.Unlock()
	if m.buffer == nil {
		m.buffer = alignedBuffer(MediumChunk)
	}
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		if at >= m.size {
			return done, io.EOF
		}
		n, err := m.readSome(p[done:], at)
		done += n
		if err != nil {
			return done, fmt.Errorf("read at %d of %s: %w", at, m.file.Name(), err)
		}
	}
	return done, nil
}

func (m *Medium) flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unwritten == 0 {
		return nil
	}
	return m.sync()
}

// readSome reads at least one byte at offset, which is within the medium. The caller holds reading.
func (m *Medium) readSome(p []byte, offset int64) (int, error) {
	first := offset / directAlign * directAlign
	skip := int(offset - first)
	length := min(MediumChunk, (skip+len(p)+directAlign-1)/directAlign*directAlign)
	from := m.direct
	if from == nil {
		m.forget(first, int64(length))
		from = m.file
	}
	n, err := from.ReadAt(m.buffer[:length], first)
	if errors.Is(err, unix.EINVAL) && from == m.direct {
		// The file system opens a file for direct reads and then has none.
		m.forget(first, int64(length))
		n, err = m.file.ReadAt(m.buffer[:length], first)
	}
	end := min(n, skip+len(p))
	if end <= skip {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	return copy(p, m.buffer[skip:end]), nil
}

// forget has the kernel drop what it remembers of a range.
func (m *Medium) forget(offset, n int64) {
	if c, err := m.file.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), offset, n, unix.FADV_DONTNEED) }) // advice
	}
}
