package diskimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"porthole/gokrazy-instance/imager/sbom"
	"porthole/packages/updatekit"
)

const (
	// licenceDir is where the image keeps the licences of what it is made of.
	licenceDir = "usr/share/licenses"
	// sbomFile and licenceList say what that is, for machines and for people.
	sbomFile    = "usr/share/porthole/sbom.cdx.json"
	licenceList = "usr/share/porthole/licences.json"
)

// describe puts in the licences of all that is in the image, and the lists of it. The list for machines also lies beside the
// image.
func (b *Builder) describe(ctx context.Context, t tree) error {
	var parts []sbom.Part
	for _, collect := range []func(context.Context, tree) ([]sbom.Part, error){b.programParts, b.kernelParts, b.dataParts, b.fsckPart, decoderParts} {
		more, err := collect(ctx, t)
		if err != nil {
			return err
		}
		parts = append(parts, more...)
	}
	text, err := sbom.Encode(sbom.Image{Board: b.Board.Name, Version: b.Version, Time: b.Time, SupportedUntil: updatekit.SupportEnds, Parts: parts})
	if err != nil {
		return err
	}
	licences, err := sbom.Licences(parts)
	if err != nil {
		return err
	}
	t.file(sbomFile, text)
	t.file(licenceList, licences)
	if err := os.WriteFile(b.SBOM(), text, 0o644); err != nil {
		return fmt.Errorf("write list of parts: %w", err)
	}
	return nil
}

// SBOM is where Image puts the list of what the image is made of.
func (b *Builder) SBOM() string { return filepath.Join(b.Out, "porthole-"+b.Board.Name+".cdx.json") }

// programParts lists the programs that were built, the modules they were built from, Go itself, and Porthole.
func (b *Builder) programParts(ctx context.Context, t tree) ([]sbom.Part, error) {
	env, err := goEnv(ctx, "GOMODCACHE", "GOROOT")
	if err != nil {
		return nil, err
	}
	cache, root := strings.TrimPrefix(env[0], "GOMODCACHE="), strings.TrimPrefix(env[1], "GOROOT=")
	programs := sbom.Programs{Own: module, Version: b.Version, Licence: "Apache-2.0"}
	for _, name := range t.paths() {
		n := t[name]
		if dir := path.Dir(name); dir != "user" && dir != "gokrazy" || !n.mode.IsRegular() || n.mode&0o111 == 0 {
			continue
		}
		_, sum, err := measure(n.host)
		if err != nil {
			return nil, err
		}
		if err := programs.Add("/"+name, n.host, sum); err != nil {
			return nil, err
		}
	}
	if len(programs.Modules) == 0 {
		return nil, errors.New("the programs name no Go modules")
	}
	parts := programs.Parts
	for i, p := range parts {
		if p.Kind == sbom.Library {
			if err := withLicence(t, &parts[i], "go", root); err != nil {
				return nil, err
			}
		}
	}
	for m := range programs.Modules {
		p, err := m.Part()
		if err != nil {
			return nil, err
		}
		if err := withLicence(t, &p, path.Join("go", m.String()), filepath.Join(cache, escapeModule(m.String()))); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	// Porthole itself is what the list is about; its licence is for people.
	_, err = addLicenceFiles(t, "porthole", b.Repo)
	return parts, err
}

// withLicence puts a part's licences in, from the folder dir here, and says which they are.
func withLicence(t tree, p *sbom.Part, name, dir string) error {
	texts, err := addLicenceFiles(t, name, dir)
	if err != nil {
		return err
	}
	p.Files = names(texts)
	if p.Licence == "" {
		p.Licence = sbom.Identify(p.Name, texts)
	}
	return nil
}

// kernelParts lists the kernel, the firmware and the boot loader.
func (b *Builder) kernelParts(ctx context.Context, t tree) ([]sbom.Part, error) {
	in, err := readInstance(filepath.Join(b.Repo, "gokrazy-instance"), b.Board.Name)
	if err != nil {
		return nil, err
	}
	var parts []sbom.Part
	for key, fill := range map[string]func(tree, string, *sbom.Part) error{"KernelPackage": b.fillKernel, "FirmwarePackage": b.fillFirmware} {
		var pkg string
		if err := json.Unmarshal(in.rest[key], &pkg); err != nil {
			return nil, fmt.Errorf("read %s of the instance: %w", key, err)
		}
		if pkg == "" {
			continue
		}
		dir, version, err := b.partModule(ctx, pkg)
		if err != nil {
			return nil, err
		}
		p := sbom.Part{
			Ref: path.Base(pkg), Version: version, PURL: "pkg:golang/" + pkg + "@" + version,
			Properties: map[string]string{"porthole:go-module": pkg + "@" + version},
		}
		if err := fill(t, dir, &p); err != nil {
			return nil, err
		}
		if err := withLicence(t, &p, path.Base(pkg), dir); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	loader, err := b.loaderPart()
	if err != nil || loader == nil {
		return parts, err
	}
	return append(parts, *loader), nil
}

// fillKernel says which Linux the kernel module holds.
func (b *Builder) fillKernel(t tree, dir string, p *sbom.Part) error {
	var release string
	for _, name := range t.paths() {
		if path.Dir(name) == "lib/modules" && t[name].mode.IsDir() {
			release = path.Base(name)
		}
	}
	if release == "" {
		return errors.New("the kernel brings no folder below lib/modules: which version is it?")
	}
	url, err := os.ReadFile(filepath.Join(dir, "_build", "upstream-url.txt"))
	if err != nil {
		return fmt.Errorf("find the kernel's source: %w", err)
	}
	kernel, ok := b.part["vmlinuz"]
	if !ok {
		return errors.New("the boot part has no kernel")
	}
	if _, p.SHA256, err = measure(kernel.host); err != nil {
		return err
	}
	number, _, _ := strings.Cut(release, "-")
	p.Kind, p.Name, p.Version = sbom.OS, "linux", release
	p.Description = "Linux, with device trees and modules"
	p.CPE = "cpe:2.3:o:linux:linux_kernel:" + number + ":*:*:*:*:*:*:*"
	p.Source, p.Licence = strings.TrimSpace(string(url)), "GPL-2.0-only WITH Linux-syscall-note"
	return nil
}

// firmwareCommit matches where the firmware module says which commit it holds.
var firmwareCommit = regexp.MustCompile(`const firmwareRef = "([0-9a-f]{40})"`)

// fillFirmware says which firmware the firmware module holds.
func (b *Builder) fillFirmware(_ tree, dir string, p *sbom.Part) error {
	file := filepath.Join(dir, "cmd", "gokr-update-firmware", "firmware.go")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("find the firmware's version: %w", err)
	}
	m := firmwareCommit.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("%s does not say which commit the firmware is of", file)
	}
	commit := string(m[1])
	_, p.SHA256, err = measure(b.boot["start4.elf"].host)
	p.Kind, p.Name, p.Version = sbom.Firmware, "Raspberry Pi firmware", commit[:12]
	p.Description = "boot loader and VideoCore firmware of the Raspberry Pi 3, 4 and Zero 2 W; the hash is that of start4.elf"
	p.Source = "https://github.com/raspberrypi/firmware/tree/" + commit
	p.Licence, p.Named = "Broadcom's licence for use with a Raspberry Pi only", true
	return err
}

// loaderVersion matches what systemd-boot says of itself.
var loaderVersion = regexp.MustCompile(`#### LoaderInfo: systemd-boot ([0-9A-Za-z.-]+) ####`)

// loaderPart describes the virtual machine's boot loader; other boards have none.
func (b *Builder) loaderPart() (*sbom.Part, error) {
	n, ok := b.boot["EFI/BOOT/BOOTX64.EFI"]
	if !ok {
		return nil, nil
	}
	program, err := n.read()
	if err != nil {
		return nil, fmt.Errorf("read boot loader: %w", err)
	}
	m := loaderVersion.FindSubmatch(program)
	if m == nil {
		return nil, errors.New("the boot loader does not say which systemd-boot it is")
	}
	_, sum, err := measure(n.host)
	if err != nil {
		return nil, err
	}
	version := string(m[1])
	number, _, _ := strings.Cut(version, "-")
	return &sbom.Part{
		Ref: "systemd-boot", Kind: sbom.Firmware, Name: "systemd-boot", Version: version, PURL: "pkg:generic/systemd-boot@" + version,
		CPE: "cpe:2.3:a:systemd_project:systemd:" + number + ":*:*:*:*:*:*:*", SHA256: sum,
		Source: "https://github.com/systemd/systemd-stable/tree/v" + number, Licence: "LGPL-2.1-or-later",
		Files: []string{"systemd-boot/LICENSE.LGPL2.1"},
	}, nil
}
