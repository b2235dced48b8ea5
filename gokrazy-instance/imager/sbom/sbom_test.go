package sbom_test

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"porthole/gokrazy-instance/imager/sbom"
)

// schema is CycloneDX's own for version 1.6, as it comes with its library.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	const base = "http://cyclonedx.org/schema/"
	for url, file := range map[string]string{
		"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(base+url, doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile(base + "bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// built is where the program that the tests list is; program builds it once. Test programs do not say what they are built from.
var (
	built  string
	failed error
	once   sync.Once
)

func program(t *testing.T) string {
	t.Helper()
	once.Do(func() {
		out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", built, "porthole/gokrazy-instance/imager").CombinedOutput()
		if err != nil {
			failed = fmt.Errorf("build the imager: %w\n%s", err, out)
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return built
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sbom")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "imager")
	return m.Run()
}

func image(t *testing.T) sbom.Image {
	t.Helper()
	programs := sbom.Programs{Own: "porthole", Version: "v1.2.3"}
	if err := programs.Add("/user/imager", program(t), strings.Repeat("a", 64)); err != nil {
		t.Fatal(err)
	}
	parts := programs.Parts
	for m := range programs.Modules {
		p, err := m.Part()
		if err != nil {
			t.Fatal(err)
		}
		p.Licence, p.Files = "MIT", []string{"go/" + m.String() + "/LICENSE"}
		parts = append(parts, p)
	}
	for i, p := range parts {
		if p.Kind == sbom.Library && p.Licence == "" {
			parts[i].Licence, parts[i].Files = "BSD-3-Clause", []string{"go/LICENSE"}
		}
	}
	parts = append(parts,
		sbom.Part{Ref: "kernel", Kind: sbom.OS, Name: "linux", Version: "6.12", Licence: "GPL-2.0-only WITH Linux-syscall-note",
			CPE: "cpe:2.3:o:linux:linux_kernel:6.12:*:*:*:*:*:*:*", Source: "https://kernel.org/", Files: []string{"kernel/LICENSE.linux"}},
		sbom.Part{Ref: "firmware", Kind: sbom.Firmware, Name: "firmware", Licence: "a licence <of their own> & more", Named: true, Files: []string{"firmware/LICENSE"}},
		sbom.Part{Ref: "fonts", Kind: sbom.Data, Name: "fonts", Licence: "BSD-3-Clause AND MIT", Files: []string{"b", "a"}},
	)
	return sbom.Image{Board: "pi", Version: "v1.2.3-4-gabcdef0", Time: time.Unix(1.8e9, 0), SupportedUntil: "2031-12-31", Parts: parts}
}

func encode(t *testing.T, i sbom.Image) []byte {
	t.Helper()
	text, err := sbom.Encode(i)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEncode: what comes out is valid by CycloneDX's schema, its library reads it, every module that the program says it was
// built from is there with its sum, and everything hangs together.
func TestEncode(t *testing.T) {
	i := image(t)
	text := encode(t, i)
	s := schema(t)
	if err := validate(t, s, text); err != nil {
		t.Errorf("by CycloneDX's schema: %v", err)
	}
	// A schema that lets everything through would say nothing.
	for old, rubbish := range map[string]string{`"type": "library"`: `"type": "toaster"`, `"id": "MIT"`: `"id": "TIM"`, `"urn:uuid:`: `"uuid:`} {
		if validate(t, s, bytes.Replace(text, []byte(old), []byte(rubbish), 1)) == nil {
			t.Errorf("the schema finds nothing wrong with %s", rubbish)
		}
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	byPURL, refs := map[string]cyclonedx.Component{}, map[string]bool{"porthole": true}
	for _, c := range *bom.Components {
		byPURL[c.PackageURL] = c
		refs[c.BOMRef] = true
	}
	info, err := buildinfo.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 3 {
		t.Fatalf("the test's program was built from %d modules", len(info.Deps))
	}
	for _, d := range info.Deps {
		c, ok := byPURL["pkg:golang/"+d.Path+"@"+d.Version]
		if !ok || c.Hashes == nil || !slices.Contains(*c.Properties, cyclonedx.Property{Name: "porthole:go-sum", Value: d.Sum}) {
			t.Errorf("%s %s is listed as %+v", d.Path, d.Version, c)
		}
	}
	if c := byPURL["pkg:golang/std@"+strings.TrimPrefix(info.GoVersion, "go")]; c.Name == "" {
		t.Errorf("Go's library is not listed; it is %s", info.GoVersion)
	}
	used := map[string]bool{}
	for _, d := range *bom.Dependencies {
		for _, u := range *d.Dependencies {
			used[u] = true
			if !refs[u] {
				t.Errorf("%s uses %s, which is not listed", d.Ref, u)
			}
		}
	}
	if len(used) != len(refs)-1 {
		t.Errorf("%d of %d parts belong to nothing", len(refs)-1-len(used), len(refs)-1)
	}
	if bom.Metadata.Component.Version != i.Version || bom.Metadata.Timestamp != "2027-01-15T08:00:00Z" {
		t.Errorf("it is about %+v of %s", bom.Metadata.Component, bom.Metadata.Timestamp)
	}
}

// TestDeterministic: the order in which parts were found does not matter, what they are does.
func TestDeterministic(t *testing.T) {
	i := image(t)
	first := encode(t, i)
	slices.Reverse(i.Parts)
	if second := encode(t, i); !bytes.Equal(first, second) {
		t.Error(cmp.Diff(string(first), string(second)))
	}
	i.Parts[0].Version += ".1"
	if number(t, encode(t, i)) == number(t, first) {
		t.Error("another content has the same serial number")
	}
}

func number(t *testing.T, text []byte) string {
	t.Helper()
	var bom struct{ SerialNumber string }
	if err := json.Unmarshal(text, &bom); err != nil || !strings.HasPrefix(bom.SerialNumber, "urn:uuid:") {
		t.Fatalf("serial number %q, %v", bom.SerialNumber, err)
	}
	return bom.SerialNumber
}

// TestRefused: a list that does not hang together is not written.
func TestRefused(t *testing.T) {
	i := image(t)
	i.Parts = append(i.Parts, i.Parts[0])
	if _, err := sbom.Encode(i); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a part that is there twice: %v", err)
	}
	i = image(t)
	i.Parts = append(i.Parts, sbom.Part{Ref: "x", Kind: sbom.Library, Uses: []string{"nothing"}})
	if _, err := sbom.Encode(i); err == nil || !strings.Contains(err.Error(), "not listed") {
		t.Errorf("a part of which nothing is known: %v", err)
	}
	p := sbom.Programs{Own: "porthole"}
	if err := p.Add("/user/test", "sbom_test.go", ""); err == nil {
		t.Error("a text is taken for a program")
	}
	for _, sum := range []string{"", "h1:", "h2:" + strings.Repeat("A", 44), "h1:AAAA"} {
		if _, err := (sbom.Module{Path: "a", Version: "v1.0.0", Sum: sum}).Part(); err == nil {
			t.Errorf("the sum %q is taken", sum)
		}
	}
}

func TestLicences(t *testing.T) {
	i := image(t)
	text, err := sbom.Licences(i.Parts)
	if err != nil {
		t.Fatal(err)
	}
	var list []sbom.Licence
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	// All but the one program.
	if len(list) != len(i.Parts)-1 {
		t.Errorf("%d of %d parts are listed", len(list), len(i.Parts)-1)
	}
	for _, bad := range []sbom.Part{{Ref: "x", Kind: sbom.Library, Name: "x", Licence: "MIT"}, {Ref: "x", Kind: sbom.Library, Name: "x", Files: []string{"x"}}} {
		if _, err := sbom.Licences(append(slices.Clone(i.Parts), bad)); err == nil {
			t.Errorf("%+v is listed", bad)
		}
	}
}

func TestIdentify(t *testing.T) {
	const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions: The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED
TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT
HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR
IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`
	for _, c := range []struct {
		module string
		texts  map[string]string
		want   string
	}{
		{"example.org/a", map[string]string{"go/a/LICENSE": mit}, "MIT"},
		{"example.org/a", map[string]string{"go/a/license.md": mit, "go/a/NOTICE": "ours", "go/a/LICENSE-of-a-part": apache(t)}, "MIT"},
		{"example.org/a", map[string]string{"go/a/COPYING": mit + "\n\n" + apache(t)}, "Apache-2.0 AND MIT"},
		{"example.org/a", map[string]string{"go/a/LICENSE": "do what you like"}, ""},
		{"kernel.org/pub/linux/libs/security/libcap/psx", nil, "BSD-3-Clause OR GPL-2.0-only"},
	} {
		texts := map[string][]byte{}
		for name, text := range c.texts {
			texts[name] = []byte(text)
		}
		if got := sbom.Identify(c.module, texts); got != c.want {
			t.Errorf("%s with %d texts is under %q, want %q", c.module, len(texts), got, c.want)
		}
	}
}

func apache(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
