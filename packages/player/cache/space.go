package cache

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// What stays free, in bytes, unless Config says otherwise.
const (
	leastReserve   = 64 << 20
	mostReserve    = 512 << 20
	reservePercent = 5
)

// fullError says how many bytes are missing.
type fullError struct{ missing int64 }

func (e *fullError) Error() string {
	return fmt.Sprintf("there is no space for it: %s are missing; use a larger SD card, or fewer or smaller media", sizeText(e.missing))
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
// longest time. A *fullError says that it is not enough.
func (c *Cache) room(n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := c.needed()
	for {
		missing, err := c.lacking(n)
		if err != nil {
			return err
		}
		if missing <= 0 {
			return nil
		}
		if !c.evict(keep) {
			return &fullError{missing}
		}
	}
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
	c.cfg.Log.Info("a medium that no program needs makes room", "sha256", oldest, "bytes", c.disk.files[oldest].size)
	c.disk.remove(oldest)
	return true
}

// sizeText is a size for people, rounded up.
func sizeText(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size {
			v := math.Ceil(float64(n)/float64(u.size)*10) / 10
			if v >= 10 {
				return fmt.Sprintf("%.0f %s", math.Ceil(v), u.name)
			}
			return fmt.Sprintf("%.1f %s", v, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
