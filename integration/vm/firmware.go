package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Model is a Raspberry Pi as its firmware sees it.
type Model struct {
	Name string
	// DTB is the device tree its firmware loads.
	DTB string
	// filters are the sections of config.txt that count, besides [all].
	filters []string
	// firmware are the files that must lie at the top of the boot partition; a Pi 5 has them in its EEPROM.
	firmware []string
	// overlays is what the firmware appends to an overlay's name if that file exists (overlay_map.dtb's rule for the
	// display's overlays).
	overlays string
	// arm64 says that it starts 64-bit kernels without being told.
	arm64 bool
}

// Models are the Pis that Porthole supports.
func Models() []Model {
	old := []string{"bootcode.bin", "start.elf", "fixup.dat"}
	four := []string{"start4.elf", "fixup4.dat"}
	return []Model{
		{Name: "Zero 2 W", DTB: "bcm2710-rpi-zero-2-w.dtb", filters: []string{"pi3", "pi02"}, firmware: old},
		{Name: "3", DTB: "bcm2710-rpi-3-b.dtb", filters: []string{"pi3"}, firmware: old},
		{Name: "3+", DTB: "bcm2710-rpi-3-b-plus.dtb", filters: []string{"pi3", "pi3+"}, firmware: old},
		{Name: "4", DTB: "bcm2711-rpi-4-b.dtb", filters: []string{"pi4"}, firmware: four, overlays: "-pi4", arm64: true},
		{Name: "400", DTB: "bcm2711-rpi-400.dtb", filters: []string{"pi4", "pi400"}, firmware: four, overlays: "-pi4", arm64: true},
		{Name: "CM4", DTB: "bcm2711-rpi-cm4.dtb", filters: []string{"pi4", "cm4"}, firmware: four, overlays: "-pi4", arm64: true},
		{Name: "5", DTB: "bcm2712-rpi-5-b.dtb", filters: []string{"pi5"}, overlays: "-pi5", arm64: true},
		{Name: "CM5", DTB: "bcm2712-rpi-cm5-cm5io.dtb", filters: []string{"pi5", "cm5"}, overlays: "-pi5", arm64: true},
	}
}

// Rules of the firmware (https://www.raspberrypi.com/documentation/computers/config_txt.html).
const (
	configLine    = 98 // characters of a line that it reads
	overlayPrefix = "overlays/"
)

// overlayMap is what overlay_map.dtb of kernel.rpi says where the rule of Model.overlays is not enough, for the overlays used.
var overlayMap = map[string]string{"ramoops-pi5": "ramoops-pi4"}

// Boot is what the firmware hands to the kernel.
type Boot struct {
	// Prefix is the folder the operating system's files come from, as found good.
	Prefix string
	// Kernel, DTB and Overlays are paths on the boot partition.
	Kernel, DTB string
	Overlays    []string
	Cmdline     string
}

// Firmware does what the Pi's firmware does up to the start of the kernel: it reads config.txt, or tryboot.txt for one
// attempt, checks os_prefix and finds kernel, device tree, overlays and command line. What would leave a real Pi with a
// black screen is an error here.
func Firmware(ctx context.Context, files BootFiles, m Model, tryboot bool) (Boot, error) {
	all, err := files.List(ctx)
	if err != nil {
		return Boot{}, err
	}
	for _, name := range m.firmware {
		if !slices.Contains(all, name) {
			return Boot{}, fmt.Errorf("a Pi %s needs %s", m.Name, name)
		}
	}
	name := "config.txt"
	if tryboot && slices.Contains(all, "tryboot.txt") {
		name = "tryboot.txt"
	}
	text, err := files.Read(ctx, name)
	if err != nil {
		return Boot{}, err
	}
	if len(text) > sectorSize {
		return Boot{}, fmt.Errorf("%s has %d bytes: an update cannot replace it by one write of a sector", name, len(text))
	}
	c, err := parseConfig(string(text), m)
	if err != nil {
		return Boot{}, fmt.Errorf("%s: %w", name, err)
	}
	return find(ctx, files, all, c, m)
}

// config is what config.txt says to one model.
type config struct {
	values   map[string]string
	overlays []string
}

func parseConfig(text string, m Model) (config, error) {
	c := config{values: map[string]string{}}
	section := "all"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) > configLine {
			return config{}, fmt.Errorf("the firmware reads only %d characters of %q", configLine, line)
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		if section != "all" && !slices.Contains(m.filters, section) {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return config{}, fmt.Errorf("the line %q is not key=value", line)
		}
		if key == "dtoverlay" {
			overlay, _, _ := strings.Cut(value, ",")
			c.overlays = append(c.overlays, overlay)
		}
		c.values[key] = value
	}
	return c, nil
}

// find applies the prefix rules.
func find(ctx context.Context, files BootFiles, all []string, c config, m Model) (Boot, error) {
	if c.values["arm_64bit"] != "1" && !m.arm64 {
		return Boot{}, fmt.Errorf("a Pi %s would start a 32-bit kernel", m.Name)
	}
	kernel := c.values["kernel"]
	if kernel == "" {
		kernel = "kernel8.img"
	}
	b := Boot{Prefix: c.values["os_prefix"]}
	// "unless the expected kernel and .dtb can be found at the new location/name, the prefix is ignored"
	if !slices.Contains(all, b.Prefix+kernel) || !slices.Contains(all, b.Prefix+m.DTB) {
		b.Prefix = ""
	}
	b.Kernel, b.DTB = b.Prefix+kernel, b.Prefix+m.DTB
	for _, name := range []string{b.Kernel, b.DTB, b.Prefix + "cmdline.txt"} {
		if !slices.Contains(all, name) {
			return Boot{}, fmt.Errorf("a Pi %s with os_prefix=%s finds no %s", m.Name, c.values["os_prefix"], name)
		}
	}
	// "only be loaded from ${os_prefix}${overlay_prefix} if ${os_prefix}${overlay_prefix}README exists"
	folder := overlayPrefix
	if slices.Contains(all, b.Prefix+overlayPrefix+"README") {
		folder = b.Prefix + overlayPrefix
	}
	for _, overlay := range c.overlays {
		if renamed, ok := overlayMap[overlay+m.overlays]; ok {
			overlay = renamed
		}
		file := path.Join(folder, overlay+m.overlays+".dtbo")
		if !slices.Contains(all, file) {
			file = path.Join(folder, overlay+".dtbo")
		}
		if !slices.Contains(all, file) {
			return Boot{}, fmt.Errorf("a Pi %s finds no overlay %s", m.Name, file)
		}
		b.Overlays = append(b.Overlays, file)
	}
	if m.overlays != "" && len(c.overlays) > 0 && !slices.Contains(all, path.Join(folder, "overlay_map.dtb")) {
		return Boot{}, fmt.Errorf("a Pi %s needs %s to pick its variant of an overlay", m.Name, path.Join(folder, "overlay_map.dtb"))
	}
	line, err := files.Read(ctx, b.Prefix+"cmdline.txt")
	if err != nil {
		return Boot{}, err
	}
	b.Cmdline = strings.TrimSpace(string(line))
	if strings.ContainsAny(b.Cmdline, "\r\n") {
		return Boot{}, errors.New("cmdline.txt has more than one line: the firmware reads the first")
	}
	return b, nil
}

// minSD is the smallest disk that QEMU takes for the Pi's card reader: a power of two that holds the image.
const minSD = 1 << 30

// SDSize returns the size of a card for QEMU that has at least the given size.
func SDSize(atLeast int64) int64 {
	size := int64(minSD)
	for size < atLeast {
		size *= 2
	}
	return size
}

// StartPi boots a Raspberry Pi's card in QEMU's raspi3b: the real kernel and root file system, started as the firmware
// of a Pi 3 would. There is no KMS display, only the firmware's framebuffer, and no network until PlugIn.
func StartPi(ctx context.Context, o Options, tryboot bool) (*Machine, error) {
	files, err := OpenBoot(o.Disk)
	if err != nil {
		return nil, err
	}
	models := Models()
	pi3 := models[slices.IndexFunc(models, func(m Model) bool { return m.Name == "3" })]
	boot, err := Firmware(ctx, files, pi3, tryboot)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "porthole-pi")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	for from, to := range map[string]string{boot.Kernel: "kernel", boot.DTB: "dtb"} {
		data, err := files.Read(ctx, from)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o600); err != nil {
			return nil, fmt.Errorf("take out kernel: %w", err)
		}
	}
	// The firmware names the serial port: the small one here, because the overlay that gives it the good one is not applied.
	// QEMU has no FIQ for the driver of the USB controller, and resets the machine as soon as the watchdog is started. It has
	// no VideoCore either: the driver that talks to its programs (vchiq) gives up, and one of its threads then crashes the
	// kernel more often than not, before there is a console to say so.
	line := strings.Replace(boot.Cmdline, "console=serial0,", "console=ttyS0,", 1) +
		" dwc_otg.fiq_fsm_enable=0 initcall_blacklist=bcm2835_wdt_driver_init,vchiq_driver_init"
	args := []string{"-M", "raspi3b", "-accel", "tcg,thread=multi", "-kernel", filepath.Join(dir, "kernel"),
		"-dtb", filepath.Join(dir, "dtb"), "-append", line, "-drive", "if=sd,format=raw,file=" + o.Disk, "-serial", "null"}
	if o.MemoryMB != 0 {
		args = append(args, "-m", strconv.Itoa(o.MemoryMB))
	}
	user := "user,id=net0"
	for _, port := range o.Forward {
		user += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:0-:%d", port)
	}
	args = append(args, "-netdev", user)
	return start(ctx, "qemu-system-aarch64", "qemu-system-arm", dir, args, o)
}

// PlugIn plugs a USB network adapter into a machine of StartPi, on QEMU's user network. Its address is one of Raspberry
// Pi's: the kernel calls it eth0, as it does the Pi 3's own adapter, which sits on USB too.
func (m *Machine) PlugIn(ctx context.Context) error {
	return m.qmp.do(ctx, "device_add", map[string]string{"driver": "usb-net", "netdev": "net0", "id": "nic", "mac": "b8:27:eb:12:34:56"}, nil)
}
