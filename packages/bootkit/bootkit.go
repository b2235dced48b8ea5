// Package bootkit is what tools beside the appliance (imager, integration) use of packages/internal/bootpart, which Go lets
// nobody outside of packages import. It adds nothing.
package bootkit

import (
	"io"

	"porthole/packages/internal/bootpart"
)

type (
	// Partition is an opened boot partition.
	Partition = bootpart.Partition
	// Medium is the device, or an image of the partition.
	Medium = bootpart.Medium
	// Slot is what differs between the slots.
	Slot = bootpart.Slot
	// Loader says which slot starts.
	Loader = bootpart.Loader
	// Options describe a partition to be made.
	Options = bootpart.Options
	// Geometry is how it is divided.
	Geometry = bootpart.Geometry
	// PartWriter writes a boot part.
	PartWriter = bootpart.PartWriter
)

// Names and bounds; see package bootpart.
const (
	SlotA     = bootpart.SlotA
	SlotB     = bootpart.SlotB
	BoardPi   = bootpart.BoardPi
	BoardVM   = bootpart.BoardVM
	MaxConfig = bootpart.MaxConfig
)

// Errors; see package bootpart.
var (
	ErrLayout  = bootpart.ErrLayout
	ErrEmpty   = bootpart.ErrEmpty
	ErrPart    = bootpart.ErrPart
	ErrDefault = bootpart.ErrDefault
)

// Standard is the layout of the images.
func Standard() Geometry { return bootpart.Standard() }

// Format makes a boot partition with two empty slots.
func Format(m Medium, o Options) error { return bootpart.Format(m, o) }

// Open reads the layout of a boot partition.
func Open(m Medium) (*Partition, error) { return bootpart.Open(m) }

// NewPartWriter returns a writer of a boot part.
func NewPartWriter(w io.Writer) *PartWriter { return bootpart.NewPartWriter(w) }
