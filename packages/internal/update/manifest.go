package update

import "time"

// Names of the parts and of the slots.
const (
	// PartBoot is a tar of the boot slot's files: kernel, device trees, overlays, cmdline.txt, and on a Pi config.txt.
	PartBoot = "boot"
	// PartRoot is the SquashFS of the root partition.
	PartRoot = "root"

	SlotA = "slot-a"
	SlotB = "slot-b"
)

// Manifest says what an update is. It is what is signed.
type Manifest struct {
	// Format is 1; another one is refused with the advice to update in steps.
	Format  int    `json:"format"`
	Product string `json:"product"` // "porthole"
	Board   string `json:"board"`   // "pi" or "vm": the family of boards
	Version string `json:"version"`
	// Minimum is the oldest version that may install it directly; empty: any.
	Minimum string    `json:"minimum_version,omitempty"`
	Built   time.Time `json:"built"` // the time of its commit
	// Parts are all of them, PartBoot and PartRoot, whether a device has them or not.
	Parts []ManifestPart `json:"parts"`
}

// ManifestPart is a part as it is written, and as it is stored in the bundle.
type ManifestPart struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes, as written
	SHA256 string `json:"sha256"` // of that, in hexadecimal
	// Encoding is how the bundle stores it: "" as it is, "zstd" compressed (RFC 8878). Stored is that size in bytes.
	Encoding string `json:"encoding,omitempty"`
	Stored   int64  `json:"stored_size"`
}
