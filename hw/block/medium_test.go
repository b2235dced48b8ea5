package block_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"porthole/hw/block"
	"porthole/hw/hwtest"
)

// newMedium opens a file, or with devices a device, of that many bytes.
func newMedium(t *testing.T, size int) (m *block.Medium, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "vda2")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := block.OpenMedium(path, block.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, path
}

func TestMedium(t *testing.T) {
	const size = 3*block.MediumChunk + 512 // not a multiple of what direct reads move
	m, path := newMedium(t, size)
	want := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		at := r.IntN(size)
		p := make([]byte, r.IntN(size-at)+1)
		if r.IntN(2) == 0 {
			p = p[:min(len(p), 700)]
		}
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		if n, err := m.WriteAt(p, int64(at)); n != len(p) || err != nil {
			t.Fatalf("write %d at %d: %d, %v", len(p), at, n, err)
		}
		copy(want[at:], p)
		if r.IntN(3) == 0 {
			if err := m.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		at = r.IntN(size)
		got := make([]byte, r.IntN(size-at)+1)
		if n, err := m.ReadAt(got, int64(at)); n != len(got) || err != nil || !bytes.Equal(got, want[at:at+n]) {
			t.Fatalf("read %d at %d: %d, %v", len(got), at, n, err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has other content (%d bytes), %v", len(got), err)
	}
	if m.Size() != size {
		t.Errorf("size %d", m.Size())
	}
}

func TestMediumEnds(t *testing.T) {
	m, path := newMedium(t, 4096+512)
	b := make([]byte, 1000)
	if n, err := m.ReadAt(b, 4096); n != 512 || !errors.Is(err, io.EOF) {
		t.Errorf("over the end: %d, %v", n, err)
	}
	if n, err := m.ReadAt(b, 5000); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	for _, at := range []int64{-1, 4096, 5000} {
		if n, err := m.WriteAt(b, at); n != 0 || !errors.Is(err, block.ErrLayout) {
			t.Errorf("write at %d: %d, %v", at, n, err)
		}
	}
	if _, err := m.ReadAt(b, -1); err == nil {
		t.Error("read before the beginning")
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 4096+512 {
		t.Errorf("the file has grown: %v, %v", st, err)
	}
	// A medium that has become shorter does not answer with zeros.
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if n, err := m.ReadAt(b[:10], 4096); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a shorter one: %d, %v", n, err)
	}
}

// TestMediumReadsTheMedium: another hand changes what lies there, and the next read sees it.
func TestMediumReadsTheMedium(t *testing.T) {
	m, path := newMedium(t, 2*block.MediumChunk)
	if _, err := m.WriteAt(bytes.Repeat([]byte("a"), 2*block.MediumChunk), 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("b"), block.MediumChunk+7); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := m.ReadAt(got, block.MediumChunk+6); err != nil || string(got) != "aba" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestMediumOfDevice: a device's size is asked of the kernel.
func TestMediumOfDevice(t *testing.T) {
	d := hwtest.NewDevices(t)
	hwtest.NewDisk(d, "dev/vda2", make([]byte, 3<<20), nil)
	m, err := block.OpenMedium(filepath.Join(d.Root(), "dev/vda2"), block.Options{Sys: d.Sys()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Size() != 3<<20 {
		t.Errorf("size %d", m.Size())
	}
	if _, err := block.OpenMedium(filepath.Join(d.Root(), "dev/none"), block.Options{Sys: d.Sys()}); err == nil {
		t.Error("opened a device that is not there")
	}
}
