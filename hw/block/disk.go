package block

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/blkdev"
	"porthole/hw/internal/sys"
)

// Disk is a whole disk, for example /dev/mmcblk0, or a partition.
type Disk struct {
	sys  *sys.Sys
	file *os.File
}

// Options for Open.
type Options struct {
	// ReadOnly opens the disk for looking only.
	ReadOnly bool
	// Sys is the kernel; nil means the real one.
	Sys *sys.Sys
}

// Open opens the device at path.
func Open(path string, opts Options) (*Disk, error) {
	if opts.Sys == nil {
		opts.Sys = sys.Kernel()
	}
	flag := os.O_RDWR
	if opts.ReadOnly {
		flag = os.O_RDONLY
	}
	f, err := opts.Sys.Open(path, flag)
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}
	return &Disk{sys: opts.Sys, file: f}, nil
}

// Close closes the device.
func (d *Disk) Close() error { return d.sys.Close(d.file) }

// SizeBytes is the device's size.
func (d *Disk) SizeBytes() (uint64, error) {
	var size uint64
	if err := d.sys.Ioctl(d.file, blkdev.Size64, unsafe.Pointer(&size)); err != nil {
		return 0, fmt.Errorf("read size of %s: %w", d.file.Name(), err)
	}
	return size, nil
}

// MBR reads the partition table.
func (d *Disk) MBR() (MBR, error) {
	sector, err := d.firstSector()
	if err != nil {
		return MBR{}, err
	}
	m, err := ParseMBR(sector)
	if err != nil {
		return MBR{}, fmt.Errorf("read partition table of %s: %w", d.file.Name(), err)
	}
	return m, nil
}

func (d *Disk) firstSector() ([]byte, error) {
	sector := make([]byte, SectorSize)
	if _, err := d.file.ReadAt(sector, 0); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	return sector, nil
}

// Ext4 reads the superblock, when the device is a partition with such a file system.
func (d *Disk) Ext4() (Ext4, error) {
	b := make([]byte, SuperblockSize)
	if _, err := d.file.ReadAt(b, SuperblockOffset); err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrNotExt4
		}
		return Ext4{}, fmt.Errorf("read superblock of %s: %w", d.file.Name(), err)
	}
	e, err := ParseExt4(b)
	if err != nil {
		return Ext4{}, fmt.Errorf("read superblock of %s: %w", d.file.Name(), err)
	}
	return e, nil
}

// last is the number of the partition that grows: /perm.
const last = 4

// alignment of the last partition's end, in sectors: a file system block of 4 KiB.
const alignment = 8

// GrowLast makes partition 4 reach to the end of the disk, on the disk (one field of one sector is written, and read
// back) and then in the kernel, which may have it mounted. It reports whether the table was changed; when it was not, the
// kernel is still told, in case power was cut between the two. A table has room for 2 TiB: larger disks are used so far. It
// returns ErrLayout when the disk ends before partition 4 does or something lies behind it.
func (d *Disk) GrowLast() (changed bool, err error) {
	size, err := d.SizeBytes()
	if err != nil {
		return false, err
	}
	sector, err := d.firstSector()
	if err != nil {
		return false, err
	}
	m, err := ParseMBR(sector)
	if err != nil {
		return false, fmt.Errorf("read partition table of %s: %w", d.file.Name(), err)
	}
	p := m.Partitions[last-1]
	if p.Type == 0 || p.End() > size/SectorSize {
		return false, fmt.Errorf("partition %d of %s: sectors %d to %d on a disk of %d: %w",
			last, d.file.Name(), p.Start, p.End(), size/SectorSize, ErrLayout)
	}
	// A table made elsewhere may end on any sector: never shrink.
	end := max(p.End(), min(size/SectorSize, math.MaxUint32)/alignment*alignment)
	wanted := uint32(end - uint64(p.Start))
	if wanted != p.Sectors {
		table, err := WithLength(sector, last, wanted)
		if err != nil {
			return false, err
		}
		if err := WriteVerified(d.file, 0, table); err != nil {
			return false, fmt.Errorf("write partition table of %s: %w", d.file.Name(), err)
		}
		changed = true
	}
	return changed, d.resizePartition(last, int64(p.Start)*SectorSize, int64(wanted)*SectorSize)
}

// resizePartition tells the kernel a partition's new size in bytes.
func (d *Disk) resizePartition(number int, start, length int64) error {
	var pins runtime.Pinner
	defer pins.Unpin()
	p := &blkdev.Partition{Start: start, Length: length, Number: int32(number)}
	pins.Pin(p)
	arg := blkdev.PartitionArg{Op: blkdev.OpResize, DataLen: int32(unsafe.Sizeof(*p)), Data: uint64(uintptr(unsafe.Pointer(p)))}
	if err := d.sys.Ioctl(d.file, blkdev.PartitionOp, unsafe.Pointer(&arg)); err != nil {
		return fmt.Errorf("resize partition %d of %s in the kernel: %w", number, d.file.Name(), err)
	}
	return nil
}

// RereadTable makes the kernel read the partition table again. It fails with unix.EBUSY while a partition is in use.
func (d *Disk) RereadTable() error {
	if err := d.sys.IoctlInt(d.file, blkdev.RereadTable, 0); err != nil {
		return fmt.Errorf("reread partition table of %s: %w", d.file.Name(), err)
	}
	return nil
}

// GrowExt4 makes the ext4 mounted at dir fill its partition of partitionBytes. It reports whether there was anything to do.
// The file system stays in use meanwhile; a power cut leaves it in the old or the new size.
func GrowExt4(s *sys.Sys, dir string, partitionBytes uint64) (changed bool, err error) {
	if s == nil {
		s = sys.Kernel()
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, fmt.Errorf("look at the file system on %s: %w", dir, err)
	}
	if st.Type != unix.EXT4_SUPER_MAGIC || st.Bsize <= 0 {
		return false, fmt.Errorf("%s: %w", dir, ErrNotExt4)
	}
	f, err := s.Open(dir, os.O_RDONLY)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = s.Close(f) }() // was only looked at
	// The number that statfs has leaves out what the file system needs for itself, so it cannot tell whether it is
	// full size; asking for the size it has already is cheap and changes nothing.
	blocks := partitionBytes / uint64(st.Bsize)
	if err := s.Ioctl(f, blkdev.ResizeExt4, unsafe.Pointer(&blocks)); err != nil {
		return false, fmt.Errorf("grow the file system on %s to %d blocks: %w", dir, blocks, err)
	}
	var after unix.Statfs_t
	if err := unix.Statfs(dir, &after); err != nil {
		return false, fmt.Errorf("look at the file system on %s: %w", dir, err)
	}
	return after.Blocks != st.Blocks, nil
}

// directAlign suits every disk's direct reads: memory, offset and length.
const directAlign = 4096

// WriteVerified writes whole sectors to a disk or an existing file in one system call, waits until the medium has
// them, and reads them back from there. It returns ErrUnaligned, ErrReadBack or what the kernel says. Disks write a
// sector as a whole or not at all: one sector is safe against power cuts.
func WriteVerified(f *os.File, offset int64, p []byte) error {
	if offset < 0 || offset%SectorSize != 0 || len(p) == 0 || len(p)%SectorSize != 0 {
		return fmt.Errorf("write %d bytes at %d: %w", len(p), offset, ErrUnaligned)
	}
	if n, err := f.WriteAt(p, offset); err != nil {
		return fmt.Errorf("write %d bytes at %d (%d done): %w", len(p), offset, n, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.Name(), err)
	}
	got, err := readMedium(f, offset, len(p))
	if err != nil {
		return fmt.Errorf("read %s back: %w", f.Name(), err)
	}
	if !bytes.Equal(got, p) {
		return fmt.Errorf("%d bytes at %d of %s: %w", len(p), offset, f.Name(), ErrReadBack)
	}
	return nil
}

// readMedium reads past the page cache, which would only answer what was written. File systems without direct reads
// get their cached pages dropped instead.
func readMedium(f *os.File, offset int64, n int) ([]byte, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Only advice: there is nothing to do about a refusal.
	if err := c.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), offset, int64(n), unix.FADV_DONTNEED) }); err != nil {
		return nil, err
	}
	direct, err := reopenDirect(f)
	if err == nil {
		defer direct.Close()
		first := offset / directAlign * directAlign
		length := (offset + int64(n) - first + directAlign - 1) / directAlign * directAlign
		buf := alignedBuffer(int(length))
		got, err := direct.ReadAt(buf, first)
		if end := int(offset-first) + n; got >= end && (err == nil || errors.Is(err, io.EOF)) {
			return buf[offset-first : end], nil
		}
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return nil, err
		}
	}
	buf := make([]byte, n)
	_, err = f.ReadAt(buf, offset)
	return buf, err
}

// alignedBuffer returns n bytes whose address is a multiple of directAlign.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+directAlign)
	skip := directAlign - int(uintptr(unsafe.Pointer(&b[0]))%directAlign)
	return b[skip%directAlign:][:n]
}
