package route

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultStall is how long a client may pause in what it uploads.
	defaultStall = time.Minute
	// bodyRate is the least that an upload brings on average, in bytes per second, once it has had the time of a pause: a place
	// at the door is not to be held with a byte a minute. The slowest line somebody would upload over has ten times that.
	bodyRate = 512
)

type bodyKey struct{}

// boundBody bounds how slowly the body of r may come, until done is called. There is no bound on the whole: several
// gigabytes take hours.
func boundBody(w http.ResponseWriter, r *http.Request, stall time.Duration) (bounded *http.Request, done func()) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return r, func() {}
	}
	b := &slowBody{ReadCloser: r.Body, control: http.NewResponseController(w), start: time.Now(), stall: cmp.Or(stall, defaultStall)}
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
	r.Body = b
	return r, b.end
}

// slowBody sets a deadline for each read, and takes it away at the end: what the client sends next has its own.
type slowBody struct {
	io.ReadCloser
	control *http.ResponseController
	start   time.Time
	stall   time.Duration
	got     int64 // only Read uses it
	// slow means that the client was given up.
	slow atomic.Bool

	mu sync.Mutex
	// off means that the connection knows no deadlines, or that the body is over. Guarded by mu: the transport may still
	// read when the request has been answered, and its connection is no longer ours then.
	off bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	until := b.start.Add(b.stall + time.Duration(b.got)*time.Second/bodyRate)
	if stall := time.Now().Add(b.stall); stall.Before(until) {
		until = stall
	}
	b.mu.Lock()
	if !b.off {
		b.off = b.control.SetReadDeadline(until) != nil
	}
	b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.slow.Store(true)
	case err != nil:
		b.set(time.Time{})
	}
	return n, err
}

// tooSlow reports whether the body of r was given up.
func tooSlow(r *http.Request) bool {
	b, ok := r.Context().Value(bodyKey{}).(*slowBody)
	return ok && b.slow.Load()
}

// end is called when the request has been answered. net/http then reads what is left of a body that is nearly over, and has
// no bound of its own for how long that takes; afterwards it sets the deadline for the next request.
func (b *slowBody) end() {
	if !b.slow.Load() {
		b.set(time.Now().Add(b.stall))
	}
}

// set sets the last deadline.
func (b *slowBody) set(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.off {
		b.off = true
		_ = b.control.SetReadDeadline(at) // a connection that knows no deadlines has none
	}
}

// bufferSize is how much is moved at once from a process to a client, in bytes; a unix socket holds about 200 KB.
const bufferSize = 64 << 10

// buffers lends buffers to one copy after another.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
