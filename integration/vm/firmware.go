package vm

import (
	"context"
	"errors"
	"fmt"
	"path"
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
	// Params are the overlays' parameters, by the path of the overlay.
	Params  map[string][]string
	Cmdline string
	// Watchdog is after how many seconds a kernel that has not taken over the hardware's watchdog is reset by it; 0: never.
	Watchdog int
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
	params   map[string][]string
}

func parseConfig(text string, m Model) (config, error) {
	c := config{values: map[string]string{}, params: map[string][]string{}}
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
			overlay, params, _ := strings.Cut(value, ",")
			c.overlays = append(c.overlays, overlay)
			c.params[overlay] = strings.FieldsFunc(params, func(r rune) bool { return r == ',' })
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
	b := Boot{Prefix: c.values["os_prefix"], Params: map[string][]string{}}
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
		b.Overlays, b.Params[file] = append(b.Overlays, file), c.params[overlay]
	}
	if m.overlays != "" && len(c.overlays) > 0 && !slices.Contains(all, path.Join(folder, "overlay_map.dtb")) {
		return Boot{}, fmt.Errorf("a Pi %s needs %s to pick its variant of an overlay", m.Name, path.Join(folder, "overlay_map.dtb"))
	}
	if text := c.values["kernel_watchdog_timeout"]; text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			return Boot{}, fmt.Errorf("kernel_watchdog_timeout is no number: %w", err)
		}
		b.Watchdog = seconds
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
