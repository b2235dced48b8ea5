package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"porthole/packages/internal/identity"
)

func (c *console) licenceRoutes() []route {
	return []route{
		{"GET /licences", user, c.licencesPage},
		{"GET /licences/text/{file...}", user, c.licenceText},
		{"GET /licences/sbom.cdx.json", user, c.sbom},
	}
}

// licenceFolders are those that the image has in share: lists, and texts.
func licenceFolders(share string) []string {
	return []string{filepath.Join(share, "porthole"), filepath.Join(share, "licenses")}
}

const (
	// maxLicenceList, maxLicence and maxSBOM bound what is read, in bytes.
	maxLicenceList = 4 << 20
	maxLicence     = 4 << 20
	maxSBOM        = 32 << 20
)

// component is a part of the image that others have written: an element of licences.json.
type component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Licence string `json:"licence"`
	// Files are the texts, below /usr/share/licenses.
	Files []string `json:"files"`
}

// licencesView is the page of licences.
type licencesView struct {
	// Missing says why there is no list.
	Missing string
	SBOM    bool
	Parts   []componentRow
}

type componentRow struct {
	Name, Version, Licence string
	Texts                  []licenceLink
}

type licenceLink struct{ Path, Name string }

func (c *console) licencesPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	var v licencesView
	list, err := c.components()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.Missing = "The list comes with the image that is written to a card; this machine runs Porthole without it."
	case err != nil:
		c.failed(w, r, err)
		return
	}
	for _, p := range list {
		row := componentRow{Name: printable(p.Name), Version: printable(p.Version), Licence: printable(p.Licence)}
		for _, f := range p.Files {
			if name, ok := licenceFile(f); ok {
				row.Texts = append(row.Texts, licenceLink{(&url.URL{Path: "/licences/text/" + name}).EscapedPath(), path.Base(name)})
			}
		}
		v.Parts = append(v.Parts, row)
	}
	if _, err := os.Stat(c.sbomFile()); err == nil {
		v.SBOM = true
	}
	c.render(w, r, http.StatusOK, "licences", page{Title: "Licences", User: id, Body: v})
}

// components reads what the image is made of.
func (c *console) components() ([]component, error) {
	f, err := os.Open(filepath.Join(c.share, "porthole", "licences.json"))
	if err != nil {
		return nil, fmt.Errorf("read list of licences: %w", err)
	}
	defer f.Close()
	return readComponents(f)
}

// readComponents reads licences.json.
func readComponents(r io.Reader) ([]component, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxLicenceList+1))
	if err != nil {
		return nil, fmt.Errorf("read list of licences: %w", err)
	}
	if len(b) > maxLicenceList {
		return nil, fmt.Errorf("read list of licences: it has more than %d bytes", maxLicenceList)
	}
	var list []component
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read list of licences: %w", err)
	}
	return list, nil
}

// licenceFile returns the name of a text below the folder of licences, as the list has it: with that folder or without.
func licenceFile(listed string) (string, bool) {
	name := strings.TrimPrefix(strings.TrimPrefix(listed, "/usr/share/"), "licenses/")
	return name, name != "" && name != "." && filepath.IsLocal(name) && path.Clean(name) == name
}

// licenceText shows a text.
func (c *console) licenceText(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	name, ok := licenceFile(r.PathValue("file"))
	if !ok {
		c.notFound(w, r)
		return
	}
	root, err := os.OpenRoot(filepath.Join(c.share, "licenses"))
	if err != nil {
		c.notFound(w, r)
		return
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		c.notFound(w, r)
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		c.notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.Copy(w, io.LimitReader(f, maxLicence)) //nolint:errcheck // the reader has gone
}

func (c *console) sbomFile() string { return filepath.Join(c.share, "porthole", "sbom.cdx.json") }

// sbom is the list of everything in the image for programs, in CycloneDX.
func (c *console) sbom(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	f, err := os.Open(c.sbomFile())
	if err != nil {
		c.sorry(w, r, http.StatusNotFound, "Not here", "The list of parts comes with the image that is written to a card; this machine runs Porthole without it.")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/vnd.cyclonedx+json")
	w.Header().Set("Content-Disposition", `attachment; filename="porthole-sbom.cdx.json"`)
	io.Copy(w, io.LimitReader(f, maxSBOM)) //nolint:errcheck // the reader has gone
}
