package library

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/units"
)

// What stays free, in bytes, unless Options say otherwise.
const (
	leastReserve   = 64 << 20
	mostReserve    = 512 << 20
	reservePercent = 5
)

// Space is how many bytes more files may take, and how large the disk is. 0 of 0 means that nobody knows.
func (l *Library) Space() (free, total uint64) {
	left, total, err := l.space()
	if err != nil {
		return 0, 0
	}
	return uint64(max(left, 0)), total
}

// space is Space; left is negative when even the reserve is touched.
func (l *Library) space() (left int64, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(l.opts.Dir, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for free space: %w", err)
	}
	size := uint64(st.Frsize)
	total = st.Blocks * size
	reserve := l.opts.Reserve
	if reserve == 0 {
		reserve = int64(min(max(total*reservePercent/100, leastReserve), mostReserve))
	}
	return int64(min(st.Bavail*size, math.MaxInt64)) - reserve, total, nil
}

// roomFor says whether so many bytes more fit. Too few is a *Refusal that says how much is missing and what to do.
func (l *Library) roomFor(bytes int64) error {
	left, _, err := l.space()
	if err != nil {
		return err
	}
	if left >= bytes {
		return nil
	}
	return &fullError{missing: bytes - left}
}

// fullError says that the disk is full.
type fullError struct{ missing int64 }

func (e *fullError) Error() string {
	return fmt.Sprintf("There is not enough space: %s are missing. Delete media that nobody needs any more, or use a larger SD card; then try again.",
		units.Bytes(e.missing))
}

// Unwrap makes it a *Refusal too.
func (e *fullError) Unwrap() error { return &Refusal{e.Error()} }

// noSpace turns what the kernel, or SQLite, says of a full disk into a sentence.
func noSpace(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || err != nil && strings.Contains(err.Error(), "database or disk is full") {
		return fmt.Errorf("%w (%w)", &fullError{missing: 1 << 20}, err)
	}
	return err
}

func isFull(err error) bool {
	var f *fullError
	return errors.As(err, &f)
}

// durationText is a length for people.
func durationText(d time.Duration) string {
	if d < time.Hour {
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
