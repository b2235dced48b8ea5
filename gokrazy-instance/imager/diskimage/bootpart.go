package diskimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"porthole/packages/bootkit"
)

// BootTar writes the boot part of the build: the slot's files, with placeholders for what depends on the slot. Image must
// have laid them out.
func (b *Builder) BootTar(w io.Writer) error {
	if b.part == nil {
		return errors.New("write boot part: nothing was built yet")
	}
	t := bootkit.NewPartWriter(w)
	for _, name := range b.part.paths() {
		n := b.part[name]
		if n.mode.IsDir() {
			continue
		}
		if n.mode&fs.ModeSymlink != 0 {
			return fmt.Errorf("write boot part: %s is a symbolic link, which FAT does not have", name)
		}
		data, err := n.read()
		if err != nil {
			return fmt.Errorf("write boot part: %w", err)
		}
		if err := t.File(name, int64(len(data)), bootTime); err != nil {
			return fmt.Errorf("write boot part: %w", err)
		}
		if _, err := t.Write(data); err != nil {
			return fmt.Errorf("write boot part: %w", err)
		}
	}
	return t.Close()
}

// bootTime is the time of every file of every boot part: with the build's, a kernel that has not changed would be another part
// with each commit, and be sent again.
var bootTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fatTime is the build's time, unless it is one that FAT cannot say.
func (b *Builder) fatTime() time.Time {
	if first := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC); b.Time.Before(first) {
		return first
	}
	return b.Time
}

// makeBootFAT writes the boot partition: what lies at its top, the boot part in the first slot, nothing in the other.
func (b *Builder) makeBootFAT(ctx context.Context) error {
	files := map[string][]byte{}
	for _, name := range b.boot.paths() {
		if b.boot[name].mode.IsDir() {
			continue
		}
		data, err := b.boot[name].read()
		if err != nil {
			return fmt.Errorf("read part of the boot partition: %w", err)
		}
		files[name] = data
	}
	out := b.work("boot.fat")
	if err := makeSparse(out, bootSize); err != nil {
		return err
	}
	f, err := os.OpenFile(out, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open boot partition: %w", err)
	}
	defer f.Close()
	if err := bootkit.Format(f, bootkit.Options{
		Board: b.Board.Name, Geometry: bootkit.Standard(), Serial: b.Board.DiskID, Start: firstPartition, Time: b.fatTime(), Files: files,
	}); err != nil {
		return err
	}
	if err := b.fillSlot(ctx, f); err != nil {
		return err
	}
	return f.Close()
}

// fillSlot writes the first slot and has it started, as an update does.
func (b *Builder) fillSlot(ctx context.Context, m bootkit.Medium) error {
	p, err := bootkit.Open(m)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(b.BootTar(w))
	}()
	err = p.WriteSlot(ctx, bootkit.SlotA, r, bootkit.Slot{PartUUID: b.Board.partUUID(2), Extra: b.slotFiles}, nil)
	r.CloseWithError(errors.New("the slot was not written"))
	<-written
	if err != nil {
		return err
	}
	loader, err := p.Loader(b.Board.Name)
	if err != nil {
		return err
	}
	if err := loader.Keep(bootkit.SlotA); err != nil {
		return err
	}
	return loader.Off(bootkit.SlotB)
}
