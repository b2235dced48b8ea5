package diskimage

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
)

// BootTar writes the boot part of an update: what slot-a holds, with templates in the place of what depends on the slot.
func (b *Builder) BootTar(w io.Writer) error {
	if b.part == nil {
		return errors.New("write boot part: nothing was built yet")
	}
	t := tar.NewWriter(w)
	for _, name := range b.part.paths() {
		n := b.part[name]
		if n.mode.IsDir() {
			continue
		}
		data, err := n.read()
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644, ModTime: b.Time, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := t.Write(data); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return t.Close()
}

// slotPart returns the boot part of what was laid out for slot-a.
func (bt *boot) slotPart() (tree, error) {
	part := tree{}
	for _, name := range bt.out.paths() {
		if below, ok := strings.CutPrefix(name, slotA+"/"); ok {
			part[below] = bt.out[name]
		}
	}
	line, err := bt.cmdlineTemplate()
	if err != nil {
		return nil, err
	}
	part.file("cmdline.txt", []byte(line+"\n"))
	if _, pi := bt.out["config.txt"]; pi {
		text, err := bt.overlay("config.txt")
		if err != nil {
			return nil, err
		}
		lines := meaning(string(text))
		lines[0] = "os_prefix=SLOT/"
		part.file("config.txt", []byte(strings.Join(lines, "\n")+"\n"))
	}
	return part, nil
}
