package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/media/decode/nut"
)

// memory makes shared memory for pictures of 4 × 4 pixels, with the pipe that tells which are free again.
func memory(t testing.TB, slots int) (mem *shared, free *os.File) {
	t.Helper()
	mem, err := newShared(slots, pictureSize(4, 4))
	if err != nil {
		t.Fatal(err)
	}
	free, mem.free, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mem.close()
		free.Close()
	})
	return mem, free
}

// number is a packet that names a slot.
func number(n uint32) (*bytes.Reader, nut.Packet) {
	return bytes.NewReader(binary.LittleEndian.AppendUint32(nil, n)), nut.Packet{Size: 4}
}

func TestSharedSlots(t *testing.T) {
	mem, free := memory(t, 2)
	take := func(n uint32, w, h int) (*image.YCbCr, error) {
		r, p := number(n)
		return mem.take(r, p, w, h)
	}
	a, err := take(0, 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := take(0, 4, 4); !errors.Is(err, nut.ErrFormat) {
		t.Errorf("a slot that is taken: %v", err)
	}
	if _, err := take(2, 4, 4); !errors.Is(err, nut.ErrFormat) {
		t.Errorf("a slot that does not exist: %v", err)
	}
	if _, err := take(1, 400, 400); !errors.Is(err, nut.ErrFormat) {
		t.Errorf("a picture larger than its slot: %v", err)
	}
	if _, err := mem.take(bytes.NewReader(nil), nut.Packet{Size: 24}, 4, 4); !errors.Is(err, nut.ErrFormat) {
		t.Errorf("a packet with a picture in it: %v", err)
	}
	b, err := take(1, 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	if wait := mem.patience(time.Hour); wait != time.Hour {
		t.Errorf("with every slot taken the child may have %v", wait)
	}
	mem.release(b)
	mem.release(b)
	mem.release(&image.YCbCr{})
	if wait := mem.patience(time.Hour); wait >= time.Hour || wait < 59*time.Minute {
		t.Errorf("after one was given back the child may have %v", wait)
	}
	mem.release(a)
	got := make([]byte, 8)
	if n, err := free.Read(got); err != nil || !bytes.Equal(got[:n], []byte{1, 0}) {
		t.Errorf("the child is told %v, %v", got[:n], err)
	}
}

// TestSharedMemoryCannotShrink: a child that made it smaller would kill whoever reads what is gone.
func TestSharedMemoryCannotShrink(t *testing.T) {
	mem, _ := memory(t, 2)
	for what, size := range map[string]int64{"smaller": 1, "larger": 1 << 20} {
		if err := mem.file.Truncate(size); !errors.Is(err, unix.EPERM) {
			t.Errorf("made %s: %v", what, err)
		}
	}
}

// TestSharedMemoryIsGivenBack: with the child and the last frame, not before; and whoever looks too late sees black.
func TestSharedMemoryIsGivenBack(t *testing.T) {
	const size = 1 << 20
	mem, err := newShared(2, size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mem.file.WriteAt(bytes.Repeat([]byte{7}, 2*size), 0); err != nil {
		t.Fatal(err)
	}
	r, p := number(1)
	img, err := mem.take(r, p, 640, 480)
	if err != nil {
		t.Fatal(err)
	}
	file, err := unix.Dup(int(mem.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	kept := func() int64 {
		var st unix.Stat_t
		if err := unix.Fstat(file, &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	mem.close()
	if img.Y[1000] != 7 || kept() != 2*size {
		t.Errorf("a frame is out, and shows %d; %d bytes are kept", img.Y[1000], kept())
	}
	mem.release(img)
	if n := kept(); n != 0 {
		t.Errorf("all frames are back, and %d bytes are kept", n)
	}
	if img.Y[1000] != 0 { // looking does not crash
		t.Errorf("a frame that is back shows %d", img.Y[1000])
	}
	mem.close()
	mem.release(img)

	// The addresses go when nobody has them any more.
	mapped := func() bool {
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "memfd:pictures")
	}
	runtime.KeepAlive(img)
	mem, img = nil, nil
	for deadline := time.Now().Add(20 * time.Second); mapped(); <-time.After(10 * time.Millisecond) {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatal("the memory is still mapped")
		}
	}
}

// FuzzSharedPackets: whatever the child says, a picture lies in its slot and is handed out once.
func FuzzSharedPackets(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, 4, 4)
	f.Add([]byte{255, 255, 255, 255}, 1<<30, 1<<30)
	f.Fuzz(func(t *testing.T, said []byte, w, h int) {
		// The reader of NUT has checked these.
		w, h = min(max(w, 1), 1<<16), min(max(h, 1), 1<<16)
		mem, _ := memory(t, 3)
		out := map[*image.YCbCr]bool{}
		for r := bytes.NewReader(said); r.Len() > 0; {
			img, err := mem.take(r, nut.Packet{Size: min(r.Len(), 4)}, w, h)
			if err != nil {
				break
			}
			if out[img] {
				t.Fatal("a slot was handed out twice")
			}
			out[img] = true
			if len(img.Y) != w*h || len(img.Cr) != chroma(w)*chroma(h) || img.Cr[len(img.Cr)-1] != 0 {
				t.Fatalf("picture of %d×%d has %d and %d bytes", w, h, len(img.Y), len(img.Cr))
			}
		}
		for img := range out {
			mem.release(img)
		}
	})
}
