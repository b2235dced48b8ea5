package diskimage

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/klauspost/compress/zstd"
)

// mke2fsConf replaces the build machine's /etc/mke2fs.conf. One inode per 64 KiB: /perm holds a database and media
// files, and fewer inodes make growing and checking a large card fast.
const mke2fsConf = `[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	blocksize = 4096
	inode_size = 256
	inode_ratio = 65536
[fs_types]
	small = {
	}
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
	}
`

// Identifiers of the fresh /perm: the same on every device, as the whole image is.
const (
	permUUID     = "706f7274-686f-6c65-8000-7065726d0001"
	permHashSeed = "706f7274-686f-6c65-8000-7065726d0002"
)

// permMaxBlocks bounds growth: 2 TiB, the most an MBR partition can have.
const permMaxBlocks = 2 << 40 / 4096

// makePerm writes the small ext4 that init grows over the rest of the card.
func (b *Builder) makePerm(ctx context.Context) error {
	conf, out := b.work("mke2fs.conf"), b.work("perm.ext4")
	if err := os.WriteFile(conf, []byte(mke2fsConf), 0o644); err != nil {
		return fmt.Errorf("write mke2fs.conf: %w", err)
	}
	if err := makeSparse(out, permSize); err != nil {
		return err
	}
	env := []string{"MKE2FS_CONFIG=" + conf, "E2FSPROGS_FAKE_TIME=" + strconv.FormatInt(b.Time.Unix(), 10)}
	_, err := tool{name: "mke2fs", env: env, args: []string{"-q", "-F", "-t", "ext4", "-m", "1", "-L", "perm",
		"-e", "remount-ro", "-U", permUUID, "-J", "size=16",
		"-E", fmt.Sprintf("hash_seed=%s,resize=%d,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard", permHashSeed, permMaxBlocks),
		out}}.run(ctx)
	return err
}

func makeSparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("make file %s: %w", path, err)
	}
	return f.Close()
}

// partition is an entry of the image's MBR with its content.
type partition struct {
	kind        byte
	active      bool
	start, size int64
	content     string
}

// partitions lays out the image.
func (b *Builder) partitions() []partition {
	list := []partition{
		{kind: b.Board.bootType, active: true, size: bootSize, content: b.work("boot.fat")},
		{kind: typeLinux, size: rootSize, content: b.work("root.squashfs")},
		{kind: typeLinux, size: rootSize},
		{kind: typeLinux, size: permSize, content: b.work("perm.ext4")},
	}
	at := int64(firstPartition)
	for i := range list {
		list[i].start = at
		at += list[i].size
	}
	return list
}

// mbr returns the first sector: no boot code, four entries.
func mbr(diskID uint32, list []partition) []byte {
	s := make([]byte, sectorSize)
	binary.LittleEndian.PutUint32(s[440:], diskID)
	for i, p := range list {
		e := s[446+16*i:]
		if p.active {
			e[0] = 0x80
		}
		// Cylinder, head, sector: too large to say, use the sector numbers.
		copy(e[1:4], []byte{0xfe, 0xff, 0xff})
		e[4] = p.kind
		copy(e[5:8], []byte{0xfe, 0xff, 0xff})
		binary.LittleEndian.PutUint32(e[8:], uint32(p.start/sectorSize))
		binary.LittleEndian.PutUint32(e[12:], uint32(p.size/sectorSize))
	}
	s[510], s[511] = 0x55, 0xaa
	return s
}

// assemble writes the image; it appears under its name only when it is whole.
func (b *Builder) assemble(image string) error {
	list := b.partitions()
	last := list[len(list)-1]
	tmp := image + ".part"
	if err := makeSparse(tmp, last.start+last.size); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open image: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteAt(mbr(b.Board.DiskID, list), 0); err != nil {
		return fmt.Errorf("write partition table: %w", err)
	}
	for i, p := range list {
		if p.content == "" {
			continue
		}
		if err := place(f, p); err != nil {
			return fmt.Errorf("write partition %d: %w", i+1, err)
		}
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	if err := os.Rename(tmp, image); err != nil {
		return fmt.Errorf("finish image: %w", err)
	}
	return nil
}

// place copies a partition's content, leaving out what is zero.
func place(f *os.File, p partition) error {
	in, err := os.Open(p.content)
	if err != nil {
		return err
	}
	defer in.Close()
	buf := make([]byte, mib)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if at+int64(n) > p.size {
			return fmt.Errorf("%s is larger than its partition", filepath.Base(p.content))
		}
		if !allZero(buf[:n]) {
			if _, err := f.WriteAt(buf[:n], p.start+at); err != nil {
				return err
			}
		}
		at += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// compress writes a zstd copy of a file.
func compress(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("open image: %w", err)
	}
	defer in.Close()
	tmp := to + ".part"
	out, err := os.Create(tmp)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer out.Close()
	// One thread, so that the output does not depend on the machine; a window that reaches over the 46 MB kernel.
	w, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(8*mib))
	if err != nil {
		return fmt.Errorf("start compression: %w", err)
	}
	if _, err := io.Copy(w, contextReader{ctx, in}); err != nil {
		return fmt.Errorf("compress %s: %w", filepath.Base(from), err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", filepath.Base(from), err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(to), err)
	}
	if err := os.Rename(tmp, to); err != nil {
		return fmt.Errorf("finish %s: %w", filepath.Base(to), err)
	}
	return nil
}

// contextReader ends a copy when its context does.
type contextReader struct {
	//nolint:containedctx // an io.Reader has no other place for it; it lives as long as one copy
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
