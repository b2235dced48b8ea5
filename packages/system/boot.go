package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bootFlags are those init mounts the boot partition with.
const bootFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// unlocker returns what makes the file system at dir writable, and what it returns makes it read-only again, if it was.
func unlocker(dir string) func() (func() error, error) {
	return func() (func() error, error) {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			return nil, fmt.Errorf("look at the file system of %s: %w", dir, err)
		}
		if st.Flags&unix.ST_RDONLY == 0 {
			return func() error { return nil }, nil
		}
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|bootFlags, ""); err != nil {
			return nil, fmt.Errorf("make %s writable: %w", dir, err)
		}
		return func() error {
			// Remounting writes everything out.
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY|bootFlags, ""); err != nil {
				return fmt.Errorf("make %s read-only: %w", dir, err)
			}
			return nil
		}, nil
	}
}
