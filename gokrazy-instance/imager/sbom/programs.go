package sbom

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"strings"
)

// programRef begins the Ref of a program that was built here.
const programRef = "program:"

// Module is a Go module that programs are built from.
type Module struct {
	Path, Version string
	// Sum is the module's hash, as go.sum has it.
	Sum string
}

// String writes it as the go command does.
func (m Module) String() string { return m.Path + "@" + m.Version }

// Ref names the module among an image's parts.
func (m Module) Ref() string { return "go:" + m.String() }

// Programs are Go programs and what they are built from.
type Programs struct {
	// Own is the path of Porthole's main module, Version what its programs say of themselves, Licence theirs.
	Own, Version, Licence string
	// Parts are the programs themselves and the Go standard library; Modules are not among them.
	Parts []Part
	// Modules are all of them, in no order.
	Modules map[Module]bool
}

// std names Go's standard library among an image's parts.
const std = "go:std"

// Add reads the build information of the program that is at host here and at name in the image. Its main module is a part
// unless it is Porthole's.
func (p *Programs) Add(name, host, sum string) error {
	f, err := os.Open(host)
	if err != nil {
		return fmt.Errorf("open program: %w", err)
	}
	defer f.Close()
	info, err := buildinfo.Read(f)
	if err != nil {
		return fmt.Errorf("read what %s was built from: %w", name, err)
	}
	if p.Modules == nil {
		p.Modules = map[Module]bool{}
	}
	uses := []string{std}
	modules, version, licence := info.Deps, p.Version, p.Licence
	if info.Main.Path != p.Own {
		modules, version, licence = append([]*debug.Module{&info.Main}, modules...), info.Main.Version, ""
	}
	for _, m := range modules {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version == "" || m.Sum == "" {
			return fmt.Errorf("%s is built from %s %s, which is no published module", name, m.Path, m.Version)
		}
		module := Module{Path: m.Path, Version: m.Version, Sum: m.Sum}
		p.Modules[module] = true
		uses = append(uses, module.Ref())
	}
	p.Parts = append(p.Parts, Part{
		Ref: programRef + name, Kind: Application, Name: path.Base(name), Version: version,
		Description: "program " + name + ", built from " + info.Path, SHA256: sum, Licence: licence, Uses: uses,
		Properties: map[string]string{"porthole:go-version": info.GoVersion},
	})
	return p.addStd(info.GoVersion)
}

func (p *Programs) addStd(version string) error {
	number := strings.TrimPrefix(version, "go")
	for _, have := range p.Parts {
		if have.Ref != std {
			continue
		}
		if have.Version != number {
			return fmt.Errorf("programs are built with Go %s and with %s", have.Version, number)
		}
		return nil
	}
	p.Parts = append(p.Parts, Part{
		Ref: std, Kind: Library, Name: "Go's standard library", Version: number, PURL: "pkg:golang/std@" + escape(number),
		CPE:    "cpe:2.3:a:golang:go:" + number + ":*:*:*:*:*:*:*",
		Source: "https://go.dev/dl/go" + number + ".src.tar.gz",
	})
	return nil
}

// Part describes the module.
func (m Module) Part() (Part, error) {
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || len(sum) != 32 {
		return Part{}, fmt.Errorf("module %s has the sum %q, which is none that this knows", m, m.Sum)
	}
	return Part{
		Ref: m.Ref(), Kind: Library, Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + escape(m.Version),
		// What go.sum has is the SHA-256 of a list of the module's files and their SHA-256 (golang.org/x/mod/sumdb/dirhash).
		SHA256: hex.EncodeToString(sum), Source: "https://pkg.go.dev/" + m.String(),
		Properties: map[string]string{"porthole:go-sum": m.Sum},
	}, nil
}
