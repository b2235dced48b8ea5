package block_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"porthole/hw/block"
	"porthole/hw/hwtest"
)

// table builds a first sector with code and the partitions given as type, start, length.
func table(parts ...[3]uint32) []byte {
	b := bytes.Repeat([]byte{0x90}, block.SectorSize)
	clear(b[440:])
	binary.LittleEndian.PutUint32(b[440:], 0xcafe1234)
	for i, p := range parts {
		e := b[446+16*i:]
		if i == 0 {
			e[0] = 0x80
		}
		e[1], e[2], e[3], e[5], e[6], e[7] = 1, 2, 3, 0xfe, 0xff, 0xff
		e[4] = byte(p[0])
		binary.LittleEndian.PutUint32(e[8:], p[1])
		binary.LittleEndian.PutUint32(e[12:], p[2])
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

// card is a table like the images': boot, two roots, /perm.
func card() []byte {
	return table([3]uint32{0x0c, 64, 100}, [3]uint32{0x83, 200, 100}, [3]uint32{0x83, 300, 100}, [3]uint32{0x83, 400, 200})
}

func TestParseMBR(t *testing.T) {
	m, err := block.ParseMBR(card())
	if err != nil {
		t.Fatal(err)
	}
	want := block.MBR{DiskID: 0xcafe1234, Partitions: [4]block.Partition{
		{Bootable: true, Type: 0x0c, Start: 64, Sectors: 100}, {Type: 0x83, Start: 200, Sectors: 100},
		{Type: 0x83, Start: 300, Sectors: 100}, {Type: 0x83, Start: 400, Sectors: 200},
	}}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	noSignature := card()
	noSignature[510] = 0
	flag := card()
	flag[446+16] = 1
	for name, sector := range map[string][]byte{
		"no signature": noSignature, "half a sector": card()[:256], "a boot flag that is none": flag, "nothing": nil,
		"GPT":     table([3]uint32{0xee, 1, 0xffffffff}),
		"overlap": table([3]uint32{0x0c, 64, 200}, [3]uint32{0x83, 200, 100}),
	} {
		if _, err := block.ParseMBR(sector); !errors.Is(err, block.ErrNoTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithLengthChangesFourBytes(t *testing.T) {
	before := card()
	after, err := block.WithLength(before, 4, 0x01020304)
	if err != nil {
		t.Fatal(err)
	}
	want := card()
	copy(want[446+3*16+12:], []byte{4, 3, 2, 1})
	if !bytes.Equal(after, want) || !bytes.Equal(before, card()) {
		t.Errorf("changed table (-want +got):\n%s", cmp.Diff(want, after))
	}
	for _, c := range []struct {
		number  int
		sectors uint32
	}{{0, 100}, {5, 100}, {4, 0}, {1, 137}, {2, 101}} {
		if _, err := block.WithLength(card(), c.number, c.sectors); !errors.Is(err, block.ErrLayout) {
			t.Errorf("partition %d with %d sectors: %v", c.number, c.sectors, err)
		}
	}
}

func FuzzParseMBR(f *testing.F) {
	f.Add(card(), 4, uint32(1000))
	f.Add(table([3]uint32{0x83, 0xffffffff, 0xffffffff}), 1, uint32(1))
	f.Fuzz(func(t *testing.T, sector []byte, number int, sectors uint32) {
		m, err := block.ParseMBR(sector)
		if err != nil && m != (block.MBR{}) {
			t.Errorf("an error comes with %+v", m)
		}
		changed, err := block.WithLength(sector, number, sectors)
		if err != nil {
			return
		}
		n, err := block.ParseMBR(changed)
		if err != nil {
			t.Fatalf("the changed table does not parse: %v", err)
		}
		m.Partitions[number-1].Sectors = sectors
		if m != n {
			t.Errorf("changed to %+v, want %+v", n, m)
		}
	})
}

// disk is a card of some sectors with the table above and a pattern behind it.
func disk(t *testing.T, sectors int) (*hwtest.Devices, *hwtest.Disk) {
	t.Helper()
	content := bytes.Repeat([]byte("porthole"), sectors*block.SectorSize/8)
	copy(content, card())
	d := hwtest.NewDevices(t)
	return d, hwtest.NewDisk(d, "dev/mmcblk0", content, map[int][2]int64{
		1: {64 * 512, 100 * 512}, 2: {200 * 512, 100 * 512}, 3: {300 * 512, 100 * 512}, 4: {400 * 512, 200 * 512},
	})
}

func openDisk(t *testing.T, d *hwtest.Devices) *block.Disk {
	t.Helper()
	k, err := block.Open(filepath.Join(d.Root(), "dev/mmcblk0"), block.Options{Sys: d.Sys()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestGrowLast(t *testing.T) {
	d, fake := disk(t, 5003)
	fake.Mount() // the partition stays in use
	before, err := os.ReadFile(fake.Path())
	if err != nil {
		t.Fatal(err)
	}
	k := openDisk(t, d)
	for i := range 2 {
		changed, err := k.GrowLast()
		if err != nil || changed != (i == 0) {
			t.Fatalf("time %d: changed %v, %v", i+1, changed, err)
		}
	}
	m, err := k.MBR()
	if err != nil || m.Partitions[3] != (block.Partition{Type: 0x83, Start: 400, Sectors: 4600}) {
		t.Errorf("the partition on the disk is %+v, %v: want it to end at 5000, the last whole 4 KiB", m.Partitions[3], err)
	}
	if start, length := fake.Partition(4); start != 400*512 || length != 4600*512 {
		t.Errorf("the kernel's partition starts at %d and has %d bytes", start, length)
	}
	after, err := os.ReadFile(fake.Path())
	if err != nil {
		t.Fatal(err)
	}
	for i := range before {
		if before[i] != after[i] && (i < 446+3*16+12 || i >= 446+4*16) {
			t.Fatalf("byte %d changed", i)
		}
	}
	if err := k.RereadTable(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("rereading the table of a disk in use: %v", err)
	}
}

// TestGrowLastAfterACut: the table was written, then power was cut before the kernel knew.
func TestGrowLastAfterACut(t *testing.T) {
	d, fake := disk(t, 5000)
	grown, err := block.WithLength(card(), 4, 4600)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fake.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(grown, 0); err != nil {
		t.Fatal(err)
	}
	if changed, err := openDisk(t, d).GrowLast(); changed || err != nil {
		t.Errorf("changed %v, %v", changed, err)
	}
	if _, length := fake.Partition(4); length != 4600*512 {
		t.Errorf("the kernel's partition has %d bytes", length)
	}
}

func TestGrowLastRefuses(t *testing.T) {
	d, _ := disk(t, 599) // a card that was copied to a smaller one
	if _, err := openDisk(t, d).GrowLast(); !errors.Is(err, block.ErrLayout) {
		t.Errorf("a disk that is too small: %v", err)
	}
	d = hwtest.NewDevices(t)
	hwtest.NewDisk(d, "dev/mmcblk0", make([]byte, 1<<20), nil)
	if _, err := openDisk(t, d).GrowLast(); !errors.Is(err, block.ErrNoTable) {
		t.Errorf("an empty disk: %v", err)
	}
	// Exactly full: nothing to do.
	d, fake := disk(t, 601)
	if changed, err := openDisk(t, d).GrowLast(); changed || err != nil {
		t.Errorf("a full disk: %v, %v", changed, err)
	}
	if _, length := fake.Partition(4); length != 200*512 {
		t.Errorf("the kernel's partition has %d bytes", length)
	}
}

func TestWriteVerified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.txt")
	old := bytes.Repeat([]byte("x"), 4*block.SectorSize)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sector := bytes.Repeat([]byte("os_prefix=slot-b"), 32)
	if err := block.WriteVerified(f, 512, sector); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := bytes.Join([][]byte{old[:512], sector, old[:1024]}, nil); !bytes.Equal(got, want) {
		t.Errorf("the file is\n%q, want\n%q", got, want)
	}
	for _, c := range []struct{ offset, length int }{{1, 512}, {0, 511}, {-512, 512}, {0, 0}, {100, 512}} {
		if err := block.WriteVerified(f, int64(c.offset), make([]byte, c.length)); !errors.Is(err, block.ErrUnaligned) {
			t.Errorf("%d bytes at %d: %v", c.length, c.offset, err)
		}
	}
	// A medium that loses what it is given.
	null, err := os.OpenFile("/dev/zero", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := block.WriteVerified(null, 0, sector); err == nil {
		t.Error("a write that went nowhere was verified")
	}
}

// superblock is one of 70000 blocks of 4 KiB.
func superblock() []byte {
	b := make([]byte, block.SuperblockSize)
	binary.LittleEndian.PutUint32(b[4:], 70000)
	binary.LittleEndian.PutUint32(b[0x18:], 2)
	binary.LittleEndian.PutUint16(b[0x38:], 0xef53)
	binary.LittleEndian.PutUint16(b[0x3a:], 1)
	binary.LittleEndian.PutUint32(b[0x60:], 0x2c2)
	copy(b[0x78:], "perm")
	return b
}

func TestParseExt4(t *testing.T) {
	set := func(at int, v byte) []byte {
		b := superblock()
		b[at] = v
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want block.Ext4
	}{
		{"clean", superblock(), block.Ext4{BlockSize: 4096, Blocks: 70000, Label: "perm", Clean: true}},
		{"journal to replay", set(0x60, 0xc6), block.Ext4{BlockSize: 4096, Blocks: 70000, Label: "perm"}},
		{"errors", set(0x3a, 3), block.Ext4{BlockSize: 4096, Blocks: 70000, Label: "perm", Errors: true}},
		{"large", set(0x150, 1), block.Ext4{BlockSize: 4096, Blocks: 70000 + 1<<32, Label: "perm", Clean: true}},
	} {
		if got, err := block.ParseExt4(c.b); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	for name, b := range map[string][]byte{
		"magic": set(0x38, 0), "block size": set(0x18, 9), "ext3": set(0x60, 2), "cut": superblock()[:1023], "nothing": nil,
	} {
		if got, err := block.ParseExt4(b); !errors.Is(err, block.ErrNotExt4) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func FuzzParseExt4(f *testing.F) {
	f.Add(superblock())
	f.Add(bytes.Repeat([]byte{0xff}, 1024))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := block.ParseExt4(b)
		if err != nil {
			return
		}
		if e.BlockSize < 1024 || e.BlockSize > 65536 || e.Clean && e.Errors || len(e.Label) > 16 {
			t.Errorf("got %+v", e)
		}
	})
}
