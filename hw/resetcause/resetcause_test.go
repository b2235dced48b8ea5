package resetcause_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"porthole/hw/hwtest"
	"porthole/hw/resetcause"
)

const chosen = "sys/firmware/devicetree/base/chosen/"

// machine is a Pi or a virtual machine as its last run has left it; keys of files are below /.
type machine struct {
	files map[string]string
	// pstore is what lies there; nil is a kernel without it.
	pstore map[string]string
	// dog is the watchdog's boot status; negative: there is no watchdog.
	dog int32
}

func (m machine) read(t *testing.T) (resetcause.Report, *hwtest.Devices, error) {
	t.Helper()
	d := hwtest.NewDevices(t)
	for name, content := range m.files {
		path := filepath.Join(d.Root(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if m.pstore != nil {
		d.HoldMount("sys/fs/pstore", "pstore", hwtest.Tree(t, m.pstore))
	}
	k := resetcause.Machine{Root: d.Root(), Sys: d.Sys()}
	if m.dog >= 0 {
		hwtest.NewWatchdog(d, m.dog)
		f, err := k.Sys.Open(filepath.Join(d.Root(), "dev/watchdog"), os.O_WRONLY)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Sys.Close(f) })
		k.Watchdog = f
	}
	r, err := k.Read()
	return r, d, err
}

// What kernels have written: Linux 6.12 on a Pi and in QEMU.
const (
	started   = "[    3.1] porthole: v1.2.3 starts\n"
	panicDump = "Panic#1 Part1\n<6>[   12.1] sysrq: Trigger a crash\n<0>[   12.2] Kernel panic - not syncing: sysrq triggered crash\n" +
		"<4>[   12.3] CPU: 0 PID: 1 Comm: init\n"
	oopsDump = "Oops#1 Part1\n<1>[    9.1] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000\n"
	fatal    = "Panic#2 Part1\n<0>[    9.2] Kernel panic - not syncing: Oops: Fatal exception\n"
	hungry   = "[   99.1] porthole: watchdog: not fed any more, the device will restart: no heartbeat for 45s; system says: console’s health does not answer\n"
	again    = "[  100.2] porthole: watchdog: fed again\n"
	restart  = "[  120.1] reboot: Restarting system\n"
	try      = "[  120.1] reboot: Restarting system with command '0 tryboot'\n"
	off      = "[  120.1] reboot: Power down\n"
)

func rsts(v string) map[string]string { return map[string]string{chosen + "bootloader/rsts": v} }

const (
	powerOn = "\x00\x00\x10\x00"
	reset   = "\x00\x00\x00\x20"
	// A reset that leaves the mark of the power-on before it.
	later = "\x00\x00\x10\x20"
	// The partition number 63 as a restart names it, without any cause.
	none = "\x00\x00\x05\x55"
)

func TestCause(t *testing.T) {
	console := func(s string) map[string]string { return map[string]string{"console-ramoops-0": started + s} }
	for name, c := range map[string]struct {
		machine machine
		cause   resetcause.Cause
		detail  string
		words   string
	}{
		"virtual machine":               {machine{dog: 0}, resetcause.Unknown, "Nothing is left", ""},
		"watchdog of a virtual machine": {machine{dog: 0x20}, resetcause.Watchdog, "watchdog restarted it", ""},
		"no watchdog at all":            {machine{dog: -1}, resetcause.Unknown, "Nothing is left", ""},

		"power":               {machine{files: rsts(powerOn)}, resetcause.Power, "0x1000", ""},
		"restart, no log":     {machine{files: rsts(reset)}, resetcause.Unknown, "in order or by the watchdog", ""},
		"old firmware":        {machine{files: map[string]string{chosen + "pm_rsts": powerOn}}, resetcause.Power, "0x1000", ""},
		"partition only":      {machine{files: rsts(none)}, resetcause.Unknown, "0x555", ""},
		"restart in order":    {machine{files: rsts(reset), pstore: console(restart)}, resetcause.Software, "in order", "Restarting system"},
		"switched off":        {machine{files: rsts(powerOn), pstore: console(off)}, resetcause.Power, "in order", "Power down"},
		"power cut, memory":   {machine{files: rsts(powerOn), pstore: console("")}, resetcause.Power, "0x1000", "v1.2.3 starts"},
		"watchdog, it hung":   {machine{files: rsts(reset), pstore: console("")}, resetcause.Watchdog, "0x20", "v1.2.3 starts"},
		"watchdog, later":     {machine{files: rsts(later), pstore: console("")}, resetcause.Watchdog, "0x1020", "v1.2.3 starts"},
		"watchdog, told":      {machine{files: rsts(reset), pstore: console(hungry)}, resetcause.Watchdog, "no heartbeat for 45s; system says: console’s health does not answer.", "not fed"},
		"fed again":           {machine{files: rsts(reset), pstore: console(hungry + again + restart)}, resetcause.Software, "in order", "fed again"},
		"hungry once, power":  {machine{files: rsts(powerOn), pstore: console(hungry + again)}, resetcause.Power, "0x1000", "fed again"},
		"hungry, bits forgot": {machine{files: rsts(powerOn), pstore: console(hungry)}, resetcause.Watchdog, "no heartbeat", "not fed"},

		"panic": {machine{files: rsts(reset), pstore: map[string]string{"dmesg-ramoops-0": panicDump, "console-ramoops-0": started}},
			resetcause.Panic, "The kernel stopped: Kernel panic - not syncing: sysrq triggered crash.", "[   12.3] CPU: 0 PID: 1 Comm: init"},
		"panic wins over power": {machine{files: rsts(powerOn), pstore: map[string]string{"dmesg-ramoops-1": panicDump}},
			resetcause.Panic, "sysrq triggered crash", "crash"},
		"panic on the console": {machine{files: rsts(reset), pstore: console("[ 4.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n")},
			resetcause.Panic, "Attempted to kill init! exitcode=0x00000100", "Attempted"},
		"oops and panic": {machine{files: rsts(reset), pstore: map[string]string{"dmesg-ramoops-0": fatal, "dmesg-ramoops-1": oopsDump}},
			resetcause.Panic, "Oops: Fatal exception", "Fatal exception"},
		"oops": {machine{files: rsts(reset), pstore: map[string]string{"dmesg-ramoops-0": oopsDump}},
			resetcause.Panic, "Unable to handle kernel NULL pointer", "NULL pointer"},
		"damaged dump": {machine{files: rsts(powerOn), pstore: map[string]string{"dmesg-ramoops-0": "\x00\xff\x01 noise"}},
			resetcause.Power, "0x1000", ""},

		"the other slot left no word": {machine{files: rsts(reset), pstore: console(try)}, resetcause.Watchdog, "before its kernel could say anything", ""},
		"the other slot, power":       {machine{files: rsts(powerOn), pstore: console(try)}, resetcause.Power, "before its kernel could say anything", ""},
		"this is the other slot": {machine{files: map[string]string{
			chosen + "bootloader/rsts": reset, chosen + "bootloader/tryboot": "\x00\x00\x00\x01"}, pstore: console(try)},
			resetcause.Software, "in order", "tryboot"},
	} {
		t.Run(name, func(t *testing.T) {
			r, d, err := c.machine.read(t)
			if err != nil {
				t.Fatal(err)
			}
			if r.Cause != c.cause || !strings.Contains(r.Detail, c.detail) || !strings.Contains(r.LastWords, c.words) {
				t.Errorf("got %+v, want %s with %q and %q", r, c.cause, c.detail, c.words)
			}
			if strings.Contains(r.LastWords, "<0>") {
				t.Errorf("the last words have the kernel's marks: %q", r.LastWords)
			}
			if d.Mounted("sys/fs/pstore") {
				t.Error("pstore stays mounted")
			}
		})
	}
}

// TestToldOnce: what a kernel left is removed.
func TestToldOnce(t *testing.T) {
	d := hwtest.NewDevices(t)
	content := hwtest.Tree(t, map[string]string{"dmesg-ramoops-0": panicDump, "console-ramoops-0": started})
	d.HoldMount("sys/fs/pstore", "pstore", content)
	k := resetcause.Machine{Root: d.Root(), Sys: d.Sys()}
	for _, want := range []resetcause.Cause{resetcause.Panic, resetcause.Unknown} {
		if r, err := k.Read(); err != nil || r.Cause != want {
			t.Errorf("got %+v, %v, want %s", r, err, want)
		}
	}
	if left, err := os.ReadDir(content); err != nil || len(left) != 0 {
		t.Errorf("pstore still has %v (%v)", left, err)
	}
}

// TestTrouble: what cannot be looked at is told, and the rest counts.
func TestTrouble(t *testing.T) {
	r, _, err := machine{files: rsts("\x10"), dog: 0x20}.read(t)
	if err == nil || !strings.Contains(err.Error(), "rsts has 1 bytes") || r.Cause != resetcause.Watchdog {
		t.Errorf("a damaged register gives %+v, %v", r, err)
	}
	d := hwtest.NewDevices(t)
	hwtest.NewWatchdog(d, 0x20).Break(unix.EIO)
	k := resetcause.Machine{Root: d.Root(), Sys: d.Sys()}
	if k.Watchdog, err = k.Sys.Open(filepath.Join(d.Root(), "dev/watchdog"), os.O_WRONLY); err != nil {
		t.Fatal(err)
	}
	defer k.Sys.Close(k.Watchdog)
	if r, err := k.Read(); !errors.Is(err, unix.EIO) || r.Cause != resetcause.Unknown {
		t.Errorf("a broken watchdog gives %+v, %v", r, err)
	}
	if err := os.MkdirAll(filepath.Join(d.Root(), "sys/fs/pstore"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Read(); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a pstore that cannot be mounted gives %v", err)
	}
}

// TestBounds: however much a kernel left, the last words are the end of it.
func TestBounds(t *testing.T) {
	r, _, err := machine{files: rsts(reset), pstore: map[string]string{
		"console-ramoops-0": started + strings.Repeat("[ 1.1] all is well\n", 10000) + "\x1b[2J<3>the end\xff\n"}}.read(t)
	if err != nil || len(r.LastWords) > resetcause.MaxLastWords || !strings.HasPrefix(r.LastWords, "[ 1.1] all is well\n") {
		t.Fatalf("%d bytes, %v: %.40q", len(r.LastWords), err, r.LastWords)
	}
	long := strings.Repeat("ä", 3000)
	r, _, err = machine{pstore: map[string]string{"dmesg-ramoops-0": "Panic#1 Part1\nKernel panic - not syncing: " + long}}.read(t)
	if err != nil || r.Cause != resetcause.Panic || len(r.Detail) > 400 || strings.ContainsRune(r.Detail, 0xfffd) {
		t.Errorf("a long reason gives %d bytes, %v: %.60q", len(r.Detail), err, r.Detail)
	}
}
