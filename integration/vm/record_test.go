package vm_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// logged is a request as blklogwrites logs it.
type logged struct {
	sector, sectors, flags uint64
	content                byte
}

const (
	flush   = 1
	fua     = 2
	discard = 4
)

// writeLog writes a log of the requests, as long as the superblock says of flushes.
func writeLog(t *testing.T, magic uint64, requests []logged) string {
	t.Helper()
	var b bytes.Buffer
	sector := func(numbers ...uint64) {
		s := make([]byte, 512)
		for i, n := range numbers {
			binary.LittleEndian.PutUint64(s[8*i:], n)
		}
		b.Write(s)
	}
	sector(magic, 1, uint64(len(requests)), 512)
	for _, r := range requests {
		sector(r.sector, r.sectors, r.flags)
		if r.flags&discard == 0 {
			b.Write(bytes.Repeat([]byte{r.content}, int(r.sectors)*512))
		}
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const magic = 0x6a736677736872

// TestRecording replays cuts in a small log. A letter is a sector, a dot one that was never written.
func TestRecording(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	if err := os.WriteFile(base, bytes.Repeat([]byte("."), 8*512), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := vm.OpenRecording(base, writeLog(t, magic, []logged{
		{0, 2, 0, 'a'}, {0, 0, flush, 0}, {2, 1, 0, 'b'}, {3, 2, 0, 'c'}, {0, 8, discard, 0}, {5, 1, fua, 'd'}, {2, 1, 0, 'e'}, {0, 0, flush, 0}, {0, 1, 0, 'f'},
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		after int
		loss  vm.Loss
		want  string
	}{
		{0, vm.Nothing, "........"},
		{1, vm.Nothing, "aa......"},
		{1, vm.Everything, "........"},
		{2, vm.Everything, "aa......"},
		{7, vm.Nothing, "aaeccd.."},
		{7, vm.Everything, "aa...d.."},
		{7, vm.Reordered, "aae..d.."},
		{8, vm.Everything, "aaeccd.."},
		{9, vm.Everything, "aaeccd.."},
		{9, vm.Nothing, "faeccd.."},
	} {
		cut := vm.Cut{After: c.after, Loss: c.loss}
		if got := replayed(t, r, cut); got != c.want {
			t.Errorf("%s: %q, want %q", cut, got, c.want)
		}
	}
	torn := vm.Cut{After: 7, Loss: vm.Torn}
	if a, b := replayed(t, r, torn), replayed(t, r, torn); a != b || !strings.HasPrefix(a, "aa") || a[5] != 'd' {
		t.Errorf("the same torn cut is %q and %q", a, b)
	}
	if got := r.Flushed(vm.Cut{After: 7}); got != 2 {
		t.Errorf("before the second flush %d requests are safe, want 2", got)
	}
	if got := r.BeforeFlush(3); got != 7 {
		t.Errorf("the flush after three requests comes after %d, want 7", got)
	}
	if got := r.Durable(512 + 3*512); got != 0 {
		t.Errorf("before the first flush was logged, %d requests are safe", got)
	}
}

func replayed(t *testing.T, r *vm.Recording, c vm.Cut) string {
	t.Helper()
	disk := replay(t, r, c)
	b, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	var sectors []byte
	for at := 0; at < len(b); at += 512 {
		sectors = append(sectors, b[at])
	}
	return string(sectors)
}

// TestRecordingDamaged: a log that cannot be trusted is not replayed.
func TestRecordingDamaged(t *testing.T) {
	for name, path := range map[string]string{
		"no log":       writeLog(t, 1, nil),
		"unknown flag": writeLog(t, magic, []logged{{0, 1, 64, 'a'}}),
		"cut short": func() string {
			path := writeLog(t, magic, []logged{{0, 1, 0, 'a'}, {0, 0, flush, 0}})
			if err := os.Truncate(path, 3*512); err != nil {
				t.Fatal(err)
			}
			return path
		}(),
	} {
		if _, err := vm.OpenRecording("", path); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}
