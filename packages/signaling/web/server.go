// Package web is what signaling speaks with browsers: the WebSocket protocol of the camera platform, WHEP, and the
// viewer page.
package web

import (
	"context"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/signaling/live"
)

// Config is what a Server needs.
type Config struct {
	Log  *slog.Logger
	Live *live.Server
	// Ask says who is behind credentials, as identity.Asker.Ask does.
	Ask func(context.Context, identity.Credentials) (identity.Identity, error)
	// SignalingPort is the port pages try when /ws on their own port fails; 0 means none.
	SignalingPort int
}

// Server answers requests from browsers.
type Server struct {
	cfg   Config
	pages *template.Template
	files map[string]file
	// cameras maps ids to names; nil before the first settings.
	cameras atomic.Pointer[map[string]string]
	wg      sync.WaitGroup
	sockets atomic.Int64

	mu       sync.Mutex // guards sessions
	sessions map[string]*whepSession
}

// New returns a Server that knows no cameras yet.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, pages: parsePages(), files: readFiles(), sessions: map[string]*whepSession{}}
}

// SetCameras replaces the names of cameras. live.Server must know the same ones.
func (s *Server) SetCameras(cameras []settings.CameraRef) {
	names := make(map[string]string, len(cameras))
	for _, c := range cameras {
		names[c.ID] = c.Name
	}
	s.cameras.Store(&names)
}

// Wait returns when no WebSocket and no WHEP session is left. They end with the context of their requests and with
// live.Server.
func (s *Server) Wait() { s.wg.Wait() }

// camera returns a camera's name. known is false while there are no settings yet.
func (s *Server) camera(id string) (name string, exists, known bool) {
	m := s.cameras.Load()
	if m == nil {
		return "", false, false
	}
	name, exists = (*m)[id]
	return name, exists, true
}

// Proxied answers requests that proxy forwards: each carries the identity proxy asked console for. Serve it only where
// nobody but proxy can connect.
func (s *Server) Proxied() http.Handler {
	mux := s.routes(door{proxied: true})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { s.serveSocket(door{proxied: true}, w, r) })
	return mux
}

// Direct answers requests on signaling's own port, where every path upgrades to a WebSocket.
func (s *Server) Direct() http.Handler {
	mux := s.routes(door{})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("This is Porthole's port for live view (secure WebSocket). Open the web page on the usual HTTPS port instead.\n"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A client cannot say who it is: only proxy may, on its own socket.
		r.Header.Del(identity.Header)
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			s.serveSocket(door{}, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) routes(d door) *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(door, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			h(d, w, r)
		})
	}
	handle("GET /livestream/viewer", s.servePage)
	for name := range s.files {
		handle("GET /livestream/"+name, s.serveFile)
	}
	handle("POST /cameras/{id}/whep", s.whepStart)
	handle("GET /cameras/{id}/whep", s.whepNothing)
	handle("OPTIONS /cameras/{id}/whep", s.whepOptions)
	handle("PATCH /cameras/{id}/whep/{session}", s.whepTrickle)
	handle("DELETE /cameras/{id}/whep/{session}", s.whepStop)
	handle("GET /cameras/{id}/whep/{session}", s.whepNothing)
	handle("OPTIONS /cameras/{id}/whep/{session}", s.whepOptions)
	return mux
}

// refuse answers with JSON that says why.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that has gone does not read it.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}
