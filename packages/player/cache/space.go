package cache

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/units"
)

// What stays free, in bytes, unless Config says otherwise.
const (
	leastReserve   = 64 << 20
	mostReserve    = 512 << 20
	reservePercent = 5
)

// fullError says how many bytes are missing, and how many the whole medium has, 0 where nobody knows.
type fullError struct{ missing, size int64 }

func (e *fullError) Error() string {
	return fmt.Sprintf("there is no space for it: %s are missing; use a larger SD card, or fewer or smaller media", units.Bytes(e.missing))
}

// isFull reports whether the disk is full, by our own account or the kernel's.
func isFull(err error) bool {
	var f *fullError
	return errors.As(err, &f) || isNoSpace(err)
}

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// free is how many bytes more the disk takes; it is negative when the reserve is touched. It needs mu.
func (c *Cache) free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(c.disk.dir, &st); err != nil {
		return 0, fmt.Errorf("ask for free space: %w", err)
	}
	size := uint64(st.Frsize)
	reserve := c.cfg.Reserve
	if reserve == 0 {
		reserve = int64(min(max(st.Blocks*size*reservePercent/100, leastReserve), mostReserve))
	}
	return int64(min(st.Bavail*size, math.MaxInt64)) - reserve, nil
}

// used is how many bytes media and downloads have. It needs mu.
func (c *Cache) used() int64 {
	n := int64(0)
	for _, f := range c.disk.files {
		n += f.size
	}
	for _, size := range c.disk.parts {
		n += size
	}
	return n
}

// limit is how many bytes of media there can be at most. It needs mu.
func (c *Cache) limit() int64 {
	most := int64(math.MaxInt64)
	if free, err := c.free(); err == nil {
		most = max(0, c.used()+free)
	}
	if c.cfg.Limit > 0 {
		most = min(most, c.cfg.Limit)
	}
	return most
}

// lacking is how many bytes are missing for n more. It needs mu.
func (c *Cache) lacking(n int64) (int64, error) {
	free, err := c.free()
	if err != nil {
		return 0, err
	}
	missing := n - free
	if c.cfg.Limit > 0 {
		missing = max(missing, c.used()+n-c.cfg.Limit)
	}
	return missing, nil
}

// room makes room for n bytes more, by removing what nobody needs: broken-off downloads, then what was not played for the
// longest time. Where that would not be enough nothing is removed, and a *fullError says what is missing.
func (c *Cache) room(n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing, err := c.lacking(n)
	if err != nil || missing <= 0 {
		return err
	}
	keep := c.needed()
	if spare := c.spare(keep); spare < missing {
		return &fullError{missing: missing - spare}
	}
	for missing > 0 && c.evict(keep) {
		if missing, err = c.lacking(n); err != nil {
			return err
		}
	}
	if missing > 0 {
		return &fullError{missing: missing}
	}
	return nil
}

// drop removes one file that nobody needs, false if there is none.
func (c *Cache) drop() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evict(c.needed())
}

// leave is the part of the disk, in hundredths, that is left to others (uploads to this device's own server) rather than to
// media that might be needed again.
const leave = 25

// trim removes what nobody needs while others have little space, unless Limit says how much there may be.
func (c *Cache) trim() {
	if c.cfg.Limit > 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted == nil {
		return // it is not known what is coming
	}
	keep := c.needed()
	for {
		var st unix.Statfs_t
		if unix.Statfs(c.disk.dir, &st) != nil || st.Bavail >= st.Blocks/100*leave || !c.evict(keep) {
			return
		}
	}
}

// spare is how many bytes can be removed. It needs mu.
func (c *Cache) spare(keep map[string]bool) int64 {
	n := int64(0)
	for key, size := range c.disk.parts {
		if !keep[key] {
			n += size
		}
	}
	for sha, f := range c.disk.files {
		if !keep[sha] {
			n += f.size
		}
	}
	return n
}

// evict removes one file that is not to be kept, false if there is none. It needs mu.
func (c *Cache) evict(keep map[string]bool) bool {
	for key := range c.disk.parts {
		if !keep[key] {
			c.disk.removePart(key)
			return true
		}
	}
	oldest := ""
	for sha, f := range c.disk.files {
		if !keep[sha] && (oldest == "" || f.used.Before(c.disk.files[oldest].used)) {
			oldest = sha
		}
	}
	if oldest == "" {
		return false
	}
	c.cfg.Log.Info("a medium makes room", "sha256", oldest, "bytes", c.disk.files[oldest].size)
	c.disk.remove(oldest)
	return true
}

// hunger is how much the program that plays has to give up for the coming one.
type hunger int

const (
	fed     hunger = iota // nothing
	hungry                // all but one medium
	starved               // everything
)

// starve gives up media of the program that plays, because nothing of the coming one fits beside them: first all but what
// was played last, which stays on the screen meanwhile, then that, too. False if that does not help. It needs mu.
func (c *Cache) starve() bool {
	if c.starving == starved {
		return false
	}
	helps := false
	for _, m := range c.media(*c.coming) {
		f := c.failures[m.key]
		if f == nil || !f.full {
			continue
		}
		if size := max(m.size, f.size); size > 0 && size <= c.limit() {
			f.again()
			helps = true
		}
	}
	if !helps {
		return false
	}
	c.starving++
	c.ration = ""
	if c.starving == hungry {
		c.ration = c.last()
	}
	c.cfg.Log.Warn("the new program does not fit beside the old one, which gives up media", "all", c.starving == starved)
	return true
}

// last is the medium of the program that plays that was played last. It needs mu.
func (c *Cache) last() string {
	last := ""
	for _, m := range c.media(*c.playing) {
		sha := c.content(m)
		if f := c.disk.files[sha]; f.good && (last == "" || f.used.After(c.disk.files[last].used)) {
			last = sha
		}
	}
	return last
}
