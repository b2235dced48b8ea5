package perm

import (
	"fmt"

	"porthole/hw/block"
)

// GrowPartition makes the last partition of a disk reach to the disk's end.
func GrowPartition(disk string) error {
	d, err := block.Open(disk, block.Options{})
	if err != nil {
		return fmt.Errorf("enlarge partition: %w", err)
	}
	defer d.Close()
	if _, err := d.GrowLast(); err != nil {
		return fmt.Errorf("enlarge partition: %w", err)
	}
	return nil
}

// GrowFS makes the file system of a partition, mounted at dir, fill it. It returns the sizes before and after, in bytes.
func GrowFS(partition, dir string) (before, after int64, err error) {
	d, err := block.Open(partition, block.Options{ReadOnly: true})
	if err != nil {
		return 0, 0, fmt.Errorf("enlarge file system: %w", err)
	}
	defer d.Close()
	if before, err = sizeOf(d); err != nil {
		return 0, 0, err
	}
	room, err := d.SizeBytes()
	if err != nil {
		return before, before, fmt.Errorf("enlarge file system: %w", err)
	}
	if _, err := block.GrowExt4(nil, dir, room); err != nil {
		return before, before, fmt.Errorf("enlarge file system: %w", err)
	}
	if after, err = sizeOf(d); err != nil {
		return before, before, err
	}
	return before, after, nil
}

func sizeOf(d *block.Disk) (int64, error) {
	e, err := d.Ext4()
	if err != nil {
		return 0, fmt.Errorf("read size of file system: %w", err)
	}
	return int64(e.Blocks) * int64(e.BlockSize), nil
}
