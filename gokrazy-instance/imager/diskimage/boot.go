package diskimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"porthole/packages/bootkit"
)

// configLine is how much of a line the Pi's firmware reads
// (https://www.raspberrypi.com/documentation/computers/config_txt.html, "File format").
const configLine = 98

// boot is a boot partition in the making: from what gok put on its own, what goes on ours.
type boot struct {
	builder *Builder
	// gok is what gok's boot partition holds.
	gok tree
	// top is what lies at the top of the partition, slot what lies in a slot: the boot part.
	top, slot tree
}

// makeBoot sorts what gok's boot file system holds into what goes at the top of Porthole's and what goes into its slot.
func (b *Builder) makeBoot(ctx context.Context) error {
	dir := b.work("gok", "boot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if _, err := (tool{name: "mcopy", args: []string{"-s", "-n", "-i", b.work("gok", "boot.fat"), "::*", dir}}).run(ctx); err != nil {
		return err
	}
	bt := &boot{builder: b, gok: tree{}, top: tree{}, slot: tree{}}
	if err := bt.gok.addDir("", dir); err != nil {
		return err
	}
	if err := b.Board.layOut(ctx, bt); err != nil {
		return err
	}
	provision, err := bt.overlay("..", "porthole.toml")
	if err != nil {
		return err
	}
	bt.top.file("porthole.toml", provision)
	b.boot, b.part = bt.top, bt.slot
	return nil
}

// overlay reads a file of the board's folder in overlays/boot.
func (bt *boot) overlay(elem ...string) ([]byte, error) {
	p := filepath.Join(append([]string{bt.builder.Repo, "overlays", "boot", bt.builder.Board.Name}, elem...)...)
	data, err := os.ReadFile(p)
	if err != nil {
		return nil, fmt.Errorf("read part of the boot partition: %w", err)
	}
	return data, nil
}

// take copies the files of gok's boot partition that match a pattern. A pattern that matches nothing is
// an error: a device without that file would not start.
func (bt *boot) take(to tree, patterns ...string) error {
	for _, pattern := range patterns {
		found := false
		for _, name := range bt.gok.paths() {
			n := bt.gok[name]
			ok, err := path.Match(pattern, name)
			if err != nil {
				return fmt.Errorf("pattern %q: %w", pattern, err)
			}
			if !ok || n.mode.IsDir() {
				continue
			}
			found = true
			to[name] = n
		}
		if !found {
			return fmt.Errorf("gok's boot partition has no %s", pattern)
		}
	}
	return nil
}

// cmdline returns the board's kernel command line, with a placeholder for the root file system. Lines are joined and comments
// dropped, so that the file can say why each argument is there.
func (bt *boot) cmdline() ([]byte, error) {
	text, err := bt.overlay("cmdline.txt")
	if err != nil {
		return nil, err
	}
	line := strings.Join(strings.Fields(strings.Join(meaning(string(text)), " ")), " ")
	const placeholder = "root=SLOT"
	if strings.Count(line, placeholder) != 1 {
		return nil, fmt.Errorf("overlays/boot/%s/cmdline.txt must say %s once", bt.builder.Board.Name, placeholder)
	}
	return []byte(line + "\n"), nil
}

// meaning returns the lines of a text that are neither empty nor a comment.
func meaning(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// layOutPi makes the Raspberry Pi's boot partition: firmware and config.txt at the top, everything of the operating
// system below the slot that os_prefix names.
func layOutPi(ctx context.Context, bt *boot) error {
	// The firmware variants for cameras (x), debugging (db) and little memory (cd) are never asked for.
	if err := bt.take(bt.top, "bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat"); err != nil {
		return err
	}
	// Their licence wants to be with them.
	dir, _, err := bt.builder.partModule(ctx, "github.com/gokrazy/firmware")
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(dir, "LICENSE.broadcom"))
	if err != nil {
		return fmt.Errorf("read the firmware's licence: %w", err)
	}
	bt.top.file("LICENCE.broadcom", licence)
	if err := bt.take(bt.slot, "vmlinuz", "bcm2710-*.dtb", "bcm2711-*.dtb", "bcm2712*.dtb", "overlays/*.dtbo", "overlays/overlay_map.dtb"); err != nil {
		return err
	}
	bt.slot.file("overlays/README", []byte("The firmware takes overlays from this folder only if this file is here.\n"))
	line, err := bt.cmdline()
	if err != nil {
		return err
	}
	bt.slot.file("cmdline.txt", line)
	text, err := bt.overlay("config.txt")
	if err != nil {
		return err
	}
	config, err := piConfig(string(text))
	if err != nil {
		return fmt.Errorf("overlays/boot/pi/config.txt: %w", err)
	}
	bt.slot.file("config.txt", config)
	return nil
}

// piConfig returns a slot's config.txt without comments. It fails for what the firmware would not read, or for what one
// sector does not hold.
func piConfig(text string) ([]byte, error) {
	lines := meaning(text)
	if len(lines) == 0 || lines[0] != "os_prefix=SLOT/" {
		return nil, errors.New("the first line must be os_prefix=SLOT/")
	}
	for _, line := range lines {
		if len(line) > configLine {
			return nil, fmt.Errorf("the firmware reads only %d characters of the line %q", configLine, line)
		}
		if strings.HasPrefix(line, "include ") {
			return nil, errors.New("a bootloader in EEPROM does not follow include")
		}
	}
	out := strings.Join(lines, "\n") + "\n"
	if n := len(out) + len(bootkit.SlotA) - len("SLOT"); n > bootkit.MaxConfig {
		return nil, fmt.Errorf("%d bytes without comments, more than the %d of one sector", n, bootkit.MaxConfig)
	}
	return []byte(out), nil
}

// layOutVM makes the virtual machine's boot partition: systemd-boot, whose entries are bootpart's.
func layOutVM(_ context.Context, bt *boot) error {
	if err := bt.take(bt.top, "EFI/BOOT/BOOTX64.EFI"); err != nil {
		return err
	}
	if err := bt.take(bt.slot, "vmlinuz"); err != nil {
		return err
	}
	line, err := bt.cmdline()
	if err != nil {
		return err
	}
	bt.slot.file("cmdline.txt", line)
	loader, err := bt.overlay("loader.conf")
	if err != nil {
		return err
	}
	bt.top.file("loader/loader.conf", loader)
	return nil
}
