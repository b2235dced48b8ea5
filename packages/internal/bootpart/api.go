package bootpart

import (
	"context"
	"io"
)

type Geometry struct{}

// Standard is the layout of the images: 256 MiB, of which each slot has 104.
func Standard() Geometry { return Geometry{} }

// Format makes a boot partition with two empty slots on a medium that holds zeros. Write the first slot with Open and
// WriteSlot, then have it started with Loader and Keep. The same options give the same bytes.
func Format(m Medium, o Options) error { panic("todo") }

type Partition struct{ m Medium }

// Open reads the layout of a boot partition. It fails with ErrLayout when it is not Porthole's.
func Open(m Medium) (*Partition, error) { return &Partition{m}, nil }

// WriteSlot writes a boot part, a canonical tar, to a slot that does not run and that the loader has off. Progress, if not
// nil, gets how many bytes of the tar are done. It fails with ErrPart for a tar that is not a boot part; the slot is empty
// then, as it is after a power cut.
func (p *Partition) WriteSlot(ctx context.Context, slot string, boot io.Reader, s Slot, progress func(int64)) error {
	panic("todo")
}

// ReadSlot writes a slot's boot part: the very bytes that WriteSlot got. Extra's names, Manifest and Signature are left out.
// It fails with ErrEmpty for an empty slot.
func (p *Partition) ReadSlot(ctx context.Context, slot string, s Slot, w io.Writer) error {
	panic("todo")
}

// SlotFile returns a file of a slot, as it is there, of at most MaxFile bytes. It fails with ErrNotFound.
func (p *Partition) SlotFile(slot, name string) ([]byte, error) { panic("todo") }

// Loader returns what decides on the slot that starts on a board.
func (p *Partition) Loader(board string) (Loader, error) { panic("todo") }
