package blkdev_test

import (
	"testing"
	"unsafe"

	"porthole/hw/internal/blkdev"
)

// TestABI compares with what a C compiler makes of linux/blkpg.h and linux/fs.h.
func TestABI(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"blkpg_ioctl_arg", unsafe.Sizeof(blkdev.PartitionArg{}), 24},
		{"blkpg_partition", unsafe.Sizeof(blkdev.Partition{}), 152},
		{"blkpg_ioctl_arg.data", unsafe.Offsetof(blkdev.PartitionArg{}.Data), 16},
		{"blkpg_partition.pno", unsafe.Offsetof(blkdev.Partition{}.Number), 16},
		{"BLKRRPART", blkdev.RereadTable, 0x125f},
		{"BLKSSZGET", blkdev.SectorSize, 0x1268},
		{"BLKPG", blkdev.PartitionOp, 0x1269},
		{"BLKGETSIZE64", blkdev.Size64, 0x80081272},
		{"EXT4_IOC_RESIZE_FS", blkdev.ResizeExt4, 0x40086610},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
	}
}
