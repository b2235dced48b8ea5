//go:build linux

package supervise

import (
	"bytes"
	"sync"
)

const (
	// keptLines is how many lines of each stream gokrazy keeps.
	keptLines = 100
	// maxLine bounds a line, in bytes: output without line ends must not fill the memory.
	maxLine = 16 << 10
)

// ring keeps the last lines of a stream and hands new ones on. It is an io.Writer for a process's output.
type ring struct {
	onLine func(line string)

	mu        sync.Mutex
	remainder []byte // guarded by mu, as is what follows
	lines     []string
	readers   map[chan string]struct{}
}

func newRing(onLine func(string)) *ring {
	return &ring{onLine: onLine, readers: map[chan string]struct{}{}}
}

// Write takes output in any pieces. It never fails.
func (r *ring) Write(b []byte) (int, error) {
	for _, line := range r.split(b) {
		r.onLine(line)
	}
	return len(b), nil
}

// split adds b to what is kept and returns the lines it completes.
func (r *ring) split(b []byte) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remainder = append(r.remainder, b...)
	var done []string
	for {
		i := bytes.IndexByte(r.remainder, '\n')
		if i < 0 && len(r.remainder) < maxLine {
			break
		}
		line, rest := r.remainder, []byte(nil)
		if i >= 0 {
			line, rest = r.remainder[:i], r.remainder[i+1:]
		}
		if len(line) > maxLine {
			line, rest = r.remainder[:maxLine], r.remainder[maxLine:]
		}
		done = append(done, string(line))
		r.remainder = rest
	}
	r.remainder = bytes.Clone(r.remainder)
	for _, line := range done {
		r.keep(line)
	}
	return done
}

// keep is called with mu held.
func (r *ring) keep(line string) {
	if len(r.lines) == keptLines {
		r.lines = append(r.lines[:0], r.lines[1:]...)
	}
	r.lines = append(r.lines, line)
	for c := range r.readers {
		select {
		case c <- line:
		default: // a slow reader misses lines, as with gokrazy
		}
	}
}

// tail returns up to n of the last lines.
func (r *ring) tail(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines[max(0, len(r.lines)-n):]...)
}

// stream returns a channel that holds what is kept and gets what comes, until stop is called.
func (r *ring) stream() (lines <-chan string, stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan string, keptLines+1)
	for _, line := range r.lines {
		c <- line
	}
	r.readers[c] = struct{}{}
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.readers, c)
	}
}
