package update

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Names of the parts.
const (
	// PartBoot is a tar of the boot slot's files: kernel, device trees, overlays, cmdline.txt, and on a Pi config.txt.
	PartBoot = "boot"
	// PartRoot is the SquashFS of the root partition.
	PartRoot = "root"
)

// Names of the slots.
const (
	SlotA = "slot-a"
	SlotB = "slot-b"
)

// What a manifest of this format says of itself.
const (
	// Format is the only one there is.
	Format = 1
	// Product is what Manifest.Product must be.
	Product = "porthole"
	// Zstd is the encoding of a part that is compressed (RFC 8878).
	Zstd = "zstd"
)

// Bounds of what is read before, or without, knowing who made it; bytes.
const (
	MaxManifest  = 64 << 10
	MaxSignature = 4 << 10
	// MaxPart is the largest part: the size of a root partition.
	MaxPart = 256 << 20
)

// Manifest says what an update is. It is what is signed.
type Manifest struct {
	// Format is 1; another one is refused with the advice to update in steps.
	Format  int    `json:"format"`
	Product string `json:"product"` // "porthole"
	Board   string `json:"board"`   // "pi" or "vm": the family of boards
	Version string `json:"version"`
	// Minimum is the oldest version that may install it directly; empty: any.
	Minimum string    `json:"minimum_version,omitempty"`
	Built   time.Time `json:"built"` // the time of its commit
	// Parts are all of them, PartBoot and PartRoot, whether a device has them or not.
	Parts []ManifestPart `json:"parts"`
}

// ManifestPart is a part as it is written, and as it is stored in the bundle.
type ManifestPart struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes, as written
	SHA256 string `json:"sha256"` // of that, in hexadecimal
	// Encoding is how the bundle stores it: "" as it is, "zstd" compressed (RFC 8878). Stored is that size in bytes.
	Encoding string `json:"encoding,omitempty"`
	Stored   int64  `json:"stored_size"`
}

// Part returns the part of that name; a manifest that was checked has both.
func (m Manifest) Part(name string) (ManifestPart, bool) {
	i := slices.IndexFunc(m.Parts, func(p ManifestPart) bool { return p.Name == name })
	if i < 0 {
		return ManifestPart{}, false
	}
	return m.Parts[i], true
}

// File is the part's name in a bundle.
func (p ManifestPart) File() string {
	name := map[string]string{PartBoot: "boot.tar", PartRoot: "root.squashfs"}[p.Name]
	if p.Encoding == Zstd {
		name += ".zst"
	}
	return name
}

// Encode checks the manifest and writes it as it is signed.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(out, '\n'), nil
}

// ParseManifest reads and checks a manifest. It says nothing of who made it: whoever writes anything because of it uses
// Verify.
func ParseManifest(text []byte) (Manifest, error) {
	if len(text) > MaxManifest {
		return Manifest{}, refuse(ErrManifest, "The update's manifest is larger than %d KiB: this is not an update for Porthole.", MaxManifest>>10)
	}
	if !utf8.Valid(text) {
		return Manifest{}, malformed(errors.New("it is not UTF-8"))
	}
	if err := checkKeys(text); err != nil {
		return Manifest{}, malformed(err)
	}
	// The format decides how to read the rest.
	var head struct {
		Format  int    `json:"format"`
		Product string `json:"product"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return Manifest{}, malformed(err)
	}
	if head.Product != Product {
		return Manifest{}, refuse(ErrManifest, "This is an update for %.40q, not for Porthole: choose another file.", head.Product)
	}
	if head.Format != Format {
		return Manifest{}, refuse(ErrManifest, "The update is of format %d, this version understands format %d: install a release between the two first.", head.Format, Format)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, malformed(err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, malformed(err)
	}
	return m, nil
}

func malformed(why error) error {
	return refuse(ErrManifest, "The update's manifest cannot be used: %v. Get the file again from where it came from.", why)
}

var (
	boardText = regexp.MustCompile(`^[a-z][a-z0-9-]{0,15}$`)
	sumText   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (m Manifest) check() error {
	if m.Format != Format || m.Product != Product {
		return fmt.Errorf("format %d of product %.40q is not format %d of %s", m.Format, m.Product, Format, Product)
	}
	if !boardText.MatchString(m.Board) {
		return fmt.Errorf("%.40q is no board", m.Board)
	}
	if _, err := ParseVersion(m.Version); err != nil {
		return err
	}
	if m.Minimum != "" {
		if _, err := ParseVersion(m.Minimum); err != nil {
			return fmt.Errorf("minimum_version: %w", err)
		}
	}
	if y := m.Built.UTC().Year(); y < 2000 || y > 2200 {
		return fmt.Errorf("the time %s is none that it can have been built at", m.Built.UTC().Format(time.DateOnly))
	}
	for _, name := range []string{PartBoot, PartRoot} {
		n := 0
		for _, p := range m.Parts {
			if p.Name == name {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("it names part %q %d times", name, n)
		}
	}
	for _, p := range m.Parts {
		if err := p.check(); err != nil {
			return fmt.Errorf("part %.20q: %w", p.Name, err)
		}
	}
	return nil
}

func (p ManifestPart) check() error {
	switch {
	case p.Name != PartBoot && p.Name != PartRoot:
		return errors.New("there is no such part")
	case p.Size <= 0 || p.Size > MaxPart:
		return fmt.Errorf("a size of %d bytes is not possible", p.Size)
	case p.Stored <= 0 || p.Stored > MaxPart:
		return fmt.Errorf("a stored_size of %d bytes is not possible", p.Stored)
	case p.Encoding != "" && p.Encoding != Zstd:
		return fmt.Errorf("the encoding %.20q is not known", p.Encoding)
	case p.Encoding == "" && p.Stored != p.Size:
		return fmt.Errorf("it is stored as it is, but in %d bytes instead of %d", p.Stored, p.Size)
	case !sumText.MatchString(p.SHA256):
		return errors.New("sha256 is not 64 hexadecimal digits")
	}
	return nil
}

// Sum returns the part's SHA-256; of a part that was checked it has 32 bytes.
func (p ManifestPart) Sum() []byte {
	sum, err := hex.DecodeString(p.SHA256)
	if err != nil {
		return nil
	}
	return sum
}

// checkKeys refuses what different readers of JSON take for different things: an object that has a key twice (keys are the
// same if they differ in case only, as encoding/json has it), and anything behind the value.
func checkKeys(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind its end")
	}
	return nil
}

// maxDepth bounds how deep values may lie in each other.
const maxDepth = 16

func checkValue(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("it is too deep")
	}
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			name, ok := t.(string)
			if !ok || seen[strings.ToLower(name)] {
				return fmt.Errorf("it says %.40q twice", name)
			}
			seen[strings.ToLower(name)] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
