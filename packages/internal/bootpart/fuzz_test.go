package bootpart_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"porthole/packages/internal/bootpart"
)

// tiny is the smallest layout.
var tiny = bootpart.Geometry{Size: 2 << 20, Region: 512 << 10, Align: 256 << 10}

func fuzzDevice(t testing.TB, board string) *recorder {
	t.Helper()
	m := &recorder{memory: *format(t, board, tiny)}
	p := open(t, m)
	for i, slot := range []string{bootpart.SlotA, bootpart.SlotB} {
		writeSlot(t, p, slot, []string{"v1", "v2"}[i])
	}
	l := loader(t, p, board)
	if err := errors.Join(l.Keep(bootpart.SlotA), l.Arm(bootpart.SlotB)); err != nil {
		t.Fatal(err)
	}
	m.log = nil
	return m
}

// bounded is a writer that no slot can fill.
type bounded struct{ n int }

func (b *bounded) Write(p []byte) (int, error) {
	if b.n += len(p); b.n > 4<<20 {
		panic("a slot of 512 KiB gives more than 4 MiB")
	}
	return len(p), nil
}

// FuzzPartition damages a boot partition in places that matter and reads, writes and arms: no panic, no endless loop, and
// whatever Open takes for a slot, nothing else is written.
func FuzzPartition(f *testing.F) {
	images := map[bool]*recorder{}
	for i, board := range []string{bootpart.BoardPi, bootpart.BoardVM} {
		images[i == 1] = fuzzDevice(f, board)
	}
	// Places: triples of where (in units of 4 bytes, from the sector of a cluster's folder or FAT), and what.
	sample := func(changes ...uint32) []byte {
		var b []byte
		for _, c := range changes {
			b = binary.LittleEndian.AppendUint32(b, c)
		}
		return b
	}
	p := open(f, images[true])
	region := p.Region(bootpart.SlotB)
	folder, _ := p.Entries()
	f.Add(true, sample())
	for _, at := range []int64{0, 12, 32, 36, 44, region[0][0], region[0][0] + 64 + 20, region[0][0] + 64 + 26, region[1][0], region[1][0] + 400,
		region[2][0] + 8, folder[0] + 64, folder[0] + 128 + 26, folder[0] + 32*8} {
		for _, v := range []uint32{0, 1, 0xffffffff, 0x0ffffff8, 256, 0x00300042} {
			f.Add(at%8 == 0, sample(uint32(at), v))
		}
	}
	boot := part(f, system("v3"))
	f.Fuzz(func(t *testing.T, vm bool, changes []byte) {
		source := images[vm]
		m := &recorder{memory: memory{bytes.Clone(source.b)}}
		for n := 0; len(changes) >= 8 && n < 64; n++ {
			at := int(binary.LittleEndian.Uint32(changes)) % (len(m.b) - 3)
			copy(m.b[at:], changes[4:8])
			changes = changes[8:]
		}
		p, err := bootpart.Open(m)
		if err != nil {
			return
		}
		for _, slot := range []string{bootpart.SlotA, bootpart.SlotB} {
			_ = p.ReadSlot(t.Context(), slot, slotOf(slot, ""), &bounded{})
			_, _ = p.SlotFile(slot, bootpart.Kernel)
		}
		before := bytes.Clone(m.b)
		if err := p.WriteSlot(t.Context(), bootpart.SlotB, bytes.NewReader(boot), slotOf(bootpart.SlotB, "v3"), nil); err == nil {
			if got, err := readSlot(t, p, bootpart.SlotB); err != nil || !bytes.Equal(got, boot) {
				t.Fatalf("what was written does not come back: %v", err)
			}
		} else if !errors.Is(err, bootpart.ErrPart) {
			t.Fatal(err)
		}
		if !sameBut(before, m.b, p.Region(bootpart.SlotB)) {
			t.Fatal("writing a slot has changed something else")
		}
		l, err := p.Loader(map[bool]string{true: bootpart.BoardVM, false: bootpart.BoardPi}[vm])
		if err != nil {
			return
		}
		slots := append(p.Region(bootpart.SlotA), p.Region(bootpart.SlotB)...)
		m.log = nil
		for _, slot := range []string{bootpart.SlotA, bootpart.SlotB} {
			_, _, _ = l.Armed(slot)
			_ = errors.Join(l.Off(slot), l.Arm(slot), l.Keep(slot))
		}
		for _, e := range m.log {
			for _, s := range slots {
				if !e.sync() && e.at < s[1] && e.at+int64(len(e.data)) > s[0] {
					t.Fatalf("the loader writes %d bytes at %d, into a slot", len(e.data), e.at)
				}
			}
		}
	})
}

// FuzzPart writes what may be a boot part: it is refused, or comes back to the byte; nothing else changes.
func FuzzPart(f *testing.F) {
	image := fuzzDevice(f, bootpart.BoardPi)
	// Small ones: the fuzzer makes what it finds smaller, byte by byte.
	f.Add(part(f, map[string][]byte{"vmlinuz": []byte("kernel"), "cmdline.txt": []byte(cmdline), "config.txt": []byte(config)}))
	f.Add(part(f, map[string][]byte{"vmlinuz": nil, "cmdline.txt": []byte(cmdline), "a/b/c": []byte("x")}))
	f.Add(part(f, map[string][]byte{"vmlinuz": nil, "CMDLINE.TXT": []byte(cmdline)}))
	f.Add(make([]byte, 1024))
	f.Add([]byte("ustar"))
	f.Fuzz(func(t *testing.T, boot []byte) {
		m := &memory{bytes.Clone(image.b)}
		p := open(t, m)
		err := p.WriteSlot(t.Context(), bootpart.SlotB, bytes.NewReader(boot), slotOf(bootpart.SlotB, "v3"), nil)
		if !sameBut(image.b, m.b, p.Region(bootpart.SlotB)) {
			t.Fatal("something else has changed")
		}
		got, readErr := readSlot(t, p, bootpart.SlotB)
		if err != nil {
			if !errors.Is(err, bootpart.ErrPart) || !errors.Is(readErr, bootpart.ErrEmpty) {
				t.Fatalf("it is refused with %v, then reading gives %v", err, readErr)
			}
			return
		}
		if readErr != nil || !bytes.Equal(got, boot) {
			t.Fatalf("it is taken, and another comes back: %v", readErr)
		}
	})
}

// TestCanceled: a canceled update leaves the slot empty.
func TestCanceled(t *testing.T) {
	m := fuzzDevice(t, bootpart.BoardPi)
	p := open(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(part(t, system("v3"))[:4096]), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }),
		bytes.NewReader(part(t, system("v3"))[4096:]))
	if err := p.WriteSlot(ctx, bootpart.SlotB, r, slotOf(bootpart.SlotB, "v3"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("it gives %v", err)
	}
	if _, err := readSlot(t, p, bootpart.SlotB); !errors.Is(err, bootpart.ErrEmpty) {
		t.Errorf("the slot then gives %v", err)
	}
}

// readerFunc is a reader that does something once and is at its end.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) {
	if _, err := f(p); err != nil {
		return 0, err
	}
	return 0, io.EOF
}
