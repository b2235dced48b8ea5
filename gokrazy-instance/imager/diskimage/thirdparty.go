package diskimage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"porthole/gokrazy-instance/imager/sbom"
)

// dataParts lists what is in the programs or beside them and no program: fonts and certificate authorities.
func (b *Builder) dataParts(ctx context.Context, t tree) ([]sbom.Part, error) {
	fonts, err := b.moduleData(ctx, "golang.org/x/image")
	if err != nil {
		return nil, err
	}
	fonts.Ref, fonts.Name, fonts.Description = "go-fonts", "Go fonts", "the fonts on the screen, by Bigelow & Holmes"
	// Their licence is that of BSD with the designers' names in it.
	fonts.Licence = "BSD-3-Clause"
	if err := withLicence(t, &fonts, "go-fonts", filepath.Join(b.Repo, "media", "samples", "fonts")); err != nil {
		return nil, err
	}
	const roots = "golang.org/x/crypto/x509roots/fallback"
	authorities, err := b.moduleData(ctx, roots)
	if err != nil {
		return nil, err
	}
	authorities.Ref, authorities.Name = "certificate-authorities", "Mozilla's certificate authorities"
	authorities.Description = "in /etc/ssl/ca-bundle.pem and in the programs"
	dir, err := b.moduleDir(ctx, roots)
	if err != nil {
		return nil, err
	}
	return []sbom.Part{fonts, authorities}, withLicence(t, &authorities, path.Join("go", roots+"@"+authorities.Version), dir)
}

// moduleData describes data that come in one of the checkout's modules.
func (b *Builder) moduleData(ctx context.Context, mod string) (sbom.Part, error) {
	out, err := tool{name: "go", args: []string{"list", "-m", "-f", "{{.Version}}", mod}, dir: b.Repo}.run(ctx)
	version := strings.TrimSpace(string(out))
	return sbom.Part{Kind: sbom.Data, Version: version, PURL: "pkg:golang/" + mod + "@" + version, Source: "https://pkg.go.dev/" + mod + "@" + version}, err
}

func (b *Builder) moduleDir(ctx context.Context, mod string) (string, error) {
	out, err := tool{name: "go", args: []string{"list", "-m", "-f", "{{.Dir}}", mod}, dir: b.Repo}.run(ctx)
	return strings.TrimSpace(string(out)), err
}

// debPURL is the package URL of a Debian package.
func debPURL(name, version, arch string) string {
	return fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=debian-12", name, strings.NewReplacer(":", "%3A", "+", "%2B").Replace(version), arch)
}

// fsckPart lists Debian's e2fsck.
func (b *Builder) fsckPart(_ context.Context, t tree) ([]sbom.Part, error) {
	n, ok := t["sbin/e2fsck"]
	if !ok {
		return nil, errors.New("the image has no e2fsck")
	}
	_, sum, err := measure(n.host)
	if err != nil {
		return nil, err
	}
	upstream, _, _ := strings.Cut(fsckVersion, "-")
	return []sbom.Part{{
		Ref: "e2fsck", Kind: sbom.Application, Name: fsckPackage, Version: fsckVersion, PURL: debPURL(fsckPackage, fsckVersion, b.Board.Arch),
		Description: "file-system check, linked with Debian 12's C library and libblkid; the package does not say which versions",
		CPE:         "cpe:2.3:a:e2fsprogs_project:e2fsprogs:" + upstream + ":*:*:*:*:*:*:*", SHA256: sum,
		Source:  "https://deb.debian.org/debian/pool/main/e/e2fsprogs/",
		Licence: "GPL-2.0-only AND LGPL-2.0-only AND BSD-3-Clause AND MIT", Files: []string{"e2fsck/copyright"},
	}}, nil
}

const (
	decoderProgram  = "usr/local/bin/ffmpeg-porthole"
	decoderLicences = licenceDir + "/decoder"
)

// decoderPackage is what is known of a package the decoder is built from.
type decoderPackage struct{ cpe, licence, texts string }

// decoderPackages are those, by the name of Debian's package. One that is not here is an error: somebody has to look at its
// licence.
var decoderPackages = map[string]decoderPackage{
	"ffmpeg":    {"cpe:2.3:a:ffmpeg:ffmpeg:", "LGPL-2.1-or-later", "ffmpeg-"},
	"libvpx":    {"cpe:2.3:a:webmproject:libvpx:", "BSD-3-Clause", "libvpx-"},
	"opus":      {"cpe:2.3:a:opus-codec:opus:", "BSD-3-Clause", "opus-"},
	"libc6-dev": {"cpe:2.3:a:gnu:glibc:", "LGPL-2.1-or-later", "glibc-"},
}

// decoderLine matches a package in the decoder's SOURCE-OFFER.txt, decoderCompiler the compiler, whose run-time library is
// linked in.
var (
	decoderLine     = regexp.MustCompile(`(?m)^(source|binary \(source package: glibc\)) ([a-z0-9.+-]+)(?::([a-z0-9]+))? (\S+)$`)
	decoderCompiler = regexp.MustCompile(`(?m)^Compiler: \S+ \(Debian (\S+)\) (\S+)$`)
	decoderArch     = regexp.MustCompile(`(?m)^Architecture: (\S+)$`)
)

// decoderParts lists the decoder, if an overlay has brought it, and what it is built from.
func decoderParts(_ context.Context, t tree) ([]sbom.Part, error) {
	program, ok := t[decoderProgram]
	if !ok {
		return nil, nil
	}
	offer := path.Join(decoderLicences, "SOURCE-OFFER.txt")
	text, err := t[offer].read()
	if err != nil {
		return nil, fmt.Errorf("read what the decoder is built from: %w", err)
	}
	_, sum, err := measure(program.host)
	if err != nil {
		return nil, err
	}
	arch, compiler := decoderArch.FindSubmatch(text), decoderCompiler.FindSubmatch(text)
	if arch == nil || compiler == nil {
		return nil, errors.New("the decoder's SOURCE-OFFER.txt does not name architecture and compiler: its format has changed")
	}
	offerFile := strings.TrimPrefix(offer, licenceDir+"/")
	decoder := sbom.Part{
		Ref: "decoder", Kind: sbom.Application, Name: "ffmpeg-porthole", SHA256: sum, Licence: "LGPL-2.1-or-later",
		Description: "the decoder /" + decoderProgram + ", one static program of what follows; the recipe is overlays/decoder",
		Files:       []string{offerFile},
	}
	parts := []sbom.Part{{
		Ref: "deb:libgcc", Kind: sbom.Library, Name: "libgcc", Version: string(compiler[1]), PURL: debPURL("gcc-12", string(compiler[1]), "source"),
		Source: "https://snapshot.debian.org/package/gcc-12/", Licence: "GPL-3.0-or-later WITH GCC-exception-3.1", Files: []string{offerFile},
	}}
	for _, m := range decoderLine.FindAllSubmatch(text, -1) {
		name, of, version := string(m[2]), string(m[3]), string(m[4])
		if of != "" && of != string(arch[1]) {
			continue
		}
		p, err := decoderPart(t, name, of, version)
		if err != nil {
			return nil, err
		}
		if name == "ffmpeg" {
			decoder.Version = version
		}
		parts = append(parts, p)
	}
	if decoder.Version == "" {
		return nil, errors.New("the decoder's SOURCE-OFFER.txt names no ffmpeg: its format has changed")
	}
	for _, p := range parts {
		decoder.Uses = append(decoder.Uses, p.Ref)
	}
	return append(parts, decoder), nil
}

func decoderPart(t tree, name, arch, version string) (sbom.Part, error) {
	about, ok := decoderPackages[name]
	if !ok {
		return sbom.Part{}, fmt.Errorf("the decoder is built from Debian's %s, which decoderPackages does not know the licence of", name)
	}
	source := name
	if arch == "" {
		arch = "source"
	} else {
		source = "glibc"
	}
	upstream := version[strings.Index(version, ":")+1:]
	upstream, _, _ = strings.Cut(upstream, "-")
	var files []string
	for _, f := range t.paths() {
		if path.Dir(f) == decoderLicences+"/LICENSES" && strings.HasPrefix(path.Base(f), about.texts) {
			files = append(files, strings.TrimPrefix(f, licenceDir+"/"))
		}
	}
	slices.Sort(files)
	return sbom.Part{
		Ref: "deb:" + name, Kind: sbom.Library, Name: name, Version: version, PURL: debPURL(name, version, arch),
		CPE: about.cpe + upstream + ":*:*:*:*:*:*:*", Source: "https://snapshot.debian.org/package/" + source + "/" + version + "/",
		Licence: about.licence, Files: files,
	}, nil
}
