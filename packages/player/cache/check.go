package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/retry"
)

const (
	// scrubAfter is when the first check of what is here begins, scrubEvery how long after one the next does.
	scrubAfter = time.Minute
	scrubEvery = 24 * time.Hour
	// scrubPause follows each piece of copyBuffer bytes that is checked: at most 5 MB/s, of 20 that a card has.
	scrubPause = 25 * time.Millisecond
)

// load reads what is on the disk. Media of the program are taken to be whole if they have the size that they had when they
// were verified; scrub reads them later.
func (c *Cache) load() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disk.dir = c.cfg.Dir
	problem := c.disk.prepare()
	c.disk.scan()
	p, err := c.disk.loadProgram()
	if err != nil {
		c.cfg.Log.Error("the stored program cannot be read", "err", err)
		c.problems.program = "The stored program was damaged (" + err.Error() + "), so an older one plays, or none, until the server sends it again. If this comes back, replace the SD card."
	}
	if problem != nil {
		c.cfg.Log.Error("cannot keep the program and its media", "err", problem)
		c.problems.storage = "The program and its media cannot be kept (" + problem.Error() + "). Restart the device; if this comes back, replace the SD card."
	}
	if p == nil {
		return
	}
	c.playing = p
	for _, m := range c.media(*p) {
		sha, size := m.sha, m.size
		if sha == "" && len(m.urls) > 0 {
			o := c.disk.origins[m.urls[0]]
			sha, size = o.SHA256, o.Size
		}
		f, ok := c.disk.files[sha]
		if ok && size > 0 && f.size == size {
			f.good = true
			c.disk.files[sha] = f
		} else if ok && size > 0 {
			c.cfg.Log.Warn("a stored medium has another size; it is fetched again", "name", m.name, "bytes", f.size, "want", size)
			c.disk.remove(sha)
		}
	}
	shown := c.playable(*p)
	c.shown = &shown
}

// lost takes note of a file that is not what it should be: it is fetched again. It needs mu.
func (c *Cache) lost(sha, why string) {
	c.cfg.Log.Error("a stored medium is damaged; it is fetched again", "sha256", sha, "why", why)
	c.problems.damage = "A stored medium is damaged (" + why + ") and is fetched again. If this comes back, replace the SD card."
	c.disk.remove(sha)
	if c.wanted != nil && c.coming == nil {
		c.coming = c.wanted // it may be another one on the server by now
	}
	c.renew()
}

// adopt takes a file that is here and that no program needed till now, if it is what its name says.
func (c *Cache) adopt(ctx context.Context, sha string) bool {
	c.mu.Lock()
	f, ok := c.disk.files[sha]
	c.mu.Unlock()
	if !ok || f.good {
		return f.good
	}
	found, err := c.hashFile(ctx, sha, nil)
	if ctx.Err() != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok = c.disk.files[sha]; !ok {
		return false
	}
	if err != nil && !isDamage(err) {
		return false
	}
	if err != nil || found != sha {
		c.cfg.Log.Warn("a stored medium is damaged; it is fetched again", "sha256", sha, "err", err)
		c.disk.remove(sha)
		return false
	}
	f.good = true
	c.disk.files[sha] = f
	return true
}

// scrub reads one file after the other, slowly and now and then, until ctx ends.
func (c *Cache) scrub(ctx context.Context) {
	for wait := scrubAfter; retry.Pause(ctx, wait); wait = scrubEvery {
		c.mu.Lock()
		all := slices.Sorted(maps.Keys(c.disk.files))
		c.mu.Unlock()
		for _, sha := range all {
			c.verify(ctx, sha)
		}
	}
}

// verify reads a file that is in use, and gives it up if its content is not what its name says.
func (c *Cache) verify(ctx context.Context, sha string) {
	c.mu.Lock()
	good := c.disk.files[sha].good
	c.mu.Unlock()
	if !good {
		return // adopt does so before it is used
	}
	found, err := c.hashFile(ctx, sha, func() { retry.Pause(ctx, scrubPause) })
	if ctx.Err() != nil || err == nil && found == sha {
		return
	}
	if err != nil && !isDamage(err) {
		c.cfg.Log.Warn("cannot check a stored medium", "sha256", sha, "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.disk.files[sha].good {
		return // it was removed meanwhile
	}
	why := "its content has changed"
	if err != nil {
		why = "it cannot be read"
	}
	c.lost(sha, why)
}

// isDamage reports whether an error says that a file itself is not well, rather than that there is too little of something.
func isDamage(err error) bool { return errors.Is(err, unix.EIO) || errors.Is(err, fs.ErrNotExist) }

// hashFile is the hash of what a file holds. between, if set, is called after each piece.
func (c *Cache) hashFile(ctx context.Context, sha string, between func()) (string, error) {
	f, err := os.Open(c.disk.path(mediaDir, sha))
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, copyBuffer)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		if between != nil {
			between()
		}
	}
	return "", ctx.Err()
}
