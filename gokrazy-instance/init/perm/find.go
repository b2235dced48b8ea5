package perm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk is the disk that the root file system lies on.
type Disk struct {
	// Node is the whole disk, for example /dev/mmcblk0.
	Node string
	// Own is the number of the partition that the file system is on.
	Own int
	// Partitions are its partitions' nodes by their numbers.
	Partitions map[int]string
}

// FindDisk finds the disk of the file system that path is on, by its device number: the kernel's word, whatever the
// disk is called and however it was named on the kernel's command line. sys and dev are where sysfs and devtmpfs are
// mounted.
func FindDisk(path, sys, dev string) (Disk, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Disk{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return diskOf(unix.Major(st.Dev), unix.Minor(st.Dev), sys, dev)
}

// diskOf reads what sysfs says of a partition's disk (Documentation/ABI/stable/sysfs-block).
func diskOf(major, minor uint32, sys, dev string) (Disk, error) {
	link := filepath.Join(sys, "dev", "block", fmt.Sprintf("%d:%d", major, minor))
	own, err := filepath.EvalSymlinks(link)
	if err != nil {
		return Disk{}, fmt.Errorf("find block device %d:%d: %w", major, minor, err)
	}
	number, err := partitionNumber(own)
	if err != nil {
		return Disk{}, fmt.Errorf("%s is not a partition: %w", filepath.Base(own), err)
	}
	whole := filepath.Dir(own)
	d := Disk{Node: filepath.Join(dev, filepath.Base(whole)), Own: number, Partitions: map[int]string{}}
	files, err := filepath.Glob(filepath.Join(whole, "*", "partition"))
	if err != nil {
		return Disk{}, fmt.Errorf("list partitions of %s: %w", d.Node, err)
	}
	for _, f := range files {
		n, err := partitionNumber(filepath.Dir(f))
		if err != nil {
			return Disk{}, err
		}
		d.Partitions[n] = filepath.Join(dev, filepath.Base(filepath.Dir(f)))
	}
	return d, nil
}

func partitionNumber(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "partition"))
	if err != nil {
		return 0, fmt.Errorf("read partition number: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read partition number of %s: %w", dir, err)
	}
	return n, nil
}
