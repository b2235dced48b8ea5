package vm_test

import (
	"context"
	"path"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// TestPiBootPartition checks both slots as each model's firmware would.
func TestPiBootPartition(t *testing.T) {
	image := thePiImage(t)
	disk := newDisk(t, image, 0)
	files, err := vm.OpenBoot(disk)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range vm.Models() {
		b, err := vm.Firmware(t.Context(), files, m, false)
		if err != nil {
			t.Errorf("Pi %s: %v", m.Name, err)
			continue
		}
		checkBoot(t, m, b, "slot-a/")
		// A fresh image has nothing in the other slot: a trial of it must not find half a system.
		if b, err := vm.Firmware(t.Context(), files, m, true); err == nil {
			t.Errorf("Pi %s would start the empty slot: %+v", m.Name, b)
		}
	}
	fillSlotB(t, files)
	for _, m := range vm.Models() {
		b, err := vm.Firmware(t.Context(), files, m, true)
		if err != nil {
			t.Errorf("Pi %s, other slot: %v", m.Name, err)
			continue
		}
		checkBoot(t, m, b, "slot-b/")
	}
}

func checkBoot(t *testing.T, m vm.Model, b vm.Boot, slot string) {
	t.Helper()
	if b.Prefix != slot {
		t.Errorf("Pi %s starts from %q, not %s", m.Name, b.Prefix, slot)
	}
	// The last one: dtparam lines behind it are for the display.
	if n := len(b.Overlays); n == 0 || !strings.HasPrefix(b.Overlays[n-1], slot+"overlays/vc4-kms-v3d") {
		t.Errorf("Pi %s gets no KMS display: overlays %q", m.Name, b.Overlays)
	}
	for _, want := range []string{"root=PARTUUID=706f7069-02 ", "console=serial0,115200 ", "init=/gokrazy/init", "panic=10", "quiet", "vt.global_cursor_default=0"} {
		if !strings.Contains(b.Cmdline+" ", want) {
			t.Errorf("Pi %s: the command line has no %s: %s", m.Name, want, b.Cmdline)
		}
	}
	if strings.Contains(b.Cmdline, "tty1") {
		t.Errorf("Pi %s: text would appear on the screen: %s", m.Name, b.Cmdline)
	}
}

// fillSlotB copies the first slot to the second, as an update fills it.
func fillSlotB(t *testing.T, files vm.BootFiles) {
	t.Helper()
	all, err := files.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := files.MakeDir(t.Context(), "slot-b/overlays"); err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		rest, ok := strings.CutPrefix(name, "slot-a/")
		if !ok || path.Ext(name) == "" && rest != "vmlinuz" && path.Base(rest) != "README" {
			continue
		}
		data, err := files.Read(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := files.Write(t.Context(), "slot-b/"+rest, data); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPiFirmware feeds the stand-in for the firmware what a real one refuses.
func TestPiFirmware(t *testing.T) {
	models := vm.Models()
	for name, c := range map[string]struct {
		config string
		want   string
	}{
		"long line":      {"os_prefix=slot-a/\n" + strings.Repeat("x", 90) + "=123456789\n", "98 characters"},
		"32 bits":        {"os_prefix=slot-a/\nkernel=vmlinuz\n", "32-bit"},
		"no such kernel": {"os_prefix=slot-a/\narm_64bit=1\nkernel=nothing\n", "finds no nothing"},
		"no such slot":   {"os_prefix=slot-x/\narm_64bit=1\nkernel=vmlinuz\n", "finds no vmlinuz"},
		"no overlay":     {"os_prefix=slot-a/\narm_64bit=1\nkernel=vmlinuz\ndtoverlay=nothing\n", "finds no overlay"},
		"too large":      {"os_prefix=slot-a/\n" + strings.Repeat("#\n", 300), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, thePiImage(t), 0)
			files, err := vm.OpenBoot(disk)
			if err != nil {
				t.Fatal(err)
			}
			if err := files.Write(t.Context(), "config.txt", []byte(c.config)); err != nil {
				t.Fatal(err)
			}
			if b, err := vm.Firmware(t.Context(), files, models[1], false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v, want an error with %q", b, err, c.want)
			}
		})
	}
}

// TestPi boots the Raspberry Pi's image until every process runs. There is no network: the serial console tells.
func TestPi(t *testing.T) {
	disk := newDisk(t, thePiImage(t), vm.SDSize(0))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := vm.StartPi(ctx, vm.Options{Disk: disk, Log: serialLog()}, false)
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, m)
	_, found, err := m.WaitSerial(ctx, 0, `msg=storage state=(\S+) bytes=(\d+) problem="(.*)"`)
	if err != nil {
		t.Fatal(err)
	}
	if found[1] != "ok" || len(found[2]) < len("200000000") || found[3] != "" {
		t.Errorf("the storage came up as %q", found)
	}
	t.Log("the storage is up")
	waitProcesses(t, m)
}
