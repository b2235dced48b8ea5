package web

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// pageData is what the viewer page and the wall are made of.
type pageData struct {
	// Assets is the folder of the scripts and style sheets.
	Assets string
	// Port is the signaling port, 0 when there is none; Forced means that nothing else is to be tried.
	Port   int
	Forced bool
	// ICE means that browsers are to ask for ICE servers first.
	ICE bool
	// Cameras are all that the person may see.
	Cameras []cameraLink
	// Camera and Stream are what the viewer page shows first.
	Camera cameraLink
	Stream string
}

// cameraLink is a camera as pages name it.
type cameraLink struct {
	ID, Name string
	// Streams is at least 1.
	Streams int
}

func links(cameras []settings.CameraRef) []cameraLink {
	out := make([]cameraLink, 0, len(cameras))
	for _, c := range cameras {
		out = append(out, cameraLink{c.ID, c.Name, len(Streams(c))})
	}
	return out
}

// problem is a page that says why there is no picture.
type problem struct {
	Title, Text string
	// Assets is the folder of the style sheets; problem() sets it.
	Assets string
	// Retry reloads the page after that many seconds; 0: it does not.
	Retry int
}

// servePage shows the viewer page, /livestream/viewer?camera=ID.
func (s *Server) servePage(d door, w http.ResponseWriter, r *http.Request) {
	who, ok := s.visitor(d, w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	camera := q.Get("camera")
	ref, exists, settled := s.camera(camera)
	switch {
	case camera == "":
		s.problem(d, w, r, http.StatusBadRequest, problem{Title: "Which camera?", Text: "The address names no camera. Choose one from the list."})
	case !settled:
		s.starting(d, w, r)
	case !who.MaySee(camera):
		s.problem(d, w, r, http.StatusForbidden, problem{Title: "Not allowed", Text: "Your account may not watch this camera. Ask the administrator of this device."})
	case !exists:
		s.problem(d, w, r, http.StatusNotFound, problem{Title: "No such camera", Text: "There is no camera “" + camera + "” here. It may have been renamed or removed."})
	default:
		data := s.pageData(who)
		// Links say signaling=8765, whatever number the port has here.
		data.Forced = q.Has("signaling") && data.Port != 0
		data.Camera, data.Stream = links([]settings.CameraRef{ref})[0], q.Get("stream")
		s.render(d, w, r, http.StatusOK, "viewer.html", data)
	}
}

// serveWall shows all cameras that the person may see, /live.
func (s *Server) serveWall(d door, w http.ResponseWriter, r *http.Request) {
	who, ok := s.visitor(d, w, r)
	if !ok {
		return
	}
	if _, settled := s.camerasOf(who); !settled {
		s.starting(d, w, r)
		return
	}
	s.render(d, w, r, http.StatusOK, "wall.html", s.pageData(who))
}

func (s *Server) pageData(who identity.Identity) pageData {
	cameras, _ := s.camerasOf(who)
	return pageData{Assets: s.files.folder(), Port: int(s.port.Load()), ICE: s.needsICE(), Cameras: links(cameras)}
}

// visitor says who opens a page; false: the request was answered.
func (s *Server) visitor(d door, w http.ResponseWriter, r *http.Request) (identity.Identity, bool) {
	who, err := s.identify(d, r)
	switch {
	case err != nil && !denied(err):
		s.cfg.Log.Warn("cannot tell who opens a live view", "err", err)
		s.problem(d, w, r, http.StatusServiceUnavailable, problem{
			Title: "The console does not answer", Text: "It is probably starting again. This page tries again by itself.", Retry: 3,
		})
		return identity.Identity{}, false
	case err != nil || who.User == "":
		s.login(d, w, r)
		return identity.Identity{}, false
	}
	return who, true
}

func (s *Server) starting(d door, w http.ResponseWriter, r *http.Request) {
	s.problem(d, w, r, http.StatusServiceUnavailable, problem{Title: "Starting", Text: "The device is starting. This page tries again by itself.", Retry: 2})
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
		s.problem(d, w, r, http.StatusUnauthorized, problem{Title: "Not logged in", Text: "Log in on the device's usual web page first, then open this page again."})
	}
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func (s *Server) problem(d door, w http.ResponseWriter, r *http.Request, status int, p problem) {
	if !wantsHTML(r) {
		refuse(w, status, p.Title+": "+p.Text)
		return
	}
	p.Assets = s.files.folder()
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
