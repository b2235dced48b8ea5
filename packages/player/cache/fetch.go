package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"porthole/packages/internal/retry"
)

// How often, in a row, a medium may fail before the program goes on without it, and how long it then rests.
const (
	wrongTries              = 3  // what comes is something else
	serverTries             = 15 // the server fails: some minutes, as while it is updated
	leastPause, mostPause   = 2 * time.Second, time.Minute
	leastResting, mostRests = time.Minute, 30 * time.Minute
	// mostWaste is for what fills the disk each time before that is known.
	mostWaste = 12 * time.Hour
)

// failure is of a medium that could not be had.
type failure struct {
	reason string
	// strikes are failures in a row that are the medium's own; rests counts how often it was given up.
	strikes, rests int
	// out says that it is left out for now. It is tried again at next.
	out  bool
	next time.Time
	full bool      // it was for lack of space
	size int64     // what the server said that it has then, 0 where it did not
	last time.Time // when the last one was, real time
	at   time.Time // the same, as people read it
}

// again lets a medium be tried as if it had not failed.
func (f *failure) again() { f.out, f.strikes, f.next = false, 0, time.Time{} }

// errNetwork wraps what says nothing about the medium.
var errNetwork = errors.New("the server cannot be reached")

// errNoAddress is of an item that names no file.
var errNoAddress = errors.New("the playlist has no address or no valid SHA-256 for it: that is a mistake of the server")

// get asks the source, and notes that the server is there if it answers, whatever it says.
func (c *Cache) get(ctx context.Context, url string, offset int64, tag string) (*Part, error) {
	part, err := c.cfg.Source.Get(ctx, url, offset, tag)
	if err == nil || errors.Is(err, ErrGone) || errors.Is(err, ErrServer) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.met = time.Now()
	}
	return part, err
}

// fetch brings a medium, from the disk or from the server, while the program is still the one that is counted so.
func (c *Cache) fetch(ctx context.Context, m medium, turn int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.mu.Lock()
	if c.turn != turn {
		c.mu.Unlock()
		return context.Canceled
	}
	c.current = &progress{key: m.key, name: m.name, size: m.size, cancel: func() { cancel(context.Canceled) }}
	known := c.disk.origins[firstOf(m.urls)]
	have := m.sha == "" && c.here(m)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.current = nil
	}()
	if m.sha != "" && c.adopt(ctx, m.sha) {
		return nil
	}
	if len(m.urls) == 0 {
		return errNoAddress
	}
	var first *Part
	if have {
		part, err := c.ask(ctx, known)
		if part == nil {
			return err
		}
		first = part
	}
	return c.bring(ctx, cancel, m, first)
}

func firstOf(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// ask asks whether what came from an address is still what is there: then there is neither part nor error. Otherwise the
// part brings the new content from its beginning.
func (c *Cache) ask(ctx context.Context, known origin) (*Part, error) {
	part, err := c.get(ctx, known.URL, known.Size-1, known.Tag)
	if errors.Is(err, ErrGone) {
		c.cfg.Log.Warn("the server does not have a medium of its playlist any more; the stored one goes on", "sha256", known.SHA256)
	} else if err != nil {
		return nil, classify(ctx, err)
	}
	if err != nil || part.Tag == known.Tag && (part.Size == known.Size || part.Size < 0) {
		if part != nil {
			part.Body.Close()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.checked[known.URL] = true
		return nil, nil
	}
	if part.From == 0 {
		return part, nil
	}
	part.Body.Close()
	part, err = c.get(ctx, known.URL, 0, "")
	if err != nil {
		return nil, classify(ctx, err)
	}
	return part, nil
}

// bring downloads a medium. first, if set, is an answer that is open already.
func (c *Cache) bring(ctx context.Context, cancel context.CancelCauseFunc, m medium, first *Part) (err error) {
	d, err := c.openDownload(ctx, m)
	if err != nil {
		if first != nil {
			first.Body.Close()
		}
		return err
	}
	defer d.f.Close()
	begun := d.at
	defer func() {
		switch {
		case err == nil:
		case isFull(err):
			// What has no room must not take that of others, too.
			c.mu.Lock()
			defer c.mu.Unlock()
			c.disk.removePart(m.key)
		case d.at > begun:
			err = &progressError{err}
		}
	}()
	if first == nil && d.complete() {
		return d.finish()
	}
	for n, url := range m.urls {
		part := first
		if first = nil; part == nil {
			part, err = c.get(ctx, url, d.at, d.side.Tag)
		}
		if errors.Is(err, ErrGone) && n+1 < len(m.urls) {
			continue
		}
		if err != nil {
			if errors.Is(err, ErrServer) && d.at > 0 && d.c.strikes(m) > 0 {
				// It may be the offset that the server does not like.
				err = errors.Join(err, d.seek(0))
			}
			return classify(ctx, err)
		}
		part.Body = newWatchdog(part.Body, cancel)
		err = d.take(ctx, url, part)
		part.Body.Close()
		if err != nil {
			return err
		}
		return d.finish()
	}
	return err
}

// progressError is of a download that came further than ever before it failed.
type progressError struct{ error }

func (e *progressError) Unwrap() error { return e.error }

// classify marks what says nothing about the medium itself.
func classify(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrGone), errors.Is(err, ErrServer):
		return err
	}
	return fmt.Errorf("%w: %w", errNetwork, err)
}

func (c *Cache) strikes(m medium) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.failures[m.key]; f != nil {
		return f.strikes
	}
	return 0
}

// failed notes why a medium could not be had, and when it is tried again. reached says that the server was there for others.
func (c *Cache) failed(m medium, err error, reached bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failures[m.key]
	if f == nil {
		f = &failure{last: time.Now()}
		c.failures[m.key] = f
	}
	heard := c.heard.After(f.last) // the server was there meanwhile
	f.at, f.last, f.full = c.cfg.Now(), time.Now(), isFull(err)
	var full *fullError
	if errors.As(err, &full) {
		f.size = full.size
	}
	tries := serverTries
	var gained *progressError
	switch {
	case errors.Is(err, ErrGone), errors.Is(err, errEmpty), errors.Is(err, errNoAddress), isFull(err):
		tries = 1
	case errors.Is(err, errContent):
		tries = wrongTries
	case errors.As(err, &gained):
		f.strikes = -1 // it goes on, piece by piece
	case errors.Is(err, errNetwork) && !reached && !heard:
		return // nobody knows whether it is the medium's fault: wait for the network
	}
	f.reason = reasonText(err)
	f.strikes++
	f.next = time.Now().Add(retry.Backoff(max(f.strikes, 1), leastPause, mostPause))
	if f.out || f.strikes >= tries {
		most := mostRests
		if f.full && max(f.size, m.size) == 0 {
			most = mostWaste
		}
		if f.rests++; !f.out {
			c.cfg.Log.Warn("a medium is left out for now", "name", m.name, "err", err)
		}
		f.out = true
		f.next = time.Now().Add(retry.Backoff(f.rests, leastResting, most))
	}
}

// reasonText is why, for people.
func reasonText(err error) string {
	var full *fullError
	switch {
	case errors.As(err, &full):
		return sentence(full.Error())
	case isNoSpace(err):
		return "There is no space for it; use a larger SD card, or fewer or smaller media."
	case errors.Is(err, ErrGone):
		return "The server does not have it any more: upload it there again, or take it out of the playlist."
	}
	return sentence(err.Error())
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// storage reports whether an error is the disk's, not the medium's, and another one than that it is full.
func storage(err error) bool {
	var disk *diskError
	return errors.As(err, &disk) && !isFull(err)
}
