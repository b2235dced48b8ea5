package library

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"porthole/packages/console/signage"
)

// Found is what a file is.
type Found struct {
	// Media has what its content says: kind, type, size in pixels, length, Probe.
	Media signage.Media
	// Notes are sentences for who uploaded it.
	Notes []string
	thumb []byte
}

// largePicture is from how many bytes on the memory of a decoded picture is given back to the system at once.
const largePicture = 8 << 20

// Probe looks at the file at path: what it is, by its content alone, and whether screens can show it. What they cannot is a
// *Refusal; name is for nothing but the log.
func (l *Library) Probe(ctx context.Context, path, name string) (Found, error) {
	f, err := os.Open(path)
	if err != nil {
		return Found{}, fmt.Errorf("look at %q: %w", name, err)
	}
	defer f.Close()
	found, err := l.probe(ctx, f)
	if reason, refused := AsRefusal(err); refused {
		l.log.Info("file refused", "name", CleanName(name), "reason", reason)
	}
	return found, err
}

func (l *Library) probe(ctx context.Context, f *os.File) (Found, error) {
	st, err := f.Stat()
	if err != nil {
		return Found{}, fmt.Errorf("look at file: %w", err)
	}
	fm, err := identify(f)
	if err != nil {
		return Found{}, err
	}
	if fm.kind == signage.Video {
		return l.probeClip(ctx, f, st.Size(), fm)
	}
	found, err := l.probeStill(ctx, f, st.Size(), fm)
	if st.Size() > largePicture || found.Media.Width*found.Media.Height*4 > largePicture {
		debug.FreeOSMemory()
	}
	return found, err
}

// identify says what kind of file it is.
func identify(f io.ReaderAt) (format, error) {
	head := make([]byte, headSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return format{}, fmt.Errorf("look at file: %w", err)
	}
	return sniff(head[:n])
}

// Examine is the part of Probe that decodes nothing and starts no program: it returns the type that is found, and refuses what
// can be refused by the headers alone.
func Examine(f io.ReaderAt, size int64) (mime string, err error) {
	fm, err := identify(f)
	if err != nil {
		return "", err
	}
	if fm.kind == signage.Video {
		_, err = walk(f, size, fm)
	} else {
		_, err = readStill(f, size, fm)
	}
	if err != nil {
		return "", err
	}
	return fm.mime, nil
}
