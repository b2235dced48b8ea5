// Package vfat has Linux use a boot partition of Porthole's, in a virtual machine: no build machine need have vfat.
package vfat_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/hw/hwtest/vm"
	"porthole/packages/bootkit"
)

var (
	built = time.Date(2026, 11, 22, 7, 5, 31, 0, time.UTC)
	slotA = bootkit.Slot{PartUUID: "706f766d-02"}
)

// makeCard makes a boot partition with a system in its first slot, of 80 files.
func makeCard(t *testing.T) (path string, part []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "boot.fat")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, data []byte) {
		h := tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: built, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add("cmdline.txt", []byte("console=ttyS0 root=SLOT ro\n"))
	for i := range 77 {
		data := make([]byte, r.IntN(9000))
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		add(fmt.Sprintf("overlays/An overlay %02d.dtbo", i), data)
	}
	add("vmlinuz", bytes.Repeat([]byte("kernel!"), 1<<20))
	if err := errors.Join(w.Close(), f.Truncate(256<<20), bootkit.Format(f, bootkit.Options{
		Board: bootkit.BoardVM, Geometry: bootkit.Standard(), Time: built, Files: map[string][]byte{"porthole.toml": []byte("#\n")},
	})); err != nil {
		t.Fatal(err)
	}
	p, err := bootkit.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Loader(bootkit.BoardVM)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.WriteSlot(t.Context(), bootkit.SlotA, bytes.NewReader(b.Bytes()), slotA, nil), l.Keep(bootkit.SlotA)); err != nil {
		t.Fatal(err)
	}
	return path, b.Bytes()
}

// TestLinux: a slot is written while Linux has the partition mounted, and Linux reads it afterwards; what Linux writes, up
// to the last free byte, touches no slot, and does not keep the next update from being written.
func TestLinux(t *testing.T) {
	card, part := makeCard(t)
	m := vm.Start(t, vm.Config{
		Arch: "amd64", Kernel: vm.AMD64, Init: "./guest",
		Args: []string{"-drive", "if=none,id=card,format=raw,cache=writethrough,file=" + card, "-device", "virtio-blk-pci,drive=card"},
	})
	m.Expect("answer: ready")
	for round := range 2 {
		if got := m.Ask("update"); got != fmt.Sprint(len(part)) {
			t.Fatalf("round %d: the part has %s bytes, not %d", round, got, len(part))
		}
		if got := m.Ask("same"); got != "79 porthole-000001.conf porthole-000002+1.conf" {
			t.Fatalf("round %d: Linux reads %q", round, got)
		}
		wrote := m.Ask("scribble")
		t.Log("Linux wrote ", wrote, " bytes")
		if got := m.Ask("same"); !strings.HasPrefix(got, "79 ") {
			t.Fatalf("round %d: after what Linux wrote it reads %q", round, got)
		}
		checkCard(t, card, part)
	}
}

// checkCard has the file system checked, and reads both slots.
func checkCard(t *testing.T, card string, part []byte) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/usr/sbin/fsck.fat", "-n", card).CombinedOutput()
	if err != nil {
		t.Errorf("%v (fsck.fat is in the Debian package dosfstools)\n%s", err, out)
	}
	f, err := os.OpenFile(card, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := bootkit.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	for slot, s := range map[string]bootkit.Slot{bootkit.SlotA: slotA, bootkit.SlotB: {PartUUID: "706f766d-03"}} {
		var b bytes.Buffer
		if err := p.ReadSlot(t.Context(), slot, s, &b); err != nil || !bytes.Equal(b.Bytes(), part) {
			t.Errorf("%s is no longer what was written: %v", slot, err)
		}
	}
}
