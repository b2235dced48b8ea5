package hwtest

import (
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/blkdev"
)

// Disk is a disk with four partitions, one of which is in use.
type Disk struct {
	path string

	mu         sync.Mutex // guards what follows
	partitions map[int32]blkdev.Partition
	rereads    int
	mounted    bool
}

// NewDisk adds a disk with that content at the path, for example dev/mmcblk0. The kernel knows the partitions that were
// given: start and length in bytes.
func NewDisk(d *Devices, path string, content []byte, partitions map[int][2]int64) *Disk {
	d.tb.Helper()
	k := &Disk{path: filepath.Join(d.root, path+".content"), partitions: make(map[int32]blkdev.Partition)}
	for n, p := range partitions {
		k.partitions[int32(n)] = blkdev.Partition{Start: p[0], Length: p[1], Number: int32(n)}
	}
	d.add(path, k)
	if err := os.WriteFile(k.path, content, 0o600); err != nil {
		d.tb.Fatal(err)
	}
	return k
}

// Path is the file that holds the content.
func (k *Disk) Path() string { return k.path }

// Partition is what the kernel knows of a partition, in bytes.
func (k *Disk) Partition(n int) (start, length int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.partitions[int32(n)]
	return p.Start, p.Length
}

// Mount keeps the kernel from reading the table again.
func (k *Disk) Mount() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mounted = true
}

// Rereads counts how often the kernel read the table again.
func (k *Disk) Rereads() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rereads
}

func (k *Disk) open() (*os.File, error) { return os.OpenFile(k.path, os.O_RDWR, 0) }

func (k *Disk) close(*os.File) {}

func (k *Disk) ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch request {
	case blkdev.Size64:
		st, err := f.Stat()
		if err != nil {
			return err
		}
		*(*uint64)(arg) = uint64(st.Size())
		return nil
	case blkdev.PartitionOp:
		a := (*blkdev.PartitionArg)(arg)
		if a.Op != blkdev.OpResize || a.DataLen != int32(unsafe.Sizeof(blkdev.Partition{})) {
			return unix.EINVAL
		}
		return k.resize(elements[blkdev.Partition](a.Data, 1)[0])
	}
	return unix.ENOTTY
}

// resize checks as bdev_resize_partition in block/partitions/core.c does.
func (k *Disk) resize(p blkdev.Partition) error {
	old, ok := k.partitions[p.Number]
	switch {
	case !ok:
		return unix.ENXIO
	case old.Start != p.Start || p.Length <= 0 || p.Length%512 != 0:
		return unix.EINVAL
	}
	for n, q := range k.partitions {
		if n != p.Number && p.Start < q.Start+q.Length && q.Start < p.Start+p.Length {
			return unix.EBUSY
		}
	}
	k.partitions[p.Number] = p
	return nil
}

func (k *Disk) ioctlInt(_ *os.File, request, _ uintptr) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if request != blkdev.RereadTable {
		return unix.ENOTTY
	}
	if k.mounted {
		return unix.EBUSY
	}
	k.rereads++
	return nil
}

func (k *Disk) mmap(*os.File, int64, int) ([]byte, error) { return nil, unix.ENODEV }
