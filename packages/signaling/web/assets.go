package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"time"
)

//go:embed static
var static embed.FS

// file is a script or style sheet.
type file struct {
	kind, etag string
	body       []byte
}

// assets are the scripts and style sheets: anybody may fetch them.
type assets struct {
	byName map[string]file
	// version names this set of files. Under /livestream/VERSION/ they never change and browsers keep them; scripts import
	// each other by relative names, so that all of a page's are of one version.
	version string
}

// readFiles returns what is not a page in static.
func readFiles() assets {
	entries, err := fs.ReadDir(static, "static")
	if err != nil {
		panic(err) //nolint:forbidigo // a bug: the folder is embedded
	}
	out := assets{byName: map[string]file{}}
	all := sha256.New()
	for _, e := range entries {
		name := e.Name()
		if !slices.Contains([]string{".js", ".css"}, path.Ext(name)) {
			continue
		}
		b, err := fs.ReadFile(static, "static/"+name)
		if err != nil {
			panic(err) //nolint:forbidigo // a bug: the file is embedded
		}
		sum := sha256.Sum256(b)
		all.Write([]byte(name))
		all.Write(sum[:])
		out.byName[name] = file{kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, body: b}
	}
	out.version = hex.EncodeToString(all.Sum(nil)[:8])
	return out
}

// folder is where pages fetch them.
func (a assets) folder() string { return "/livestream/" + a.version }

// imports finds what a script imports.
var imports = regexp.MustCompile(`(?m)^import .* from '\./([a-z]+\.js)';$`)

// preload lists a script and all that it imports, so that a browser fetches them at once instead of one after another.
func (a assets) preload(name string) []string {
	out := []string{name}
	for i := 0; i < len(out); i++ {
		for _, m := range imports.FindAllSubmatch(a.byName[out[i]].body, -1) {
			if next := string(m[1]); !slices.Contains(out, next) {
				out = append(out, next)
			}
		}
	}
	return out
}

func parsePages(a assets) *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"preload": a.preload}).ParseFS(static, "static/*.html"))
}

// serveFile answers under the plain name, which other pages use.
func (s *Server) serveFile(_ door, w http.ResponseWriter, r *http.Request) {
	// An update must not meet yesterday's script.
	s.sendFile(w, r, path.Base(r.URL.Path), "no-cache")
}

// serveVersion answers below /livestream/VERSION/. A page from before an update gets the files there are now.
func (s *Server) serveVersion(_ door, w http.ResponseWriter, r *http.Request) {
	keep := "no-cache"
	if r.PathValue("version") == s.files.version {
		keep = "public, max-age=31536000, immutable"
	}
	s.sendFile(w, r, r.PathValue("file"), keep)
}

func (s *Server) sendFile(w http.ResponseWriter, r *http.Request, name, keep string) {
	f, ok := s.files.byName[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", keep)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
