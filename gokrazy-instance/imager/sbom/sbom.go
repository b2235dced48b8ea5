// Package sbom lists what an image is made of: as a CycloneDX bill of materials for machines, as a list of licences for
// people.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// Kind is what a part is, in CycloneDX's words.
type Kind = cyclonedx.ComponentType

// Kinds of parts.
const (
	Application Kind = cyclonedx.ComponentTypeApplication
	Library     Kind = cyclonedx.ComponentTypeLibrary
	OS          Kind = cyclonedx.ComponentTypeOS
	Firmware    Kind = cyclonedx.ComponentTypeFirmware
	Data        Kind = cyclonedx.ComponentTypeData
)

// Part is something that an image is made of.
type Part struct {
	// Ref names it within the image.
	Ref           string
	Kind          Kind
	Name, Version string
	Description   string
	// PURL is its package URL (https://github.com/package-url/purl-spec), CPE its name in the National Vulnerability
	// Database; empty where there is none.
	PURL, CPE string
	// SHA256 of the file or module, in hexadecimal; empty if it has none.
	SHA256 string
	// Source is where its source is.
	Source string
	// Licence is an SPDX expression, or, if Named, the name of a licence that SPDX does not know.
	Licence string
	Named   bool
	// Files are the licence's texts, below the image's folder of licences.
	Files []string
	// Uses are the Refs of what is linked in or comes with it.
	Uses []string
	// Properties are further facts.
	Properties map[string]string
}

// Image is what the list is about.
type Image struct {
	Board, Version string
	// Time is that of the build.
	Time time.Time
	// SupportedUntil is the day on which security updates may end.
	SupportedUntil string
	Parts          []Part
}

// supplier is who makes Porthole.
const supplier = "The Porthole project"

// ref is Porthole's own.
const ref = "porthole"

// Encode writes the bill of materials: CycloneDX 1.6 as JSON. The same parts give the same bytes, in whatever order.
func Encode(image Image) ([]byte, error) {
	parts := sorted(image.Parts)
	if err := checkRefs(parts); err != nil {
		return nil, err
	}
	components := make([]cyclonedx.Component, 0, len(parts))
	all := make([]string, 0, len(parts))
	dependencies := []cyclonedx.Dependency{{Ref: ref, Dependencies: &all}}
	for _, p := range parts {
		components = append(components, p.component())
		all = append(all, p.Ref)
		if len(p.Uses) > 0 {
			uses := slices.Compact(slices.Sorted(slices.Values(p.Uses)))
			dependencies = append(dependencies, cyclonedx.Dependency{Ref: p.Ref, Dependencies: &uses})
		}
	}
	bom := cyclonedx.NewBOM()
	bom.Components, bom.Dependencies = &components, &dependencies
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp:  image.Time.UTC().Format(time.RFC3339),
		Lifecycles: &[]cyclonedx.Lifecycle{{Phase: cyclonedx.LifecyclePhaseBuild}},
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{
			{Type: cyclonedx.ComponentTypeApplication, Name: "imager", Version: image.Version, Supplier: &cyclonedx.OrganizationalEntity{Name: supplier}},
		}},
		Supplier: &cyclonedx.OrganizationalEntity{Name: supplier},
		Component: &cyclonedx.Component{
			BOMRef: ref, Type: cyclonedx.ComponentTypeFirmware, Name: "Porthole", Version: image.Version,
			PackageURL: fmt.Sprintf("pkg:generic/porthole@%s?board=%s", escape(image.Version), image.Board),
			Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
			Supplier:   &cyclonedx.OrganizationalEntity{Name: supplier},
			Properties: &[]cyclonedx.Property{{Name: "porthole:board", Value: image.Board}, {Name: "porthole:supported-until", Value: image.SupportedUntil}},
		},
	}
	// The number must be another for another content, and the same for the same.
	text, err := encode(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = serial(text)
	return encode(bom)
}

func sorted(parts []Part) []Part {
	return slices.SortedFunc(slices.Values(parts), func(a, b Part) int { return strings.Compare(a.Ref, b.Ref) })
}

// checkRefs finds parts with one name, and uses of parts that there are not.
func checkRefs(parts []Part) error {
	known := map[string]bool{ref: true}
	for _, p := range parts {
		if known[p.Ref] {
			return fmt.Errorf("list parts: %s is there twice", p.Ref)
		}
		known[p.Ref] = true
	}
	for _, p := range parts {
		for _, u := range p.Uses {
			if !known[u] {
				return fmt.Errorf("list parts: %s uses %s, which is not listed", p.Ref, u)
			}
		}
	}
	return nil
}

func (p Part) component() cyclonedx.Component {
	c := cyclonedx.Component{
		BOMRef: p.Ref, Type: p.Kind, Name: p.Name, Version: p.Version, Description: p.Description, PackageURL: p.PURL, CPE: p.CPE,
	}
	switch {
	case p.Licence == "":
	case p.Named:
		c.Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{Name: p.Licence}}}
	case strings.Contains(p.Licence, " "):
		c.Licenses = &cyclonedx.Licenses{{Expression: p.Licence}}
	default:
		c.Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{ID: p.Licence}}}
	}
	if p.SHA256 != "" {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: p.SHA256}}
	}
	if p.Source != "" {
		c.ExternalReferences = &[]cyclonedx.ExternalReference{{Type: cyclonedx.ERTypeSourceDistribution, URL: p.Source}}
	}
	var properties []cyclonedx.Property
	for _, f := range p.Files {
		properties = append(properties, cyclonedx.Property{Name: "porthole:licence-text", Value: "/usr/share/licenses/" + f})
	}
	for name, value := range p.Properties {
		properties = append(properties, cyclonedx.Property{Name: name, Value: value})
	}
	if len(properties) > 0 {
		slices.SortFunc(properties, func(a, b cyclonedx.Property) int {
			return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value)
		})
		c.Properties = &properties
	}
	return c
}

func encode(bom *cyclonedx.BOM) ([]byte, error) {
	var out bytes.Buffer
	e := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := e.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("encode list of parts: %w", err)
	}
	return out.Bytes(), nil
}

// serial makes a UUID of a text (RFC 9562 section 5.5 has the same shape, with another hash).
func serial(text []byte) string {
	sum := sha256.Sum256(text)
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Licence is an element of the list for people.
type Licence struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Licence is an SPDX expression or a licence's name.
	Licence string `json:"licence"`
	// Files are its texts, below /usr/share/licenses.
	Files []string `json:"files"`
}

// Licences writes the list for people: what others have made, with its licence. A part without a text or without a licence is
// an error.
func Licences(parts []Part) ([]byte, error) {
	var list []Licence
	for _, p := range sorted(parts) {
		if p.Kind == Application && strings.HasPrefix(p.Ref, programRef) {
			continue // built from what is listed
		}
		if p.Licence == "" || len(p.Files) == 0 {
			return nil, fmt.Errorf("list licences: %s %s has licence %q and texts %q; both are needed: look where it keeps its licence", p.Name, p.Version, p.Licence, p.Files)
		}
		list = append(list, Licence{Name: p.Name, Version: p.Version, Licence: p.Licence, Files: p.Files})
	}
	slices.SortStableFunc(list, func(a, b Licence) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	out, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return nil, fmt.Errorf("list licences: %w", err)
	}
	return append(out, '\n'), nil
}

// escape writes a version as a package URL has it.
func escape(version string) string {
	return strings.NewReplacer("%", "%25", "+", "%2B", ":", "%3A", "~", "~", " ", "%20", "?", "%3F", "#", "%23", "@", "%40").Replace(version)
}
