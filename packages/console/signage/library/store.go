package library

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/durable"
	"porthole/packages/internal/units"
)

// ErrDamaged is what Open says of a file that is not what was stored.
var ErrDamaged = errors.New("the stored file is damaged")

// Open opens the file with that content (hex SHA-256) for reading. errors.Is finds signage.ErrNotFound, and ErrDamaged for one that
// is known not to be what it should be.
func (l *Library) Open(sha string) (*os.File, error) {
	if !isHash(sha) {
		return nil, fmt.Errorf("open medium: %w", signage.ErrNotFound)
	}
	f, err := os.Open(l.path("media", sha))
	if errors.Is(err, os.ErrNotExist) {
		l.mu.Lock()
		_, known := l.sizes[sha]
		l.mu.Unlock()
		if known {
			l.report(sha, "it is not there any more")
		}
		return nil, fmt.Errorf("open medium %.12s: %w", sha, signage.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open medium: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open medium: %w", err)
	}
	l.mu.Lock()
	want, known := l.sizes[sha]
	problem := l.problems[sha]
	l.mu.Unlock()
	if known && want != st.Size() {
		problem = fmt.Sprintf("it has %d bytes of %d", st.Size(), want)
		l.report(sha, problem)
	}
	if problem != "" {
		f.Close()
		return nil, fmt.Errorf("open medium %.12s: %w: %s", sha, ErrDamaged, problem)
	}
	return f, nil
}

// report remembers that a file is not what it should be.
func (l *Library) report(sha, problem string) {
	l.mu.Lock()
	_, known := l.problems[sha]
	l.problems[sha] = "The stored file " + sha[:12] + "… is damaged: " + problem + ". Upload it again; if this comes back, replace the SD card."
	l.mu.Unlock()
	if !known {
		l.log.Error("stored file is damaged", "sha256", sha, "problem", problem)
	}
}

// Store keeps what r says, as it is, without looking at it, and returns its hash and size. The file stays, used or not, until
// release is called: put it into the index before. A lack of space is a *Refusal.
func (l *Library) Store(ctx context.Context, r io.Reader) (sha string, size int64, release func(), err error) {
	t, err := l.newTemp()
	if err != nil {
		return "", 0, nil, err
	}
	defer t.remove()
	if err := t.fill(ctx, l, r); err != nil {
		return "", 0, nil, err
	}
	release, err = l.adopt(t.path, t.sha(), t.size)
	return t.sha(), t.size, release, err
}

// Add takes a file that does not come as an upload: it is stored, looked at and put into the index, or refused with a
// *Refusal. name need not be a good one.
func (l *Library) Add(ctx context.Context, r io.Reader, name, by string) (signage.Media, error) {
	return l.AddVersion(ctx, r, signage.Media{Name: name, By: by})
}

// AddVersion is Add for an edited version: Name, By, Parent and Version are taken from like.
func (l *Library) AddVersion(ctx context.Context, r io.Reader, like signage.Media) (signage.Media, error) {
	t, err := l.newTemp()
	if err != nil {
		return signage.Media{}, err
	}
	defer t.remove()
	if err := t.fill(ctx, l, r); err != nil {
		return signage.Media{}, err
	}
	m, _, err := l.take(ctx, t.path, t.sha(), like)
	return m, err
}

// take looks at a complete file, keeps it and puts it into the index. The file is moved away or left for the caller to remove.
func (l *Library) take(ctx context.Context, path, sha string, like signage.Media) (signage.Media, []string, error) {
	found, err := l.Probe(ctx, path, like.Name)
	if err != nil {
		return signage.Media{}, nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return signage.Media{}, nil, fmt.Errorf("take file: %w", err)
	}
	m := found.Media
	m.SHA256, m.SizeBytes = sha, st.Size()
	m.Name, m.By, m.Parent, m.Version = withExtension(CleanName(like.Name), m.MIME), like.By, like.Parent, max(like.Version, 1)
	m.Created = time.Now()
	if err := l.keepThumb(sha, found.thumb); err != nil {
		return signage.Media{}, nil, err
	}
	release, err := l.adopt(path, sha, m.SizeBytes)
	if err != nil {
		return signage.Media{}, nil, err
	}
	defer release()
	m, err = l.index.AddMedia(ctx, m)
	if err != nil {
		return signage.Media{}, nil, fmt.Errorf("put %q into the index: %w", like.Name, noSpace(err))
	}
	return m, found.Notes, nil
}

// adopt moves a complete and synced file to its place, unless its content is there already, and pins it.
func (l *Library) adopt(path, sha string, size int64) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.path("media", sha)
	st, err := os.Stat(to)
	have := err == nil && st.Mode().IsRegular() && st.Size() == size && l.problems[sha] == ""
	if !have {
		if err := os.Rename(path, to); err != nil {
			return nil, fmt.Errorf("store file: %w", noSpace(err))
		}
		if err := durable.SyncDir(filepath.Dir(to)); err != nil {
			return nil, err
		}
		delete(l.problems, sha)
	}
	l.sizes[sha] = size
	l.turn++
	l.adopted[sha] = l.turn
	l.pins[sha]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.pins[sha]--; l.pins[sha] <= 0 {
			delete(l.pins, sha)
		}
	}, nil
}

// temp is a file that is being filled.
type temp struct {
	f    *os.File
	path string
	hash hash.Hash
	size int64
}

func (l *Library) newTemp() (*temp, error) {
	path := l.path("uploads", "add-"+rand.Text())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, fmt.Errorf("make file: %w", noSpace(err))
	}
	return &temp{f: f, path: path, hash: sha256.New()}, nil
}

// fill writes all of r and makes it durable.
func (t *temp) fill(ctx context.Context, l *Library, r io.Reader) error {
	buf := make([]byte, copyBuffer)
	for ctx.Err() == nil {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if t.size+int64(n) > maxFile {
				return refuse("The file is larger than %s, the most that is taken.", units.Bytes(maxFile))
			}
			if err := l.roomFor(int64(n)); err != nil {
				return err
			}
			if _, err := t.f.Write(buf[:n]); err != nil {
				return fmt.Errorf("write file: %w", noSpace(err))
			}
			t.hash.Write(buf[:n])
			t.size += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			if err := t.f.Sync(); err != nil {
				return fmt.Errorf("sync file: %w", noSpace(err))
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read file: %w", err)
		}
	}
	return ctx.Err()
}

func (t *temp) sha() string { return hex.EncodeToString(t.hash.Sum(nil)) }

// remove closes the file and removes it if it was not adopted.
func (t *temp) remove() {
	t.f.Close()
	os.Remove(t.path)
}

func isHash(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// writeDurable replaces the file at path by one with that content, at once or not at all.
func writeDurable(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return noSpace(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return noSpace(err)
	}
	if err := f.Sync(); err != nil {
		return noSpace(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return noSpace(err)
	}
	return durable.SyncDir(filepath.Dir(path))
}
