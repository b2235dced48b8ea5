// Package bootkit is what tools beside the appliance (imager, integration) use of packages/internal/bootpart, which Go lets
// nobody outside of packages import. It adds nothing.
package bootkit

import (
	"io"

	"porthole/packages/internal/bootpart"
)

// A boot partition and what it is made of; see package bootpart.
type (
	Partition  = bootpart.Partition
	Medium     = bootpart.Medium
	Slot       = bootpart.Slot
	Loader     = bootpart.Loader
	Options    = bootpart.Options
	Geometry   = bootpart.Geometry
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
