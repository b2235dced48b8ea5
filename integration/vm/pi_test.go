package vm_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"porthole/integration/vm"
	"porthole/packages/bootkit"
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
		checkBoot(t, m, b, "slot-a/", "706f7069-02")
		// A fresh image has nothing in the other slot: a restart with "tryboot" must not find half a system.
		if tried, err := vm.Firmware(t.Context(), files, m, true); err != nil || tried.Kernel != b.Kernel {
			t.Errorf("Pi %s, for a trial that nobody armed: %+v, %v", m.Name, tried, err)
		}
	}
	fillSlotB(t, disk)
	for _, m := range vm.Models() {
		b, err := vm.Firmware(t.Context(), files, m, true)
		if err != nil {
			t.Errorf("Pi %s, other slot: %v", m.Name, err)
			continue
		}
		checkBoot(t, m, b, "slot-b/", "706f7069-03")
		if b, err := vm.Firmware(t.Context(), files, m, false); err != nil || b.Prefix != "slot-a/" {
			t.Errorf("Pi %s, without a trial: %+v, %v", m.Name, b, err)
		}
	}
}

func checkBoot(t *testing.T, m vm.Model, b vm.Boot, slot, root string) {
	t.Helper()
	if b.Prefix != slot {
		t.Errorf("Pi %s starts from %q, not %s", m.Name, b.Prefix, slot)
	}
	if !slices.ContainsFunc(b.Overlays, func(o string) bool { return strings.HasPrefix(o, slot+"overlays/ramoops") }) {
		t.Errorf("Pi %s keeps no last words of a crash: overlays %q", m.Name, b.Overlays)
	}
	// The last one: dtparam lines behind it are for the display.
	if n := len(b.Overlays); n == 0 || !strings.HasPrefix(b.Overlays[n-1], slot+"overlays/vc4-kms-v3d") {
		t.Errorf("Pi %s gets no KMS display: overlays %q", m.Name, b.Overlays)
	}
	for _, want := range []string{"root=PARTUUID=" + root + " ", "console=serial0,115200 ", "init=/gokrazy/init", "panic=10", "quiet", "vt.global_cursor_default=0"} {
		if !strings.Contains(b.Cmdline+" ", want) {
			t.Errorf("Pi %s: the command line has no %s: %s", m.Name, want, b.Cmdline)
		}
	}
	if strings.Contains(b.Cmdline, "tty1") {
		t.Errorf("Pi %s: text would appear on the screen: %s", m.Name, b.Cmdline)
	}
}

// bootMedium is the boot partition of a disk image.
type bootMedium struct {
	io.ReaderAt
	io.WriterAt
	f *os.File
}

func (m bootMedium) Sync() error { return m.f.Sync() }

// fillSlotB writes what is in the first slot to the second and arms it, as an update does.
func fillSlotB(t *testing.T, disk string) {
	t.Helper()
	p, _, uuid := openCard(t, disk, bootkit.SlotB)
	var part bytes.Buffer
	if err := p.ReadSlot(t.Context(), bootkit.SlotA, bootkit.Slot{PartUUID: "706f7069-02"}, &part); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteSlot(t.Context(), bootkit.SlotB, &part, bootkit.Slot{PartUUID: uuid}, nil); err != nil {
		t.Fatal(err)
	}
	loader, err := p.Loader(bootkit.BoardPi)
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Arm(bootkit.SlotB); err != nil {
		t.Fatal(err)
	}
}

// openCard opens the boot partition of a Pi's card, and the root partition of a slot for writing. uuid is that partition's.
func openCard(t *testing.T, disk, slot string) (boot *bootkit.Partition, root io.Writer, uuid string) {
	t.Helper()
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	boot, err = bootkit.Open(bootMedium{io.NewSectionReader(f, parts[0].Start, parts[0].Size), io.NewOffsetWriter(f, parts[0].Start), f})
	if err != nil {
		t.Fatal(err)
	}
	at, uuid := parts[1], "706f7069-02"
	if slot == bootkit.SlotB {
		at, uuid = parts[2], "706f7069-03"
	}
	return boot, io.NewOffsetWriter(f, at.Start), uuid
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

// TestPi boots the Raspberry Pi's image as it is shipped, first without a network: every process runs, and the screen says
// what is missing. Then the cable is plugged in: the screen shows the console's address, and the console is there.
func TestPi(t *testing.T) {
	t.Parallel()
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := vm.CopyDisk(thePiImage(t), disk, vm.SDSize(0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := vm.NewPi(vm.Options{Disk: disk, Forward: []int{443}, Log: serialLog()}).PowerOn(ctx)
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
	t.Log("the processes run")
	piAlone(t, m)
	if err := m.PlugIn(ctx); err != nil {
		t.Fatal(err)
	}
	piOnline(t, m)
}

// claimCode is what the console gives a device without an owner, as tesseract reads it: of a hundred codes it takes
// letters of seven for others, or a hyphen for a dash.
var claimCode = regexp.MustCompile(`\b[A-Z0-9]{3,6} ?[-\x{2013}\x{2014}]+ ?[A-Z0-9][A-Z0-9 ]{2,4}[A-Z0-9]\b`)

// piAlone reads the screen of a Pi without a network: there is no address yet, so no code to
// scan either, and a sentence says why.
func piAlone(t *testing.T, m *vm.Machine) {
	t.Helper()
	eventually(t, "read the screen without a network", func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		text, err := readText(ctx, t.TempDir(), img)
		if err != nil {
			return err
		}
		for _, want := range []string{"There is no network. Is the cable plugged in?", "Waiting for the network", "Code to set", "porthole"} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("the screen does not say %q, but:\n%s", want, text)
			}
		}
		if !claimCode.MatchString(text) {
			return fmt.Errorf("the screen has no code to set the device up:\n%s", text)
		}
		if qr, err := readQR(ctx, t.TempDir(), img); err == nil {
			t.Errorf("without a network there is a code to scan, for %q", qr)
		}
		show(t, "no network", img)
		return nil
	})
	t.Log("the screen asks for a network")
}

// piOnline reads the screen of a Pi that QEMU's user network has given an address, and asks what stands on it.
func piOnline(t *testing.T, m *vm.Machine) {
	t.Helper()
	eventually(t, "read the console's address from the screen", func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		url, err := readQR(ctx, t.TempDir(), img)
		if err != nil {
			return err
		}
		if url != "https://10.0.2.15/" {
			return fmt.Errorf("the code on the screen says %q", url)
		}
		text, err := readText(ctx, t.TempDir(), img)
		if err != nil {
			return err
		}
		if !claimCode.MatchString(text) || strings.Contains(text, "no network") {
			return fmt.Errorf("the screen does not show the code alone, but:\n%s", text)
		}
		show(t, "online", img)
		return nil
	})
	t.Log("the screen shows the address")
	insecure := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a device nobody has met yet
	}}
	eventually(t, "ask the console", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+m.Addr(443)+"/api/health", nil)
		if err != nil {
			return err
		}
		res, err := insecure.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var health struct {
			Status    string
			Processes map[string]string
		}
		if err := json.NewDecoder(res.Body).Decode(&health); err != nil {
			return err
		}
		if health.Status != "ok" || health.Processes["player"] != "running" {
			return fmt.Errorf("the console says %+v", health)
		}
		return nil
	})
}

// readText reads what is written on a picture, with Debian's tesseract.
func readText(ctx context.Context, dir string, img image.Image) (string, error) {
	file := filepath.Join(dir, "screen.png")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		return "", err
	}
	if _, err := exec.LookPath("tesseract"); err != nil {
		return "", errors.New("tesseract is missing: install the Debian packages tesseract-ocr and tesseract-ocr-eng")
	}
	out, err := exec.CommandContext(ctx, "tesseract", file, "-").Output()
	if err != nil {
		return "", fmt.Errorf("read the screen: %w", err)
	}
	return string(out), nil
}
