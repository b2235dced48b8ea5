package library

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// syncEvery is how much is written at most before it is made durable, in bytes: what a full cache of the kernel would hold
	// up at once otherwise takes an SD card minutes.
	syncEvery = 8 << 20
	// bodyTimeout is how long a connection may bring nothing.
	bodyTimeout = 60 * time.Second
	// seizeTimeout is how long a connection that was told to end may take for it: as long as an SD card for 8 MB on a bad day.
	seizeTimeout = 20 * time.Second
)

// seize waits for the upload's turn, and ends a connection that still has it: its client has gone, or it would not be here.
func (l *Library) seize(ctx context.Context, u *upload) (release func(), err error) {
	release = func() { <-u.turn }
	select {
	case u.turn <- struct{}{}:
		return release, nil
	default:
	}
	l.uploads.mu.Lock()
	if u.interrupt != nil {
		u.interrupt()
	}
	l.uploads.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, seizeTimeout)
	defer cancel()
	select {
	case u.turn <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// servePatch takes bytes.
func (l *Library) servePatch(w http.ResponseWriter, r *http.Request, u *upload) {
	no := func(status int, text string) {
		drain(w, r)
		say(w, status, text)
	}
	if r.Header.Get("Content-Type") != tusType {
		no(http.StatusUnsupportedMediaType, "Send the bytes as "+tusType+".")
		return
	}
	from, err := parseCount(r.Header.Get("Upload-Offset"))
	if err != nil {
		no(http.StatusBadRequest, "Upload-Offset has to say where the bytes belong.")
		return
	}
	sum, err := parseChecksum(r.Header.Get("Upload-Checksum"))
	if err != nil {
		no(http.StatusBadRequest, err.Error()+".")
		return
	}
	if !l.uploads.beginWriting(u.info.By) {
		w.Header().Set("Retry-After", "2")
		no(http.StatusTooManyRequests, "Too many uploads at the same time. It goes on when one of them is done.")
		return
	}
	defer l.uploads.endWriting(u.info.By)
	release, err := l.seize(r.Context(), u)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		no(http.StatusLocked, "Another connection is still sending this upload. Try again.")
		return
	}
	defer release()

	l.uploads.mu.Lock()
	offset, state := u.offset, u.state
	l.uploads.mu.Unlock()
	switch {
	case state == Refused:
		no(http.StatusGone, "This upload was cancelled.")
		return
	case from != offset:
		w.Header().Set("Upload-Offset", strconv.FormatInt(offset, 10))
		no(http.StatusConflict, fmt.Sprintf("The upload has %d bytes, not %d.", offset, from))
		return
	case state != Uploading && r.ContentLength == 0:
		w.Header().Set("Upload-Offset", strconv.FormatInt(offset, 10))
		w.WriteHeader(http.StatusNoContent)
		return
	case state != Uploading, r.ContentLength > u.info.Length-offset:
		no(http.StatusRequestEntityTooLarge, "These are more bytes than the upload said that it has.")
		return
	}
	offset, err = l.receive(w, r, u, offset, sum)
	switch {
	case errors.Is(err, errChecksum):
		no(statusChecksumMismatch, "The bytes changed on their way. Send them again.")
		return
	case errors.Is(err, errInterrupted):
		no(http.StatusLocked, "Another connection goes on with this upload.")
		return
	case err != nil:
		drain(w, r)
		l.sayError(w, "receive", err)
		return
	}
	if offset == u.info.Length {
		l.uploads.arrived(u)
	}
	w.Header().Set("Upload-Offset", strconv.FormatInt(offset, 10))
	l.setExpires(w, u)
	w.WriteHeader(http.StatusNoContent)
}

// drain reads what is left of a body that is not wanted, within bounds: who has not sent all of it may not read the answer.
func drain(w http.ResponseWriter, r *http.Request) {
	const most, within = 16 << 20, 10 * time.Second
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(within)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, most)
	_ = rc.SetReadDeadline(time.Time{})
}

// arrived hands a complete upload over to be looked at, once.
func (s *uploads) arrived(u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.state != Uploading {
		return
	}
	u.state = Checking
	s.queue <- u // has room: no more than maxUploads can be in it, and they are few
}

func (s *uploads) beginWriting(by string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing[by] >= maxWriting {
		return false
	}
	s.writing[by]++
	return true
}

func (s *uploads) endWriting(by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing[by]--; s.writing[by] == 0 {
		delete(s.writing, by)
	}
}

var (
	errChecksum    = errors.New("checksum does not match")
	errInterrupted = errors.New("another connection goes on")
)

// receive writes the body behind offset and returns the new offset; all before it is durable. A body that ends early is no
// error: what came counts. It is called by who has the upload's turn.
func (l *Library) receive(w http.ResponseWriter, r *http.Request, u *upload, offset int64, sum *checksum) (int64, error) {
	f, err := os.OpenFile(l.uploadPath(u.id), os.O_RDWR, fileMode)
	if err != nil {
		return offset, fmt.Errorf("open upload: %w", err)
	}
	defer f.Close()
	// What a failure has left behind the offset is not part of the file.
	if err := f.Truncate(offset); err != nil {
		return offset, fmt.Errorf("open upload: %w", err)
	}
	body, done := l.body(w, r, u)
	defer done()
	in := &intake{l: l, u: u, f: f, offset: offset, at: offset, sum: sum}
	in.remember()
	err = in.copy(io.LimitReader(body, u.info.Length-offset))
	if err == nil && sum != nil && !bytes.Equal(sum.hash.Sum(nil), sum.want) {
		err = errChecksum
	}
	if sum != nil && err != nil {
		// The checksum is of all that was to come: nothing of it may stay.
		return in.undo(err)
	}
	if syncErr := in.sync(); syncErr != nil {
		return in.offset, syncErr
	}
	if err != nil && !isClientGone(err) {
		return in.offset, err
	}
	return in.offset, nil
}

// isClientGone says that the body ended early, by its own doing or because nothing came.
func isClientGone(err error) bool {
	var b bodyError
	return errors.As(err, &b)
}

// bodyError is an error of reading what the client sends.
type bodyError struct{ error }

// body reads what the client sends, as long as it sends anything. After done nobody can interrupt it.
func (l *Library) body(w http.ResponseWriter, r *http.Request, u *upload) (body io.Reader, done func()) {
	rc := http.NewResponseController(w)
	var stopped atomic.Bool
	l.uploads.mu.Lock()
	u.interrupt = func() {
		stopped.Store(true)
		_ = rc.SetReadDeadline(time.Now()) // where it is not supported, the connection ends by itself
	}
	l.uploads.mu.Unlock()
	read := func(b []byte) (int, error) {
		_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
		if stopped.Load() {
			return 0, errInterrupted
		}
		n, err := r.Body.Read(b)
		if stopped.Load() {
			return n, errInterrupted
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = bodyError{err}
		}
		return n, err
	}
	return readerFunc(read), func() {
		l.uploads.mu.Lock()
		defer l.uploads.mu.Unlock()
		u.interrupt = nil
		if !stopped.Load() {
			_ = rc.SetReadDeadline(time.Time{})
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// intake appends to an upload.
type intake struct {
	l      *Library
	u      *upload
	f      *os.File
	before hash.Hash // the hash at offset
	offset int64     // durable
	at     int64     // written
	sum    *checksum
}

// copy writes what r says. Whatever it returns, the bytes up to at are in the file.
func (in *intake) copy(r io.Reader) error {
	buf := make([]byte, copyBuffer)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := in.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && !isClientGone(err):
			return nil
		case err != nil:
			return err
		}
		if in.at-in.offset >= syncEvery && in.sum == nil {
			if err := in.sync(); err != nil {
				return err
			}
		}
	}
}

func (in *intake) write(b []byte) error {
	if err := in.l.roomFor(int64(len(b))); err != nil {
		return err
	}
	if _, err := in.f.WriteAt(b, in.at); err != nil {
		return fmt.Errorf("write upload: %w", noSpace(err))
	}
	in.at += int64(len(b))
	if in.u.hash != nil {
		in.u.hash.Write(b)
	}
	if in.sum != nil {
		in.sum.hash.Write(b) //nolint:errcheck // a hash never fails
	}
	return nil
}

// remember keeps the hash of what is durable: on any failure the upload goes on from there.
func (in *intake) remember() {
	in.before = nil
	if c, ok := in.u.hash.(hash.Cloner); ok {
		if h, err := c.Clone(); err == nil {
			in.before = h
		}
	}
}

// sync makes what was written durable and lets others know of it.
func (in *intake) sync() error {
	// A write that failed may have left a part of itself behind what counts.
	if err := in.f.Truncate(in.at); err != nil {
		_, err = in.undo(err)
		return err
	}
	if err := datasync(in.f); err != nil {
		// The kernel has forgotten which of the bytes since the last sync are on the disk.
		_, err = in.undo(fmt.Errorf("sync upload: %w", noSpace(err)))
		return err
	}
	in.offset = in.at
	in.remember()
	in.l.uploads.mu.Lock()
	defer in.l.uploads.mu.Unlock()
	in.u.offset, in.u.touched = in.offset, time.Now()
	return nil
}

// undo goes back to what is durable.
func (in *intake) undo(why error) (int64, error) {
	in.at, in.u.hash = in.offset, in.before
	if err := in.f.Truncate(in.offset); err != nil {
		return in.offset, errors.Join(why, fmt.Errorf("take back what was written: %w", err))
	}
	return in.offset, why
}

// datasync is fdatasync(2): contents and size, not the times.
func datasync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = unix.Fdatasync(int(fd)) })
	return errors.Join(err, failed)
}
