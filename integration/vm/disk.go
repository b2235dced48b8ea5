package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

const sectorSize = 512

// CopyDisk copies an image to path, keeping holes, and makes the copy size bytes large (never smaller than the image).
func CopyDisk(image, path string, size int64) error {
	in, err := os.Open(image)
	if err != nil {
		return fmt.Errorf("open image: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("look at image: %w", err)
	}
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	defer out.Close()
	if err := out.Truncate(max(size, info.Size())); err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	for at := int64(0); ; {
		data, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("find data of image: %w", err)
		}
		hole, err := unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("find hole of image: %w", err)
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, data), io.NewSectionReader(in, data, hole-data)); err != nil {
			return fmt.Errorf("copy image: %w", err)
		}
		at = hole
	}
}

// Partition is an entry of a disk's MBR; in bytes.
type Partition struct {
	Type        byte
	Start, Size int64
}

// Partitions reads the four entries of a disk's MBR.
func Partitions(disk string) ([4]Partition, error) {
	var list [4]Partition
	f, err := os.Open(disk)
	if err != nil {
		return list, fmt.Errorf("open disk: %w", err)
	}
	defer f.Close()
	s := make([]byte, sectorSize)
	if _, err := io.ReadFull(f, s); err != nil {
		return list, fmt.Errorf("read partition table: %w", err)
	}
	if s[510] != 0x55 || s[511] != 0xaa {
		return list, errors.New("the disk has no partition table")
	}
	for i := range list {
		e := s[446+16*i:]
		list[i] = Partition{Type: e[4], Start: int64(binary.LittleEndian.Uint32(e[8:])) * sectorSize,
			Size: int64(binary.LittleEndian.Uint32(e[12:])) * sectorSize}
	}
	return list, nil
}

// BootFiles is the FAT boot partition of a disk image, read and written by Debian's mtools: software that has nothing in
// common with what made it.
type BootFiles struct{ drive string }

// OpenBoot returns the files of a disk's boot partition.
func OpenBoot(disk string) (BootFiles, error) {
	parts, err := Partitions(disk)
	if err != nil {
		return BootFiles{}, err
	}
	return BootFiles{drive: fmt.Sprintf("%s@@%d", disk, parts[0].Start)}, nil
}

// Read returns a file's content.
func (b BootFiles) Read(ctx context.Context, name string) ([]byte, error) {
	return b.mtools(ctx, nil, "mtype", "::"+name)
}

// Write replaces a file.
func (b BootFiles) Write(ctx context.Context, name string, data []byte) error {
	_, err := b.mtools(ctx, data, "mcopy", "-o", "-", "::"+name)
	return err
}

// MakeDir makes a folder; the one above it must be there.
func (b BootFiles) MakeDir(ctx context.Context, name string) error {
	_, err := b.mtools(ctx, nil, "mmd", "::"+name)
	return err
}

// List returns the paths of all files.
func (b BootFiles) List(ctx context.Context) ([]string, error) {
	out, err := b.mtools(ctx, nil, "mdir", "-b", "-/", "::")
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "::/"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (b BootFiles) mtools(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, append([]string{"-i", b.drive}, args...)...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s is missing: install the Debian package mtools", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
