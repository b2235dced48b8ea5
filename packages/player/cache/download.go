package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"porthole/packages/internal/durable"
)

const (
	// syncEvery is how many bytes a power cut may cost of a download.
	syncEvery = 16 << 20
	// copyBuffer is how much is read at once, in bytes.
	copyBuffer = 128 << 10
	// stall is how long a download may bring nothing.
	stall = time.Minute
)

// Why what came is not taken.
var (
	errContent = errors.New("what comes is not what the playlist means (another SHA-256): upload it again on the server")
	errEmpty   = errors.New("the server's file is empty: upload it again there")
	errChanged = errors.New("it changed on the server while it was fetched")
	errStall   = errors.New("the download brought nothing for a minute")
)

// diskError is of the disk, rather than of the server.
type diskError struct {
	doing string
	err   error
}

func (e *diskError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// download is a medium that comes in.
type download struct {
	c    *Cache
	m    medium
	f    *os.File
	hash hash.Hash
	// at is how many bytes there are; side.Done of them are synced.
	at   int64
	side sidecar
}

// openDownload goes on where the last one stopped, if there was one.
func (c *Cache) openDownload(ctx context.Context, m medium) (*download, error) {
	d := &download{c: c, m: m, hash: sha256.New(), side: sidecar{Size: -1}}
	f, err := os.OpenFile(c.disk.path(partsDir, m.key), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, &diskError{"make file", err}
	}
	d.f = f
	b, err := readBounded(d.sidecarPath(), maxSidecar)
	if err == nil {
		if s, err := parseSidecar(b); err == nil && d.resumable(s) {
			d.side = s
		}
	}
	if d.side.Done > 0 {
		n, err := io.Copy(d.hash, &contextReader{ctx, io.LimitReader(f, d.side.Done)})
		if ctx.Err() != nil {
			f.Close()
			return nil, context.Cause(ctx)
		}
		if err != nil || n < d.side.Done { // the disk has lost some of it
			d.side = sidecar{Size: -1}
		}
	}
	if err := d.seek(d.side.Done); err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// resumable reports whether it makes sense to go on: what has a hash is checked at the end, anything else must be known to
// be the same still.
func (d *download) resumable(s sidecar) bool {
	if d.m.sha != "" {
		return d.m.size == 0 || s.Size < 0 || s.Size == d.m.size
	}
	return s.Tag != "" && len(d.m.urls) > 0 && s.URL == d.m.urls[0]
}

func (d *download) sidecarPath() string { return d.c.disk.path(partsDir, d.m.key+".json") }

// seek makes the file as long as that: what is there before counts. 0 begins anew.
func (d *download) seek(at int64) error {
	if at == 0 {
		if err := d.forget(); err != nil {
			return err
		}
	}
	if err := d.f.Truncate(at); err != nil {
		return &diskError{"shorten file", err}
	}
	if _, err := d.f.Seek(at, io.SeekStart); err != nil {
		return &diskError{"seek in file", err}
	}
	d.at = at
	d.tell()
	return nil
}

// forget begins anew. What is said to be on the disk must not outlive what is.
func (d *download) forget() error {
	d.hash.Reset()
	d.side = sidecar{Size: -1}
	err := os.Remove(d.sidecarPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(d.c.disk.path(partsDir))
	}
	if err != nil {
		return &diskError{"begin file anew", err}
	}
	return nil
}

// tell says how far it is.
func (d *download) tell() {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	d.c.disk.parts[d.m.key] = d.at
	if p := d.c.current; p != nil {
		p.done, p.size = d.at, max(d.side.Size, d.m.size)
	}
}

// complete says that everything was there before the power went.
func (d *download) complete() bool { return d.at > 0 && d.at == d.side.Size }

// take writes what part brings. After an error what came is kept, except when it was the wrong thing.
func (d *download) take(ctx context.Context, url string, part *Part) error {
	if err := d.begin(url, part); err != nil {
		return err
	}
	err := d.copy(ctx, part.Body)
	if err == nil && d.at < part.Size {
		err = fmt.Errorf("the download broke off: %w", io.ErrUnexpectedEOF)
	}
	if err == nil {
		return nil // finish syncs
	}
	if errSync := d.sync(); errSync != nil {
		return errSync
	}
	return err
}

// begin makes sure that part goes on with what is there, and that there is room for it.
func (d *download) begin(url string, part *Part) error {
	switch {
	case part.Size == 0:
		return errEmpty
	case part.From == 0:
		if err := d.seek(0); err != nil {
			return err
		}
	case part.From != d.at || d.side.Size >= 0 && part.Size >= 0 && part.Size != d.side.Size ||
		d.side.Tag != "" && part.Tag != "" && part.Tag != d.side.Tag:
		return errors.Join(errChanged, d.seek(0))
	}
	if d.m.sha != "" && d.m.size > 0 && part.Size >= 0 && part.Size != d.m.size {
		return errContent
	}
	d.side.URL, d.side.Size = url, part.Size
	if part.Tag != "" || part.From == 0 {
		d.side.Tag = part.Tag
	}
	d.tell()
	if part.Size < 0 {
		return nil // copy looks
	}
	err := d.c.room(part.Size - d.at)
	var full *fullError
	if errors.As(err, &full) {
		full.size = part.Size
	}
	return err
}

// copy reads body to its end.
func (d *download) copy(ctx context.Context, body io.Reader) error {
	buf := make([]byte, copyBuffer)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if err := d.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil // take looks whether that is all
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("the download broke off: %w", err)
		}
	}
}

func (d *download) write(b []byte) error {
	if d.side.Size >= 0 && d.at+int64(len(b)) > d.side.Size {
		return errors.Join(errChanged, d.seek(0))
	}
	if d.side.Size < 0 || d.at/d.c.syncEvery != (d.at+int64(len(b)))/d.c.syncEvery {
		if err := d.c.room(int64(len(b))); err != nil {
			return err
		}
	}
	n, err := d.f.Write(b)
	if isNoSpace(err) && d.c.room(d.c.syncEvery) == nil {
		var more int
		more, err = d.f.Write(b[n:])
		n += more
	}
	d.hash.Write(b[:n])
	d.at += int64(n)
	d.tell()
	if err != nil {
		return &diskError{"write file", err}
	}
	if d.at-d.side.Done >= d.c.syncEvery {
		return d.sync()
	}
	return nil
}

// sync puts what came on the disk, and then how much it is.
func (d *download) sync() error {
	if d.at == d.side.Done {
		return nil
	}
	if err := d.f.Sync(); err != nil {
		return &diskError{"sync file", err}
	}
	s := d.side
	s.Done = d.at
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep what is known of a download: %w", err)
	}
	if err := durable.WriteFile(d.sidecarPath(), b, fileMode); err != nil {
		return &diskError{"keep what is known of a download", err}
	}
	d.side = s
	return nil
}

// finish verifies the file and moves it to its place.
func (d *download) finish() error {
	sha := hex.EncodeToString(d.hash.Sum(nil))
	if d.at == 0 {
		return errEmpty
	}
	if d.m.sha != "" && sha != d.m.sha {
		return errors.Join(errContent, d.seek(0))
	}
	if err := d.f.Sync(); err != nil {
		return &diskError{"sync file", err}
	}
	c := d.c
	if err := os.Rename(d.f.Name(), c.disk.path(mediaDir, sha)); err != nil {
		return &diskError{"store file", err}
	}
	if err := durable.SyncDir(c.disk.path(mediaDir)); err != nil {
		return &diskError{"store file", err}
	}
	from := origin{Tag: d.side.Tag, Size: d.at, SHA256: sha}
	if d.m.sha == "" {
		from.URL = d.m.urls[0]
		if err := c.disk.writeOrigin(from); err != nil {
			return &diskError{"keep where it came from", err}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disk.removePart(d.m.key)
	c.disk.files[sha] = file{size: d.at, good: true, used: c.cfg.Now()}
	if from.URL != "" {
		c.disk.origins[from.URL] = from
		c.checked[from.URL] = true
	}
	return nil
}

// contextReader reads until ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	return r.r.Read(b)
}

// watchdog ends a download that brings nothing for too long. It is its body.
type watchdog struct {
	io.ReadCloser
	timer *time.Timer
}

func newWatchdog(body io.ReadCloser, cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{body, time.AfterFunc(stall, func() { cancel(errStall) })}
}

func (w *watchdog) Read(b []byte) (int, error) {
	w.timer.Reset(stall)
	return w.ReadCloser.Read(b)
}

func (w *watchdog) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
