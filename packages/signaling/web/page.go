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
	"net/url"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// file is a script or style sheet.
type file struct {
	kind, etag string
	body       []byte
}

// readFiles returns what may be fetched by anybody, by name.
func readFiles() map[string]file {
	out := map[string]file{}
	for _, name := range []string{"viewer.js", "session.js", "page.js", "viewer.css"} {
		b, err := fs.ReadFile(static, "static/"+name)
		if err != nil {
			panic(err) //nolint:forbidigo // a bug: the file is embedded
		}
		sum := sha256.Sum256(b)
		out[name] = file{kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, body: b}
	}
	return out
}

func parsePages() *template.Template {
	return template.Must(template.ParseFS(static, "static/*.html"))
}

func (s *Server) serveFile(_ door, w http.ResponseWriter, r *http.Request) {
	f := s.files[path.Base(r.URL.Path)]
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	// An update must not meet yesterday's script.
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// pageData is what the viewer page is made of.
type pageData struct {
	Camera, Name, Stream string
	// Port is the signaling port, 0 when there is none; Forced means that nothing else is to be tried.
	Port   int
	Forced bool
}

// problem is a page that says why there is no picture.
type problem struct {
	Title, Text string
	// Retry reloads the page after that many seconds; 0: it does not.
	Retry int
}

// servePage shows the viewer page, /livestream/viewer?camera=ID.
func (s *Server) servePage(d door, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	camera := q.Get("camera")
	who, err := s.identify(d, r)
	switch {
	case err != nil && !denied(err):
		s.cfg.Log.Warn("cannot tell who opens a live view", "err", err)
		s.problem(d, w, r, http.StatusServiceUnavailable, problem{"The console does not answer", "It is probably starting again. This page tries again by itself.", 3})
		return
	case err != nil || who.User == "":
		s.login(d, w, r)
		return
	}
	ref, exists, settled := s.camera(camera)
	port := int(s.port.Load())
	switch {
	case camera == "":
		s.problem(d, w, r, http.StatusBadRequest, problem{"Which camera?", "The address names no camera. Choose one from the list.", 0})
	case !settled:
		s.problem(d, w, r, http.StatusServiceUnavailable, problem{"Starting", "The device is starting. This page tries again by itself.", 2})
	case !who.MaySee(camera):
		s.problem(d, w, r, http.StatusForbidden, problem{"Not allowed", "Your account may not watch this camera. Ask the administrator of this device.", 0})
	case !exists:
		s.problem(d, w, r, http.StatusNotFound, problem{"No such camera", "There is no camera “" + camera + "” here. It may have been renamed or removed.", 0})
	default:
		// Links say signaling=8765, whatever number the port has here.
		forced := q.Has("signaling") && port != 0
		s.render(d, w, r, http.StatusOK, "viewer.html", pageData{camera, ref.Name, q.Get("stream"), port, forced})
	}
}

// login sends people to the login page, and tells programs.
func (s *Server) login(d door, w http.ResponseWriter, r *http.Request) {
	switch {
	case !wantsHTML(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="Porthole"`)
		refuse(w, http.StatusUnauthorized, "you are not logged in")
	case d.proxied:
		http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		// The console is on another port, which nobody here knows.
		s.problem(d, w, r, http.StatusUnauthorized, problem{"Not logged in", "Log in on the device's usual web page first, then open this page again.", 0})
	}
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func (s *Server) problem(d door, w http.ResponseWriter, r *http.Request, status int, p problem) {
	if !wantsHTML(r) {
		refuse(w, status, p.Title+": "+p.Text)
		return
	}
	s.render(d, w, r, status, "problem.html", p)
}

func (s *Server) render(d door, w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		s.cfg.Log.Error("make page", "page", name, "err", err)
		refuse(w, http.StatusInternalServerError, "this page is broken; please report it")
		return
	}
	// wss: is for the signaling port; Safari also needs it for the page's own.
	connect := "connect-src 'self' wss:"
	if !d.https(r) {
		connect += " ws:"
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "+
		"media-src 'self' blob: mediastream:; "+connect+"; base-uri 'none'; form-action 'self'; frame-ancestors 'self'")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}
