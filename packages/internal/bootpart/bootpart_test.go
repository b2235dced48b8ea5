package bootpart_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/bootpart"
)

// built is the time of all parts here: odd seconds, which FAT's other times cannot say.
var built = time.Date(2026, 11, 22, 7, 5, 31, 0, time.UTC)

// small is a layout for tests that look at all of it.
var small = bootpart.Geometry{Size: 5 << 20, Region: 2 << 20, Align: 256 << 10}

// medium is the smallest layout that dosfstools and mtools take for FAT32.
var medium = bootpart.Geometry{Size: 136 << 20, Region: 16 << 20, Align: 4 << 20}

// memory is a medium in memory.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, at) }
func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > int64(len(m.b)) || at%512 != 0 || len(p)%512 != 0 {
		return 0, fmt.Errorf("a write of %d bytes at %d", len(p), at)
	}
	return copy(m.b[at:], p), nil
}
func (m *memory) Sync() error { return nil }

func options(board string, g bootpart.Geometry) bootpart.Options {
	return bootpart.Options{
		Board: board, Geometry: g, Serial: 0x706f7069, Start: 4 << 20, Time: built,
		Files: map[string][]byte{
			"start.elf": bytes.Repeat([]byte("elf"), 3000), "porthole.toml": []byte("# settings\n"), "empty": nil,
			"LICENCE.broadcom": []byte("licence"), "EFI/BOOT/BOOTX64.EFI": bytes.Repeat([]byte("efi"), 5000),
		},
	}
}

func format(t testing.TB, board string, g bootpart.Geometry) *memory {
	t.Helper()
	m := &memory{make([]byte, g.Size)}
	if err := bootpart.Format(m, options(board, g)); err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t testing.TB, m bootpart.Medium) *bootpart.Partition {
	t.Helper()
	p, err := bootpart.Open(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// part returns a boot part of files, by the standard library's tar.
func part(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: built, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	cmdline = "console=serial0,115200 root=SLOT rootwait ro\n"
	config  = "os_prefix=SLOT/\narm_64bit=1\nkernel=vmlinuz\n"
)

// system returns the files of a version.
func system(version string) map[string][]byte {
	return map[string][]byte{
		"vmlinuz": bytes.Repeat([]byte("kernel "+version+" "), 9000), "cmdline.txt": []byte(cmdline), "config.txt": []byte(config),
		"bcm2710-rpi-3-b.dtb": bytes.Repeat([]byte(version), 3000), "bcm2710-rpi-3-b-plus.dtb": []byte(version),
		"overlays/README": []byte("The firmware looks for it.\n"), "overlays/vc4-kms-v3d-pi4.dtbo": []byte("pi4" + version),
		"overlays/vc4-kms-v3d-pi5.dtbo": []byte("pi5" + version), "overlays/vc4-kms-v3d.dtbo": nil,
	}
}

func slotOf(name, version string) bootpart.Slot {
	n := map[string]string{bootpart.SlotA: "02", bootpart.SlotB: "03"}[name]
	return bootpart.Slot{PartUUID: "706f7069-" + n, Extra: map[string][]byte{
		bootpart.Manifest: []byte(`{"version":"` + version + `"}`), bootpart.Signature: []byte("signed " + version),
	}}
}

func writeSlot(t testing.TB, p *bootpart.Partition, slot, version string) {
	t.Helper()
	if err := p.WriteSlot(t.Context(), slot, bytes.NewReader(part(t, system(version))), slotOf(slot, version), nil); err != nil {
		t.Fatal(err)
	}
}

// readSlot returns a slot's part.
func readSlot(t testing.TB, p *bootpart.Partition, slot string) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	err := p.ReadSlot(t.Context(), slot, slotOf(slot, ""), &b)
	return b.Bytes(), err
}

func checkSlot(t testing.TB, p *bootpart.Partition, slot, version string) {
	t.Helper()
	got, err := readSlot(t, p, slot)
	if err != nil {
		t.Fatalf("%s: %v", slot, err)
	}
	if !bytes.Equal(got, part(t, system(version))) {
		t.Fatalf("%s is not %s", slot, version)
	}
}

func tool(t testing.TB, pkg, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Fatalf("%s is missing: install the Debian package %s", name, pkg)
		}
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// writeSparse writes a file but for its zeros.
func writeSparse(t testing.TB, file string, image []byte) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = f.Truncate(int64(len(image)))
	zeros := make([]byte, 64<<10)
	for at := 0; at < len(image); at += len(zeros) {
		if part := image[at:min(at+len(zeros), len(image))]; err == nil && !bytes.Equal(part, zeros[:len(part)]) {
			_, err = f.WriteAt(part, int64(at))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// peers has dosfstools check the file system and mtools read all of it, and returns its files.
func peers(t testing.TB, image []byte) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "boot.fat")
	writeSparse(t, file, image)
	if out := tool(t, "dosfstools", "fsck.fat", "-n", "-v", file); strings.Contains(out, "differ") || strings.Contains(out, "wrong") {
		t.Errorf("fsck.fat says\n%s", out)
	}
	to := filepath.Join(dir, "files")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	tool(t, "mtools", "mcopy", "-s", "-n", "-m", "-i", file, "::*", to)
	files := map[string][]byte{}
	err := filepath.WalkDir(to, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		name, _ := filepath.Rel(to, p)
		files[filepath.ToSlash(name)] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestStandard makes the images' layout, with both boards' files, and reads it with Debian's tools.
func TestStandard(t *testing.T) {
	for _, board := range []string{bootpart.BoardPi, bootpart.BoardVM} {
		t.Run(board, func(t *testing.T) {
			m := format(t, board, bootpart.Standard())
			if !bytes.Equal(m.b, format(t, board, bootpart.Standard()).b) {
				t.Error("formatting twice gives different bytes")
			}
			peers(t, m.b)
			p := open(t, m)
			if _, err := readSlot(t, p, bootpart.SlotA); !errors.Is(err, bootpart.ErrEmpty) {
				t.Errorf("reading an empty slot gives %v", err)
			}
			for i, slot := range []string{bootpart.SlotA, bootpart.SlotB, bootpart.SlotA, bootpart.SlotB} {
				writeSlot(t, p, slot, fmt.Sprint("v", i))
			}
			checkSlot(t, p, bootpart.SlotA, "v2")
			checkSlot(t, p, bootpart.SlotB, "v3")
			files := peers(t, m.b)
			want := maps.Clone(options(board, bootpart.Standard()).Files)
			for slot, v := range map[string]string{bootpart.SlotA: "v2", bootpart.SlotB: "v3"} {
				for name, data := range system(v) {
					want[slot+"/"+name] = data
				}
				maps.Insert(want, func(yield func(string, []byte) bool) {
					for name, data := range slotOf(slot, v).Extra {
						if !yield(slot+"/"+name, data) {
							return
						}
					}
				})
				want[slot+"/cmdline.txt"] = []byte(strings.Replace(cmdline, "SLOT", "PARTUUID="+slotOf(slot, v).PartUUID, 1))
				text := strings.Replace(config, "SLOT", slot, 1)
				want[slot+"/config.txt"] = []byte(text + strings.Repeat("\n", 512-len(text)))
			}
			for name, data := range want {
				if got, ok := files[name]; !ok || !bytes.Equal(got, data) {
					t.Errorf("%s reads as %d bytes, not %d", name, len(got), len(data))
				}
				delete(files, name)
			}
			for name := range files {
				switch base := filepath.Base(name); {
				case base == "unused", strings.HasSuffix(base, ".off"), name == "config.txt", name == "tryboot.txt":
				default:
					t.Errorf("there is a file %s too", name)
				}
			}
		})
	}
}
