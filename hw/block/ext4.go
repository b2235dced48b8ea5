package block

import (
	"encoding/binary"
	"errors"
	"strings"
)

// ErrNotExt4 means that there is no ext4 file system.
var ErrNotExt4 = errors.New("no ext4 file system")

// Ext4 is what a superblock says.
type Ext4 struct {
	// BlockSize is in bytes.
	BlockSize int
	// Blocks is the file system's size.
	Blocks uint64
	// Label is its name.
	Label string
	// Clean means that it was unmounted, and no errors were found since the last check.
	Clean bool
	// Errors means that the kernel found errors: it needs a check.
	Errors bool
}

// Superblock's place and size on the partition, in bytes.
const (
	SuperblockOffset = 1024
	SuperblockSize   = 1024
)

// Layout: Documentation/filesystems/ext4/super.rst.
const (
	extBlocksLo    = 0x04
	extLogSize     = 0x18
	extMagic       = 0x38
	extState       = 0x3a
	extIncompat    = 0x60
	extName        = 0x78
	extBlocksHi    = 0x150
	extStateClean  = 1
	extStateErrors = 2
	extRecover     = 0x4  // the journal has to be replayed
	extExtents     = 0x40 // what makes it ext4
	ext64Bit       = 0x80
)

// ParseExt4 reads a superblock. It returns ErrNotExt4 for anything else, ext2 and ext3 included.
func ParseExt4(b []byte) (Ext4, error) {
	if len(b) < SuperblockSize || binary.LittleEndian.Uint16(b[extMagic:]) != 0xef53 {
		return Ext4{}, ErrNotExt4
	}
	incompat := binary.LittleEndian.Uint32(b[extIncompat:])
	logSize := binary.LittleEndian.Uint32(b[extLogSize:])
	if logSize > 6 || incompat&extExtents == 0 { // blocks have 1 to 64 KiB
		return Ext4{}, ErrNotExt4
	}
	blocks := uint64(binary.LittleEndian.Uint32(b[extBlocksLo:]))
	if incompat&ext64Bit != 0 {
		blocks |= uint64(binary.LittleEndian.Uint32(b[extBlocksHi:])) << 32
	}
	state := binary.LittleEndian.Uint16(b[extState:])
	label, _, _ := strings.Cut(string(b[extName:extName+16]), "\x00")
	return Ext4{
		BlockSize: 1024 << logSize, Blocks: blocks, Label: label,
		Clean:  state&extStateClean != 0 && state&extStateErrors == 0 && incompat&extRecover == 0,
		Errors: state&extStateErrors != 0,
	}, nil
}
