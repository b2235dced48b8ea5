// Package blkdev holds the ioctls of block devices and of ext4.
package blkdev

import "porthole/hw/internal/sys"

// Requests. The group 0x12 is the block layer's (include/uapi/linux/fs.h, blkpg.h); 'f' is the file systems' (fs/ext4/ext4.h,
// EXT4_IOC_RESIZE_FS; Documentation/filesystems/ext4/ has no page for it). Sizes are those of 64-bit machines.
const (
	group = 0x12 << sys.GroupShift

	RereadTable = group | 95                                    // BLKRRPART
	SectorSize  = group | 104                                   // BLKSSZGET
	PartitionOp = group | 105                                   // BLKPG
	Size64      = sys.IocRead | 8<<sys.SizeShift | group | 114  // BLKGETSIZE64
	ResizeExt4  = sys.IocWrite | 8<<sys.SizeShift | 'f'<<8 | 16 // EXT4_IOC_RESIZE_FS
)

// PartitionArg is struct blkpg_ioctl_arg (blkpg.h).
type PartitionArg struct {
	Op, Flags, DataLen int32
	_                  int32
	Data               uint64
}

// OpResize is BLKPG_RESIZE_PARTITION (blkpg.h): it works while the partition is mounted.
const OpResize = 3

// Partition is struct blkpg_partition (blkpg.h). Start and Length are in bytes.
type Partition struct {
	Start, Length int64
	Number        int32
	_             [64]byte
	_             [64]byte
	_             int32
}
