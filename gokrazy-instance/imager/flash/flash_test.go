package flash_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"porthole/gokrazy-instance/imager/flash"
)

// emptyHost has no disks, for targets that are files.
func emptyHost(t *testing.T) flash.Host {
	t.Helper()
	dir := t.TempDir()
	return flash.Host{Sys: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc")}
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// randomImage is larger than a chunk and no multiple of one.
func randomImage(t *testing.T) []byte {
	t.Helper()
	data := make([]byte, 9<<20+512)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRunWritesAndReadsBack(t *testing.T) {
	data := randomImage(t)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{file(t, "a.img", data), file(t, "a.img.zst", enc.EncodeAll(data, nil))} {
		t.Run(filepath.Base(image), func(t *testing.T) {
			card := file(t, "card", bytes.Repeat([]byte("old"), 5<<20))
			var out bytes.Buffer
			j := flash.Job{Image: image, Disk: card, In: strings.NewReader("card\n"), Out: &out, Host: emptyHost(t)}
			if err := j.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(card)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[:len(data)], data) {
				t.Error("the card does not hold the image")
			}
			if len(got) != 15<<20 || string(got[len(got)-3:]) != "old" {
				t.Error("what lies behind the image has changed")
			}
			for _, want := range []string{"15.7 MB", "type its name, card", "writing: ", "reading back: ", "is ready"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("said nothing of %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	image := file(t, "a.img", make([]byte, 2<<20))
	large := file(t, "large.img.zst", nil)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, enc.EncodeAll(make([]byte, 8<<20), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	card := func() string { return file(t, "card", bytes.Repeat([]byte{7}, 4<<20)) }
	for name, c := range map[string]struct {
		job  flash.Job
		want string
	}{
		"another name typed": {flash.Job{Image: image, Disk: card(), In: strings.NewReader("yes\n")}, "nothing was written"},
		"nothing typed":      {flash.Job{Image: image, Disk: card(), In: strings.NewReader("")}, "nothing was written"},
		"another name given": {flash.Job{Image: image, Disk: card(), Yes: "sdb"}, "nothing was written"},
		"too small":          {flash.Job{Image: image, Disk: file(t, "card", make([]byte, 1<<20)), Yes: "card"}, "use a larger card"},
		"too small, packed":  {flash.Job{Image: large, Disk: card(), Yes: "card"}, "use a larger card"},
		"no such disk":       {flash.Job{Image: image, Disk: "/nowhere", Yes: "nowhere"}, "no such file"},
		"a character device": {flash.Job{Image: image, Disk: "/dev/null", Yes: "null"}, "is not a disk"},
		"a folder":           {flash.Job{Image: image, Disk: t.TempDir(), Yes: "x"}, "is not a disk"},
		"no image":           {flash.Job{Image: "/nowhere.img", Disk: card(), Yes: "card"}, "open image"},
	} {
		t.Run(name, func(t *testing.T) {
			c.job.Out, c.job.Host = &bytes.Buffer{}, emptyHost(t)
			err := c.job.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want something with %q", err, c.want)
			}
			if c.want == flash.ErrDeclined.Error() {
				if !errors.Is(err, flash.ErrDeclined) {
					t.Errorf("%v is not ErrDeclined", err)
				}
				if b, err := os.ReadFile(c.job.Disk); err != nil || !bytes.Equal(b, bytes.Repeat([]byte{7}, 4<<20)) {
					t.Error("the card was touched")
				}
			}
		})
	}
}

// tree builds a machine's /sys and /proc.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T) tree {
	t.Helper()
	tr := tree{t, t.TempDir()}
	tr.write("proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n")
	tr.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
	return tr
}

func (tr tree) write(name, text string) {
	tr.t.Helper()
	path := filepath.Join(tr.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) link(name, to string) {
	tr.t.Helper()
	path := filepath.Join(tr.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(tr.dir, to), path); err != nil {
		tr.t.Fatal(err)
	}
}

// disk adds a disk with two partitions below a bus.
func (tr tree) disk(bus, name string, minor int, gigabytes int64, files map[string]string) {
	dir := "sys/devices/" + bus + "/block/" + name
	tr.write(dir+"/dev", fmt.Sprintf("8:%d\n", minor))
	tr.write(dir+"/size", fmt.Sprintf("%d\n", gigabytes*1e9/512))
	for f, text := range files {
		tr.write(dir+"/"+f, text+"\n")
	}
	tr.link(fmt.Sprintf("sys/dev/block/8:%d", minor), dir)
	for i := range 2 {
		part := fmt.Sprintf("%s/%s%d", dir, name, i+1)
		tr.write(part+"/dev", fmt.Sprintf("8:%d\n", minor+i+1))
		tr.write(part+"/partition", fmt.Sprintf("%d\n", i+1))
		tr.link(fmt.Sprintf("sys/dev/block/8:%d", minor+i+1), part)
	}
}

func (tr tree) host() flash.Host {
	return flash.Host{Sys: filepath.Join(tr.dir, "sys"), Proc: filepath.Join(tr.dir, "proc")}
}

func TestHostDescribes(t *testing.T) {
	tr := newTree(t)
	tr.disk("pci0/ata1", "sda", 0, 500, map[string]string{"removable": "0", "device/vendor": "ATA", "device/model": "SSD 500"})
	tr.disk("pci0/usb1/1-2", "sdb", 16, 32, map[string]string{"removable": "1", "device/vendor": "Generic ", "device/model": "MassStorage "})
	tr.disk("pci0/usb1/1-3", "sdc", 32, 1000, map[string]string{"removable": "0", "device/model": "Portable"})
	tr.disk("mmc0", "mmcblk0", 48, 64, map[string]string{"removable": "0", "device/type": "SD", "device/name": "SD64G"})
	tr.write("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"+
		"23 22 8:17 / /media/my\\040card rw - vfat /dev/sdb1 rw\n"+
		"24 22 0:40 / /data rw - btrfs /dev/sdc2 rw\n")
	tr.write("sys/devices/virtual/block/dm-0/dev", "253:0\n")
	tr.link("sys/devices/mmc0/block/mmcblk0/mmcblk02/holders/dm-0", "sys/devices/virtual/block/dm-0")

	for _, c := range []struct {
		dev, model string
		size       int64
		removable  bool
		system     bool
		uses       string
	}{
		{"8:0", "ATA SSD 500", 500e9, false, true, "it is mounted on /"},
		{"8:16", "Generic MassStorage", 32e9, true, false, "it is mounted on /media/my card"},
		{"8:32", "Portable", 1000e9, true, false, "it is mounted on /data"},
		{"8:48", "SD64G", 64e9, true, false, "dm-0 is built on it"},
	} {
		d, err := flash.Describe(tr.host(), "/dev/x", c.dev)
		if err != nil {
			t.Fatal(err)
		}
		if d.Model != c.model || d.SizeBytes != c.size || d.Removable != c.removable || d.System != c.system || strings.Join(d.Uses, "; ") != c.uses {
			t.Errorf("%s is %+v, want %+v", c.dev, d, c)
		}
		why := flash.Refuse(d, true, 1)
		if why == nil || !strings.Contains(why.Error(), c.uses) {
			t.Errorf("%s is not refused for %q but: %v", c.dev, c.uses, why)
		}
	}
	if _, err := flash.Describe(tr.host(), "/dev/sdb1", "8:17"); err == nil || !strings.Contains(err.Error(), "name the whole disk, /dev/sdb") {
		t.Errorf("a partition gives %v", err)
	}
}

func TestHostSystemUnderLayers(t *testing.T) {
	tr := newTree(t)
	tr.disk("pci0/usb1/1-2", "sdb", 16, 32, map[string]string{"removable": "1"})
	tr.write("sys/devices/virtual/block/dm-0/dev", "253:0\n")
	tr.write("sys/devices/virtual/block/dm-1/dev", "253:1\n")
	tr.link("sys/devices/pci0/usb1/1-2/block/sdb/sdb2/holders/dm-0", "sys/devices/virtual/block/dm-0")
	tr.link("sys/devices/virtual/block/dm-0/holders/dm-1", "sys/devices/virtual/block/dm-1")
	tr.write("proc/self/mountinfo", "22 1 253:1 / / rw - ext4 /dev/mapper/root rw\n")
	d, err := flash.Describe(tr.host(), "/dev/sdb", "8:16")
	if err != nil {
		t.Fatal(err)
	}
	if !d.System {
		t.Errorf("the system's own disk, under two layers, is taken for a card: %+v", d)
	}

	tr = newTree(t)
	tr.disk("pci0/usb1/1-2", "sdb", 16, 32, map[string]string{"removable": "1"})
	tr.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb2 partition 1 0 -2\n")
	if d, err = flash.Describe(tr.host(), "/dev/sdb", "8:16"); err != nil || !d.System {
		t.Errorf("a disk that is swapped to: %+v, %v", d, err)
	}
}

func TestRefuseBuiltIn(t *testing.T) {
	tr := newTree(t)
	tr.disk("pci0/ata1", "sda", 0, 500, map[string]string{"removable": "0"})
	d, err := flash.Describe(tr.host(), "/dev/sda", "8:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := flash.Refuse(d, false, 1); err == nil || !strings.Contains(err.Error(), "FIXED=1") {
		t.Errorf("a built-in disk gives %v", err)
	}
	if err := flash.Refuse(d, true, 1); err != nil {
		t.Errorf("a built-in disk is refused though it was said: %v", err)
	}
	tr.write("sys/devices/pci0/ata1/block/sda/size", "0\n")
	if _, err := flash.Describe(tr.host(), "/dev/sda", "8:0"); err == nil || !strings.Contains(err.Error(), "no card") {
		t.Errorf("an empty reader gives %v", err)
	}
}

// TestCompareFindsDamage changes one byte behind the writer's back, as a fake card does.
func TestCompareFindsDamage(t *testing.T) {
	data := randomImage(t)
	card := file(t, "card", data)
	sums := flash.Sums(data)
	d := flash.Disk{Path: card, SizeBytes: int64(len(data))}
	if err := flash.Compare(t.Context(), d, sums, int64(len(data)), &bytes.Buffer{}); err != nil {
		t.Fatalf("an intact card: %v", err)
	}
	f, err := os.OpenFile(card, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{data[8<<20] + 1}, 8<<20); err != nil {
		t.Fatal(err)
	}
	// The page cache must not hide it.
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	err = flash.Compare(t.Context(), d, sums, int64(len(data)), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "defective or a fake") {
		t.Errorf("a changed byte gives %v", err)
	}
}
