// Package vmtest grows a disk in a virtual machine, through a real kernel.
package vmtest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"porthole/hw/block"
	"porthole/hw/hwtest/vm"
)

const (
	permStart = 4096 // sectors
	permSize  = 64 << 20
	cardSize  = 119_000_000_512 // a card of 128 GB has about as much
)

// makeCard makes a disk like the image written to a large card: the last of four partitions holds an ext4 of 64 MB.
func makeCard(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	perm, card := filepath.Join(dir, "perm"), filepath.Join(dir, "card")
	out, err := exec.Command("/usr/sbin/mkfs.ext4", "-q", "-F", "-L", "perm", "-b", "4096", "-J", "size=16", perm, "64M").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: install the Debian package e2fsprogs\n%s", err, out)
	}
	table := make([]byte, block.SectorSize)
	for i, p := range [][2]uint32{{64, 1000}, {2048, 1000}, {3072, 1000}, {permStart, permSize / block.SectorSize}} {
		e := table[446+16*i:]
		e[4] = 0x83
		binary.LittleEndian.PutUint32(e[8:], p[0])
		binary.LittleEndian.PutUint32(e[12:], p[1])
	}
	table[510], table[511] = 0x55, 0xaa
	f, err := os.Create(card)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := os.ReadFile(perm)
	if err != nil {
		t.Fatal(err)
	}
	for at, b := range map[int64][]byte{0: table, permStart * block.SectorSize: content} {
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(cardSize); err != nil {
		t.Fatal(err)
	}
	return card
}

func TestGrowWhileInUse(t *testing.T) {
	card := makeCard(t)
	m := vm.Start(t, vm.Config{
		Arch: "amd64", Kernel: vm.AMD64, Init: "./guest",
		Args: []string{"-drive", "if=none,id=card,format=raw,cache=writethrough,file=" + card, "-device", "virtio-blk-pci,drive=card"},
	})
	m.Expect("answer: ready")
	machine := m.Ask("machine")
	if !strings.HasPrefix(machine, "vm; QEMU Standard PC (Q35 + ICH9, 2009); 4") || !strings.Contains(machine, "no processor frequency control") ||
		strings.Count(machine, "no sensor") != 2 {
		t.Errorf("the machine is %q", machine)
	}
	m.Ask("mount")
	const end = cardSize / block.SectorSize / 8 * 8
	for i := range 2 {
		var table, changed bool
		var bytes, mib int64
		answer := m.Ask("grow")
		if _, err := fmt.Sscan(answer, &table, &changed, &bytes, &mib); err != nil {
			t.Fatalf("%q: %v", answer, err)
		}
		if first := i == 0; table != first || changed != first {
			t.Errorf("time %d: table changed %v, file system changed %v", i+1, table, changed)
		}
		if want := int64(end-permStart) * block.SectorSize; bytes != want {
			t.Errorf("the kernel's partition has %d bytes, want %d", bytes, want)
		}
		if mib < 109_000 {
			t.Errorf("the file system has %d MiB", mib)
		}
	}
	if got := m.Ask("read"); got != "kept" {
		t.Errorf("the file now holds %q", got)
	}
	if got, want := m.Ask("unmount"), fmt.Sprintf("perm %d true false", (end-permStart)*block.SectorSize/4096*4096); got != want {
		t.Errorf("after unmounting the superblock says %q, want %q", got, want)
	}
	checkCard(t, card)
}

// checkCard looks at the disk from outside.
func checkCard(t *testing.T, card string) {
	t.Helper()
	f, err := os.Open(card)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sector := make([]byte, block.SectorSize)
	if _, err := f.ReadAt(sector, 0); err != nil {
		t.Fatal(err)
	}
	table, err := block.ParseMBR(sector)
	if err != nil || table.Partitions[3].End() != cardSize/block.SectorSize/8*8 || table.Partitions[2].End() != 4072 {
		t.Errorf("the table is %+v, %v", table, err)
	}
	out, err := exec.Command("/usr/sbin/e2fsck", "-f", "-n", fmt.Sprintf("%s?offset=%d", card, permStart*block.SectorSize)).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("Fix?")) {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
}
