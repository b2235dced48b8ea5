package vm_test

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/integration/vm"
	"porthole/packages/updatekit"
)

// TestParts: the list of what the image is made of names every module that its programs say they were built from, with its sum,
// the kernel that is in it, and the decoder's libraries; and every part in the list of licences has texts that are there.
func TestParts(t *testing.T) {
	image := thePiImage(t)
	root := unpackRoot(t, image)
	text, err := os.ReadFile(filepath.Join(root, "usr", "share", "porthole", "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	beside, err := os.ReadFile(strings.TrimSuffix(image, ".img") + ".cdx.json")
	if err != nil || !bytes.Equal(text, beside) {
		t.Errorf("the list beside the image is another one (%v)", err)
	}
	var list struct {
		BOMFormat, SpecVersion string
		Components             []struct {
			Name, Version, PURL string
			Properties          []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(text, &list); err != nil || list.BOMFormat != "CycloneDX" || list.SpecVersion != "1.6" {
		t.Fatalf("%s %s, %v", list.BOMFormat, list.SpecVersion, err)
	}
	sums, versions := map[string]string{}, map[string]string{}
	for _, c := range list.Components {
		versions[c.Name] = c.Version
		for _, p := range c.Properties {
			if p.Name == "porthole:go-sum" {
				sums[c.PURL] = p.Value
			}
		}
	}
	programs, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, program := range programs {
		if dir := filepath.Base(filepath.Dir(program)); dir != "user" && dir != "gokrazy" {
			continue
		}
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range info.Deps {
			n++
			if got := sums["pkg:golang/"+m.Path+"@"+m.Version]; got != m.Sum {
				t.Errorf("%s is built from %s %s %s; the list has the sum %q", filepath.Base(program), m.Path, m.Version, m.Sum, got)
			}
		}
		if got := "go" + versions["Go's standard library"]; got != info.GoVersion {
			t.Errorf("%s is built with %s, the list says %s", filepath.Base(program), info.GoVersion, got)
		}
	}
	if n < 50 {
		t.Errorf("the programs name %d modules", n)
	}
	modules, err := filepath.Glob(filepath.Join(root, "lib", "modules", "*"))
	if err != nil || len(modules) != 1 || filepath.Base(modules[0]) != versions["linux"] {
		t.Errorf("the kernel is %q, the list says %s (%v)", modules, versions["linux"], err)
	}
	for _, name := range []string{"Raspberry Pi firmware", "e2fsck-static", "ffmpeg-porthole", "ffmpeg", "libvpx", "opus", "Go fonts", "system", "init"} {
		if versions[name] == "" {
			t.Errorf("%s is not listed, or without a version", name)
		}
	}
	checkLicenceList(t, root, len(list.Components))
}

func checkLicenceList(t *testing.T, root string, parts int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "usr", "share", "porthole", "licences.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name, Version, Licence string
		Files                  []string
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < parts-20 || len(list) < 50 {
		t.Errorf("%d licences for %d parts", len(list), parts)
	}
	for _, l := range list {
		if l.Licence == "" || len(l.Files) == 0 {
			t.Errorf("%s %s: licence %q in %q", l.Name, l.Version, l.Licence, l.Files)
		}
		for _, f := range l.Files {
			if info, err := os.Stat(filepath.Join(root, "usr", "share", "licenses", f)); err != nil || info.Size() == 0 {
				t.Errorf("%s %s: %v", l.Name, l.Version, err)
			}
		}
	}
}

// TestUpdateFile: what `imager update` makes of a build is what is in the image: the device that runs it takes the signature, has
// the same manifest in its slot, and the same root file system, byte by byte.
func TestUpdateFile(t *testing.T) {
	image := thePiImage(t)
	file := vm.ImageOptions{Out: filepath.Dir(image), Version: vm.TestVersion, Board: "pi"}.BundlePath()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b, err := updatekit.OpenBundle(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	root := unpackRoot(t, image)
	keys, err := updatekit.ReadKeys(filepath.Join(root, updatekit.KeysDir))
	if err != nil || len(keys) != 2 {
		t.Fatalf("the image has %d keys (%v)", len(keys), err)
	}
	m, err := updatekit.Verify(b.Manifest, b.Signature, keys)
	if err != nil {
		t.Fatal(err)
	}
	if m.Board != "pi" || m.Version != vm.TestVersion {
		t.Errorf("it is version %s for %s", m.Version, m.Board)
	}
	slot := filepath.Join(unpackBoot(t, image), updatekit.SlotA)
	for name, want := range map[string][]byte{updatekit.ManifestFile: b.Manifest, updatekit.SignatureFile: b.Signature} {
		if got, err := os.ReadFile(filepath.Join(slot, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the slot's %s is another one (%v)", name, err)
		}
	}
	partition := cutOut(t, image, 2)
	for _, p := range m.Parts {
		r, err := b.Part(p)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		n, err := io.Copy(h, r)
		if err := errors.Join(err, r.Close()); err != nil || n != p.Size || hex.EncodeToString(h.Sum(nil)) != p.SHA256 {
			t.Errorf("part %s has %d bytes with SHA-256 %x, the manifest says %d and %s (%v)", p.Name, n, h.Sum(nil), p.Size, p.SHA256, err)
		}
		if p.Name != updatekit.PartRoot {
			continue
		}
		if in := sha256.Sum256(readAt(t, partition, 0, int(p.Size))); hex.EncodeToString(in[:]) != p.SHA256 {
			t.Error("the image's root file system is not the update's")
		}
	}
}
