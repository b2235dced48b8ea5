// Package bootpart is Porthole's boot partition: a FAT32 file system in which a slot can be written while the other one
// runs, and a power cut at any moment leaves everything else as it was (docs/decisions/0028-own-boot-partition.md).
//
// Each slot has a region: contiguous clusters, all of them always allocated, whose sectors in both FATs hold nothing else. The
// folder slot-a or slot-b is the region's first cluster; what the slot does not need belongs to a hidden file "unused" in it.
// Writing a slot is writing sectors of its region through the block device. What starts is decided by one sector: on a
// Raspberry Pi that of config.txt or tryboot.txt, elsewhere that of the folder loader/entries.
package bootpart

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// The slots.
const (
	SlotA = "slot-a"
	SlotB = "slot-b"
)

// The boards, as in the names of images.
const (
	BoardPi = "pi"
	BoardVM = "vm"
)

// Files of a slot that mean something here.
const (
	Kernel  = "vmlinuz"     // must be in each boot part
	Cmdline = "cmdline.txt" // one line, with root=SLOT in the part and root=PARTUUID=… in a slot
	Config  = "config.txt"  // Raspberry Pi only: os_prefix=SLOT/ in the part; in a slot the slot's name, padded to one sector

	// Manifest and Signature are what a slot was written from. They are no part of a boot part.
	Manifest  = "manifest.json"
	Signature = "manifest.json.minisig"
)

// Bounds of a boot part and of what is added to it.
const (
	MaxFiles   = 4096    // files in a slot
	MaxName    = 100     // bytes of a path
	MaxDepth   = 8       // elements of a path
	MaxConfig  = 512     // bytes of config.txt, with the slot's name in it
	MaxCmdline = 1536    // bytes of cmdline.txt, with the partition in it
	MaxFile    = 4 << 20 // bytes of what SlotFile returns, and of each extra file
)

// Medium is the partition's block device, or an image of the partition. Offset and length of each call are multiples of 512.
// ReadAt must see what is on the medium after Sync, not what some cache has (O_DIRECT).
type Medium interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when all that was written is on the medium.
	Sync() error
}

// Slot is what differs between the slots of a device.
type Slot struct {
	// PartUUID names the slot's root partition, as in root=PARTUUID=….
	PartUUID string
	// Extra are files added to the slot's folder, by name: Manifest and Signature.
	Extra map[string][]byte
}

// Errors that callers may act on.
var (
	// ErrLayout: the partition is not laid out as Porthole's images are, so that no slot of it can be written.
	ErrLayout = errors.New("the boot partition is not laid out as Porthole's: it cannot be updated. Write Porthole's image to the card again")
	// ErrEmpty: the slot holds no system.
	ErrEmpty = errors.New("the slot is empty")
	// ErrPart: the boot part is not one that Porthole's builds make, or does not fit.
	ErrPart = errors.New("the update's boot part cannot be used")
	// ErrDefault: the slot is the one that starts by default.
	ErrDefault = errors.New("the slot is what the device starts by default")
	// ErrNotFound: the slot has no such file.
	ErrNotFound = fs.ErrNotExist
)

// Loader says which slot starts. Arm, Keep and Off change one sector that matters; after a power cut during one of them
// what starts is what was to start before it or after it. They return when that is on the medium.
type Loader interface {
	// Default returns the slot that starts when nothing is armed.
	Default() (slot string, err error)
	// Armed tells what is to become of a slot that is not the default one. Armed: it is to be started once. Tried: it was
	// started since it was armed, and not kept. On a Raspberry Pi it starts when the restart asks for it (reboot(2),
	// LINUX_REBOOT_CMD_RESTART2, "0 tryboot"), which leaves no trace: tried is always false there.
	Armed(slot string) (armed, tried bool, err error)
	// Arm has the slot started once. It fails with ErrDefault for the default slot and with ErrEmpty for an empty one.
	Arm(slot string) error
	// Keep makes the slot the default one. The other slot stays what it is.
	Keep(slot string) error
	// Off makes sure that a slot does not start whatever happens; it is called before the slot is written. It fails with
	// ErrDefault for the default slot.
	Off(slot string) error
}

// Options describe a boot partition to be made.
type Options struct {
	// Board decides which loader's files are made: config.txt and tryboot.txt, or loader/entries.
	Board string
	// Geometry is Standard() but in tests.
	Geometry Geometry
	// Serial is the volume's number, Start where the partition begins on its disk in bytes.
	Serial uint32
	Start  int64
	// Time is every time stamp, from 1980 to 2107.
	Time time.Time
	// Files are what lies outside the slots, by path.
	Files map[string][]byte
}
