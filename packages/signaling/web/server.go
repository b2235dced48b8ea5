// Package web is what signaling speaks with browsers: the WebSocket protocol of the camera platform, WHEP, the wall of
// cameras and the viewer page.
package web

import (
	"context"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/snapshot"
)

// Config is what a Server needs.
type Config struct {
	Log  *slog.Logger
	Live *live.Server
	// Ask says who is behind credentials, as identity.Asker.Ask does.
	Ask func(context.Context, identity.Credentials) (identity.Identity, error)
	// Take makes a snapshot, as snapshot.Taker.Take does.
	Take func(ctx context.Context, stream string, width int) (snapshot.Picture, error)
}

// Server answers requests from browsers.
type Server struct {
	cfg   Config
	pages *template.Template
	files assets
	// cameras is nil before the first settings.
	cameras atomic.Pointer[cameraList]
	// port is what pages try when /ws on their own port fails; 0: there is none.
	port atomic.Int64
	// ice names the STUN and TURN servers for browsers; nil before the first settings.
	ice     atomic.Pointer[settings.Live]
	wg      sync.WaitGroup
	sockets atomic.Int64

	mu       sync.Mutex // guards sessions
	sessions map[string]*whepSession
}

// cameraList is the cameras in the order of the settings, and by id.
type cameraList struct {
	all  []settings.CameraRef
	byID map[string]settings.CameraRef
}

// New returns a Server that knows no cameras yet.
func New(cfg Config) *Server {
	files := readFiles()
	return &Server{cfg: cfg, pages: parsePages(files), files: files, sessions: map[string]*whepSession{}}
}

// SetCameras replaces the cameras. live.Server must know their streams.
func (s *Server) SetCameras(cameras []settings.CameraRef) {
	list := cameraList{all: slices.Clone(cameras), byID: make(map[string]settings.CameraRef, len(cameras))}
	for _, c := range cameras {
		list.byID[c.ID] = c
	}
	s.cameras.Store(&list)
}

// SetSignalingPort says which port pages try when /ws on their own port fails; 0 means none.
func (s *Server) SetSignalingPort(port int) { s.port.Store(int64(port)) }

// Wait returns when no WebSocket and no WHEP session is left. They end with the context of their requests and with
// live.Server.
func (s *Server) Wait() { s.wg.Wait() }

// camera returns a camera. known is false while there are no settings yet.
func (s *Server) camera(id string) (c settings.CameraRef, exists, known bool) {
	list := s.cameras.Load()
	if list == nil {
		return settings.CameraRef{}, false, false
	}
	c, exists = list.byID[id]
	return c, exists, true
}

// camerasOf returns the cameras that somebody may see, in the order of the settings. known is false while there are no
// settings yet.
func (s *Server) camerasOf(who identity.Identity) (cameras []settings.CameraRef, known bool) {
	list := s.cameras.Load()
	if list == nil {
		return nil, false
	}
	for _, c := range list.all {
		if who.MaySee(c.ID) {
			cameras = append(cameras, c)
		}
	}
	return cameras, true
}

// Streams lists the streams of a camera by their names on rtsp.sock.
func Streams(c settings.CameraRef) []string {
	out := []string{c.ID}
	for n := 2; n <= min(c.Streams, settings.MaxStreams); n++ {
		out = append(out, c.ID+"/"+strconv.Itoa(n))
	}
	return out
}

// stream finds the stream of a camera that a client asks for: by number, and the first one by any other name, as clients
// of the camera platform have names of their own. false: the camera has no stream of that number.
func stream(c settings.CameraRef, asked string) (string, bool) {
	n, err := strconv.Atoi(asked)
	if err != nil {
		return c.ID, true
	}
	all := Streams(c)
	if n < 1 || n > len(all) {
		return "", false
	}
	return all[n-1], true
}

// noStream is for people who ask for a stream that a camera does not have.
const noStream = "the camera has no stream of that number"

// Proxied answers requests that proxy forwards: each carries the identity proxy asked console for. Serve it only where
// nobody but proxy can connect.
func (s *Server) Proxied() http.Handler {
	mux := s.routes(door{proxied: true})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { s.serveSocket(door{proxied: true}, w, r) })
	return noSniff(mux)
}

// noSniff keeps browsers from taking an answer for something else than it says it is, also those that no handler of ours
// makes: redirects and 404s.
func noSniff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// Direct answers requests on signaling's own port, where every path upgrades to a WebSocket.
func (s *Server) Direct() http.Handler {
	mux := s.routes(door{})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("This is Porthole's port for live view (secure WebSocket). Open the web page on the usual HTTPS port instead.\n"))
	})
	return noSniff(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A client cannot say who it is: only proxy may, on its own socket.
		r.Header.Del(identity.Header)
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			s.serveSocket(door{}, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

func (s *Server) routes(d door) *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(door, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h(d, w, r) })
	}
	handle("GET /live", s.serveWall)
	handle("GET /livestream/viewer", s.servePage)
	handle("GET /livestream/ice.json", s.serveICE)
	for name := range s.files.byName {
		handle("GET /livestream/"+name, s.serveFile)
	}
	handle("GET /livestream/{version}/{file}", s.serveVersion)
	handle("GET /cameras/{id}/snapshot.jpg", s.serveSnapshot)
	for n := range settings.MaxStreams {
		number := strconv.Itoa(n + 1)
		handle("GET /cameras/{id}/"+number+"/snapshot.jpg", func(d door, w http.ResponseWriter, r *http.Request) {
			r.SetPathValue("stream", number)
			s.serveSnapshot(d, w, r)
		})
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
