package library

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/packages/console/signage"
)

// Bounds of uploads.
const (
	maxUploads     = 256 // that are not media yet, of all accounts
	maxUploadsUser = 128 // of one account
	maxWriting     = 6   // connections of one account that send at the same time
	maxFinished    = 512 // whose outcome is remembered
	rememberFor    = 2 * time.Hour
	// idle is how long an upload rests before it has to make room for a new one, and no longer counts as one that needs its space.
	idle = time.Hour
)

// State is where an upload stands.
type State string

// The states of an upload.
const (
	Uploading State = "uploading" // not all is there
	Checking  State = "checking"  // all is there, and is being looked at
	Ready     State = "ready"     // it is a medium now
	Refused   State = "refused"   // it is not taken, and gone
)

// uploads are those that are not complete, or were lately.
type uploads struct {
	queue chan *upload // has room for all that can be in it

	mu       sync.Mutex
	byID     map[string]*upload // guarded by mu
	writing  map[string]int     // by account; guarded by mu
	finished []string           // ids, oldest first; guarded by mu
}

// uploadInfo is what is kept beside an upload's bytes.
type uploadInfo struct {
	By       string    `json:"by"`
	Name     string    `json:"name"`
	Metadata string    `json:"metadata"` // as the client sent it (tus 1.0, "Upload-Metadata")
	Length   int64     `json:"length"`
	Created  time.Time `json:"created"`
	// SHA256 is set before the file is moved to its place.
	SHA256 string `json:"sha256,omitempty"`
}

// upload is one file on its way.
type upload struct {
	id   string
	info uploadInfo

	turn chan struct{} // of one; who has it writes, and may use hash
	hash hash.Hash     // of the first offset bytes; nil if it has to be made from the file

	// The following are guarded by uploads.mu.
	offset    int64 // bytes that are on the disk
	touched   time.Time
	state     State
	reason    string
	media     signage.Media
	notes     []string
	interrupt func() // ends the connection that sends now; nil if none does
}

func isUploadID(s string) bool {
	return len(s) == len(rand.Text()) && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func (l *Library) uploadPath(id string) string { return l.path("uploads", id) }
func (l *Library) infoPath(id string) string   { return l.path("uploads", id+".json") }

// loadUploads reads what an earlier run has left, and removes what is of no use.
func (l *Library) loadUploads() (*uploads, error) {
	s := &uploads{queue: make(chan *upload, 2*maxUploads), byID: map[string]*upload{}, writing: map[string]int{}}
	dir := l.path("uploads")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read uploads: %w", err)
	}
	for _, e := range entries {
		id, isInfo := strings.CutSuffix(e.Name(), ".json")
		if !isInfo || !isUploadID(id) || len(s.byID) == maxUploads {
			continue
		}
		u, err := l.loadUpload(id)
		if err != nil {
			l.log.Warn("upload dropped", "upload", id, "err", err)
			continue
		}
		s.byID[id] = u
		if u.state == Checking {
			s.queue <- u
		}
	}
	for _, e := range entries {
		if _, ok := s.byID[strings.TrimSuffix(e.Name(), ".json")]; !ok {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	// What was not renamed yet. Media come by renaming from the uploads' folder.
	left, err := filepath.Glob(l.path("thumbs", ".new-*"))
	if err != nil {
		return nil, fmt.Errorf("look for leftovers: %w", err)
	}
	for _, f := range left {
		os.Remove(f)
	}
	return s, nil
}

// loadUpload reads one upload. Bytes are only ever appended, and its file grows after they are on the disk (ext4,
// data=ordered): what is there is right.
func (l *Library) loadUpload(id string) (*upload, error) {
	b, err := os.ReadFile(l.infoPath(id))
	if err != nil {
		return nil, err
	}
	u := &upload{id: id, turn: make(chan struct{}, 1), state: Uploading, touched: time.Now()}
	if err := json.Unmarshal(b, &u.info); err != nil {
		return nil, err
	}
	st, err := os.Stat(l.uploadPath(id))
	switch {
	case errors.Is(err, os.ErrNotExist) && isHash(u.info.SHA256):
		// It was moved to its place just before the end.
		u.state, u.offset = Checking, u.info.Length
		return u, nil
	case err != nil:
		return nil, err
	case st.Size() > u.info.Length || u.info.Length <= 0:
		return nil, fmt.Errorf("it has %d bytes of %d", st.Size(), u.info.Length)
	}
	u.offset = st.Size()
	// A device without a clock starts in the past: such a time says nothing.
	if t := st.ModTime(); t.Year() >= firstYear && t.Before(u.touched) {
		u.touched = t
	}
	if u.offset == u.info.Length {
		u.state = Checking
	}
	return u, nil
}

// firstYear is when this was written: no file is older.
const firstYear = 2026

// errTooManyUploads is said of one upload too many.
var errTooManyUploads = errors.New("too many uploads are not finished: wait until some are, or cancel them")

// create makes an upload, durably. A *Refusal says that it does not fit.
func (l *Library) create(info uploadInfo) (*upload, error) {
	if err := l.roomFor(info.Length + l.uploads.outstanding()); err != nil {
		return nil, err
	}
	u := &upload{id: rand.Text(), info: info, turn: make(chan struct{}, 1), hash: sha256.New(), state: Uploading, touched: time.Now()}
	gone, err := l.uploads.add(u)
	for _, old := range gone {
		l.removeUpload(old)
	}
	if err != nil {
		return nil, err
	}
	if err := l.saveNew(u); err != nil {
		l.uploads.drop(u)
		l.removeUpload(u)
		return nil, fmt.Errorf("make upload: %w", noSpace(err))
	}
	return u, nil
}

func (l *Library) saveNew(u *upload) error {
	f, err := os.OpenFile(l.uploadPath(u.id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return l.saveInfo(u)
}

func (l *Library) saveInfo(u *upload) error {
	b, err := json.Marshal(u.info)
	if err != nil {
		return err
	}
	return writeDurable(l.infoPath(u.id), b)
}

func (l *Library) removeUpload(u *upload) {
	// The description first: bytes without one are removed at the next start.
	os.Remove(l.infoPath(u.id))
	os.Remove(l.uploadPath(u.id))
}

// outstanding is how many bytes the uploads that are moving will still take.
func (s *uploads) outstanding() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, u := range s.byID {
		if u.state == Uploading && time.Since(u.touched) < idle {
			n += u.info.Length - u.offset
		}
	}
	return n
}

// add registers an upload; resting ones may have to go for it, and are returned.
func (s *uploads) add(u *upload) (gone []*upload, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		all, own := 0, 0
		var oldest *upload
		for _, o := range s.byID {
			if o.state == Ready || o.state == Refused {
				continue
			}
			all++
			if o.info.By == u.info.By {
				own++
			}
			if o.state == Checking {
				continue
			}
			if oldest == nil || o.touched.Before(oldest.touched) {
				oldest = o
			}
		}
		if all < maxUploads && own < maxUploadsUser {
			s.byID[u.id] = u
			return gone, nil
		}
		if oldest == nil || time.Since(oldest.touched) < idle || oldest.interrupt != nil {
			return gone, errTooManyUploads
		}
		delete(s.byID, oldest.id)
		gone = append(gone, oldest)
	}
}

// find returns an account's upload, nil if there is none.
func (s *uploads) find(id, by string) *upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.byID[id]; u != nil && u.info.By == by {
		return u
	}
	return nil
}

func (s *uploads) drop(u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, u.id)
}

// finish remembers how it went.
func (s *uploads) finish(u *upload, state State, m signage.Media, notes []string, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.state, u.media, u.notes, u.reason, u.touched = state, m, notes, reason, time.Now()
	s.finished = append(s.finished, u.id)
	for len(s.finished) > maxFinished {
		delete(s.byID, s.finished[0])
		s.finished = s.finished[1:]
	}
}

// expire takes out uploads that have rested for too long, and outcomes that nobody asks for any more.
func (s *uploads) expire(after time.Duration) (gone []*upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, u := range s.byID {
		switch age := time.Since(u.touched); {
		case u.state == Uploading && age > after && u.interrupt == nil:
			gone = append(gone, u)
			delete(s.byID, id)
		case (u.state == Ready || u.state == Refused) && age > rememberFor:
			delete(s.byID, id)
			s.finished = slices.DeleteFunc(s.finished, func(f string) bool { return f == id })
		}
	}
	return gone
}

// stored names the contents of uploads that are being looked at.
func (s *uploads) stored() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]bool{}
	for _, u := range s.byID {
		if u.state == Checking && u.info.SHA256 != "" {
			m[u.info.SHA256] = true
		}
	}
	return m
}

// contentHash finishes the hash, from the file if it was not made on the way.
func (u *upload) contentHash(ctx context.Context, f *os.File) (string, error) {
	if u.hash == nil {
		u.hash = sha256.New()
		if err := hashFile(ctx, u.hash, f); err != nil {
			u.hash = nil
			return "", err
		}
	}
	return hex.EncodeToString(u.hash.Sum(nil)), nil
}

func hashFile(ctx context.Context, h io.Writer, f *os.File) error {
	buf := make([]byte, copyBuffer)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		h.Write(buf[:n]) //nolint:errcheck // a hash never fails
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read file: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
