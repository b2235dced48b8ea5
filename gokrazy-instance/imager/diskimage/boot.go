package diskimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// slotA holds the system that an image brings, slotB is empty until the first update.
	slotA, slotB = "slot-a", "slot-b"

	// configSize is what config.txt is padded to: one sector, which an update replaces in place by one write.
	configSize = sectorSize
	// configLine is how much of a line the Pi's firmware reads
	// (https://www.raspberrypi.com/documentation/computers/config_txt.html, "File format").
	configLine = 98

	// maxCmdline is what both kernels take (COMMAND_LINE_SIZE is 2048 on arm64 and amd64).
	maxCmdline = 2047
)

// boot is a boot partition in the making: from what gok put on its own, what goes on ours.
type boot struct {
	builder *Builder
	// gok is what gok's boot partition holds.
	gok tree
	out tree
}

// makeBoot turns gok's boot file system into Porthole's.
func (b *Builder) makeBoot(ctx context.Context) error {
	dir := b.work("gok", "boot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if _, err := (tool{name: "mcopy", args: []string{"-s", "-n", "-i", b.work("gok", "boot.fat"), "::*", dir}}).run(ctx); err != nil {
		return err
	}
	bt := &boot{builder: b, gok: tree{}, out: tree{}}
	if err := bt.gok.addDir("", dir); err != nil {
		return err
	}
	bt.out.dirs(slotA)
	bt.out.dirs(slotB)
	if err := b.Board.layOut(ctx, bt); err != nil {
		return err
	}
	provision, err := bt.overlay("..", "porthole.toml")
	if err != nil {
		return err
	}
	bt.out.file("porthole.toml", provision)
	if b.part, err = bt.slotPart(); err != nil {
		return err
	}
	b.boot = bt.out
	return nil
}

// makeBootFAT writes the boot partition, with the manifest of what is in its slot.
func (b *Builder) makeBootFAT(ctx context.Context) error {
	files, err := b.extra()
	if err != nil {
		return err
	}
	for name, text := range files {
		b.boot.file(slotA+"/"+name, text)
	}
	return b.makeFAT(ctx, b.boot, b.work("boot.fat"))
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

// take copies the files of gok's boot partition that match a pattern into folder to. A pattern that matches nothing is
// an error: a device without that file would not start.
func (bt *boot) take(to string, patterns ...string) error {
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
			dest := path.Join(to, name)
			bt.out.dirs(path.Dir(dest))
			bt.out[dest] = n
		}
		if !found {
			return fmt.Errorf("gok's boot partition has no %s", pattern)
		}
	}
	return nil
}

// cmdline returns the board's kernel command line for the root file system in the given partition. Lines are joined and
// comments dropped, so that the file can say why each argument is there.
func (bt *boot) cmdline(root int) ([]byte, error) {
	line, err := bt.cmdlineTemplate()
	if err != nil {
		return nil, err
	}
	line = strings.Replace(line, placeholder, "root=PARTUUID="+bt.builder.Board.partUUID(root), 1)
	if len(line) > maxCmdline {
		return nil, fmt.Errorf("the kernel's command line has %d characters, more than %d", len(line), maxCmdline)
	}
	return []byte(line + "\n"), nil
}

// placeholder stands where a slot's root partition comes in.
const placeholder = "root=SLOT"

// cmdlineTemplate returns the board's command line for any slot.
func (bt *boot) cmdlineTemplate() (string, error) {
	text, err := bt.overlay("cmdline.txt")
	if err != nil {
		return "", err
	}
	line := strings.Join(strings.Fields(strings.Join(meaning(string(text)), " ")), " ")
	if strings.Count(line, placeholder) != 1 {
		return "", fmt.Errorf("overlays/boot/%s/cmdline.txt must say %s once", bt.builder.Board.Name, placeholder)
	}
	return line, nil
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
	if err := bt.take("", "bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat"); err != nil {
		return err
	}
	// Their licence wants to be with them.
	dir, err := bt.builder.partDir(ctx, "github.com/gokrazy/firmware")
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(dir, "LICENSE.broadcom"))
	if err != nil {
		return fmt.Errorf("read the firmware's licence: %w", err)
	}
	bt.out.file("LICENCE.broadcom", licence)
	if err := bt.take(slotA, "vmlinuz", "bcm2710-*.dtb", "bcm2711-*.dtb", "bcm2712*.dtb", "overlays/*.dtbo", "overlays/overlay_map.dtb"); err != nil {
		return err
	}
	bt.out.file(slotA+"/overlays/README", []byte("The firmware takes overlays from this folder only if this file is here.\n"))
	line, err := bt.cmdline(2)
	if err != nil {
		return err
	}
	bt.out.file(slotA+"/cmdline.txt", line)
	text, err := bt.overlay("config.txt")
	if err != nil {
		return err
	}
	for name, slot := range map[string]string{"config.txt": slotA, "tryboot.txt": slotB} {
		config, err := piConfig(string(text), slot)
		if err != nil {
			return fmt.Errorf("overlays/boot/pi/config.txt: %w", err)
		}
		bt.out.file(name, config)
	}
	return nil
}

// piConfig returns config.txt for a slot: without comments, padded to one sector.
func piConfig(text, slot string) ([]byte, error) {
	lines := meaning(text)
	const prefix = "os_prefix="
	if len(lines) == 0 || !strings.HasPrefix(lines[0], prefix) {
		return nil, errors.New("the first line must be os_prefix")
	}
	lines[0] = prefix + slot + "/"
	for _, line := range lines {
		if len(line) > configLine {
			return nil, fmt.Errorf("the firmware reads only %d characters of the line %q", configLine, line)
		}
		if strings.HasPrefix(line, "include ") {
			return nil, errors.New("a bootloader in EEPROM does not follow include")
		}
	}
	out := []byte(strings.Join(lines, "\n") + "\n")
	if len(out) > configSize {
		return nil, fmt.Errorf("%d bytes without comments, more than the %d of one sector", len(out), configSize)
	}
	return append(out, bytes.Repeat([]byte("\n"), configSize-len(out))...), nil
}

// generation is what the boot loader's entry of a fresh image is called; each update takes the next number.
const generation = 1

// layOutVM makes the virtual machine's boot partition: systemd-boot and an entry for the slot.
func layOutVM(_ context.Context, bt *boot) error {
	if err := bt.take("", "EFI/BOOT/BOOTX64.EFI"); err != nil {
		return err
	}
	if err := bt.take(slotA, "vmlinuz"); err != nil {
		return err
	}
	line, err := bt.cmdline(2)
	if err != nil {
		return err
	}
	bt.out.file(slotA+"/cmdline.txt", line)
	loader, err := bt.overlay("loader.conf")
	if err != nil {
		return err
	}
	bt.out.file("loader/loader.conf", loader)
	// systemd-boot sorts entries by their file names: six digits keep that the order of the generations.
	entry := fmt.Sprintf("title Porthole\nlinux /%s/vmlinuz\noptions %s", slotA, line)
	bt.out.file(fmt.Sprintf("loader/entries/porthole-%06d.conf", generation), []byte(entry))
	return nil
}

// makeFAT writes the tree as a FAT32 file system.
func (b *Builder) makeFAT(ctx context.Context, t tree, out string) error {
	if err := b.stage(t, b.work("boot")); err != nil {
		return err
	}
	env := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(b.Time.Unix(), 10), "MTOOLS_SKIP_CHECK=1"}
	// 2 KiB clusters: with larger ones, 256 MiB would have too few for FAT32.
	if _, err := (tool{name: "mkfs.vfat", env: env, args: []string{"--invariant", "-F", "32", "-S", "512", "-s", "4", "-n", "PORTHOLE",
		"-i", fmt.Sprintf("%08x", b.Board.DiskID), "-h", strconv.Itoa(firstPartition / sectorSize),
		"-C", out, strconv.Itoa(bootSize / 1024)}}).run(ctx); err != nil {
		return err
	}
	byDir := map[string][]string{}
	var dirs []string
	for _, name := range t.paths() {
		if t[name].mode.IsDir() {
			dirs = append(dirs, "::"+name)
			continue
		}
		byDir[path.Dir(name)] = append(byDir[path.Dir(name)], b.work("boot", name))
	}
	if len(dirs) > 0 {
		if _, err := (tool{name: "mmd", env: env, args: append([]string{"-i", out}, dirs...)}).run(ctx); err != nil {
			return err
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		args := append([]string{"-i", out, "-m", "-Q"}, byDir[dir]...)
		if _, err := (tool{name: "mcopy", env: env, args: append(args, "::"+strings.TrimPrefix(dir, ".")+"/")}).run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stage writes the tree's files into a folder, with the build's time.
func (b *Builder) stage(t tree, dir string) error {
	for _, name := range t.paths() {
		p := filepath.Join(dir, name)
		if t[name].mode.IsDir() {
			if err := os.MkdirAll(p, 0o755); err != nil {
				return fmt.Errorf("stage %s: %w", name, err)
			}
			continue
		}
		if t[name].mode&fs.ModeSymlink != 0 {
			return fmt.Errorf("stage %s: FAT has no symbolic links", name)
		}
		data, err := t[name].read()
		if err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		if err := os.Chtimes(p, b.Time, b.Time); err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
	}
	return nil
}
