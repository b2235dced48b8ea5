// Package sitetest sets up signaling for tests with real parts: the demo clip as a camera, a Hub that pulls it behind a
// socket as in proxy, and HTTPS in front. Only proxy and console are stand-ins.
package sitetest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/media/rtsp"
	"porthole/media/samples"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/snapshot"
	"porthole/packages/signaling/web"
)

// The users of a Site, and the tokens that are theirs as "Authorization: Bearer" and as cookie "session".
const (
	AdminToken = "admin-token"
	// GuestToken belongs to a viewer who may see no camera but "garden".
	GuestToken = "guest-token"
	// AwayToken makes console fail.
	AwayToken = "away-token"
)

// Site is signaling with what it needs around it.
type Site struct {
	// Front is what proxy offers: identity by cookie or token, everything forwarded to signaling, and a style sheet.
	Front *httptest.Server
	// Direct is signaling's own port.
	Direct *httptest.Server
	Live   *live.Server
	Web    *web.Server

	log    *slog.Logger
	socket string
	camera string
	// own is the address of the camera "yard", which a test may switch off.
	own string

	mu      sync.Mutex
	yard    func()                // guarded by mu: stops that camera and waits
	hub     func()                // guarded by mu: stops the Hub and waits
	sockets map[net.Conn]struct{} // guarded by mu: open connections of Front and Direct
	away    atomic.Bool
	revoked atomic.Bool
}

// New starts a Site with the cameras "demo", which has two streams, "yard", a camera of its own, "hall", and "garden" with
// nothing behind it.
// "probe-abc" is being tried out. change may alter the limits. It ends with the test.
func New(t *testing.T, change func(*live.Config)) *Site {
	t.Helper()
	s := &Site{log: slog.New(slog.DiscardHandler), sockets: map[net.Conn]struct{}{}}
	if os.Getenv("VERBOSE") != "" {
		s.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	// A unix socket's path may have 107 bytes, and a test's own folder is named after the test.
	dir, err := os.MkdirTemp("", "site")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.socket = filepath.Join(dir, "rtsp.sock")

	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.camera = "rtsp://" + l.Addr().String() + "/clip"
	wg.Go(func() {
		if err := rtsp.ServeClip(ctx, s.log, l, samples.Demo(), "clip", "", ""); err != nil {
			t.Errorf("the camera: %v", err)
		}
	})
	s.StartCamera(t)
	s.StartHub(t)

	path, err := live.Listen(s.log, "127.0.0.1:0", true)
	must(t, err)
	cfg := live.Config{
		Log: s.log, Path: path, PerCamera: 10, Total: 50,
		Play: func(ctx context.Context, camera string, sink rtsp.Sink) error {
			dial := func(ctx context.Context) (net.Conn, error) { return unixsock.Dial(ctx, s.socket) }
			return rtsp.Play(ctx, rtsp.PlayConfig{Dial: dial, Camera: camera}, sink)
		},
		Convert: func(ctx context.Context, o decode.Options) (live.Converter, error) {
			o.Binary = decodetest.Binary(t)
			return live.OpenConverter(ctx, o)
		},
	}
	if change != nil {
		change(&cfg)
	}
	s.Live = live.Start(ctx, cfg)
	direct := httptest.NewUnstartedServer(nil)
	pictures := snapshot.New(ctx, snapshot.Config{
		Log: s.log, Play: cfg.Play,
		Open: func(ctx context.Context, live decode.Live) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: decodetest.Binary(t), Live: &live, Frames: 1})
		},
	})
	s.Web = web.New(web.Config{Log: s.log, Live: s.Live, Ask: s.ask, Take: pictures.Take})
	s.Web.SetSignalingPort(direct.Listener.Addr().(*net.TCPAddr).Port)
	s.Live.SetCameras([]string{"demo", "demo/2", "yard", "hall", "garden"})
	s.Web.SetCameras([]settings.CameraRef{
		{ID: "demo", Name: "Front door", Streams: 2}, {ID: "yard", Name: "Yard"}, {ID: "hall", Name: "Hall"}, {ID: "garden", Name: "Garden"},
	})

	s.Front = s.serve(ctx, httptest.NewUnstartedServer(s.unlessAway(s.front(s.Web.Proxied()))))
	direct.Config.Handler = s.unlessAway(s.Web.Direct())
	s.Direct = s.serve(ctx, direct)
	t.Cleanup(func() {
		cancel()
		s.Cut()
		s.Front.Close()
		s.Direct.Close()
		s.Web.Wait()
		s.Live.Wait()
		pictures.Wait()
		path.Close()
		s.StopHub()
		s.StopCamera()
		wg.Wait()
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve starts a server with a throwaway certificate whose connections Cut can cut.
func (s *Site) serve(ctx context.Context, srv *httptest.Server) *httptest.Server {
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Config.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	srv.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	srv.Config.ConnState = func(c net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch state {
		case http.StateNew:
			s.sockets[c] = struct{}{}
		case http.StateClosed:
			delete(s.sockets, c)
		}
	}
	srv.StartTLS()
	return srv
}

// Cut breaks every connection of browsers, WebSockets included.
func (s *Site) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sockets {
		c.Close()
		delete(s.sockets, c)
	}
}

// Cameras makes it n cameras, most of which are offline; "demo" is the first.
func (s *Site) Cameras(n int) {
	refs := []settings.CameraRef{{ID: "demo", Name: "Front door", Streams: 2}, {ID: "yard", Name: "Yard"}, {ID: "hall", Name: "Hall"}}
	ids := []string{"demo", "demo/2", "yard", "hall"}
	for i := len(refs); i < n; i++ {
		id := "more-" + strconv.Itoa(i)
		refs, ids = append(refs, settings.CameraRef{ID: id, Name: "Camera with a rather long name " + strconv.Itoa(i)}), append(ids, id)
	}
	s.Live.SetCameras(ids)
	s.Web.SetCameras(refs[:n])
}

// StartCamera switches the camera "yard" on.
func (s *Site) StartCamera(t *testing.T) {
	t.Helper()
	at := s.own
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", at)
	must(t, err)
	s.own = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := rtsp.ServeClip(ctx, s.log, l, samples.Demo(), "clip", "", ""); err != nil {
			t.Errorf("the camera: %v", err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.yard = func() {
		cancel()
		wg.Wait()
	}
}

// StopCamera switches it off.
func (s *Site) StopCamera() {
	s.mu.Lock()
	stop := s.yard
	s.yard = nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// SetAway makes every WebSocket be refused, as when signaling is down.
func (s *Site) SetAway(away bool) { s.away.Store(away) }

func (s *Site) unlessAway(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.away.Load() && r.Header.Get("Upgrade") != "" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// StartHub starts what proxy does for rtsp.sock.
func (s *Site) StartHub(t *testing.T) {
	t.Helper()
	l, err := unixsock.Listen(s.socket, unixsock.Allow(true))
	must(t, err)
	hub := rtsp.NewHub(rtsp.Config{Log: s.log})
	hub.SetSources([]rtsp.Source{
		{ID: "demo", URL: s.camera, Transport: "tcp"}, {ID: "demo/2", URL: s.camera, Transport: "tcp"},
		{ID: "yard", URL: "rtsp://" + s.own + "/clip", Transport: "tcp"}, {ID: "hall", URL: s.camera, Transport: "tcp"},
		{ID: settings.ProbePrefix + "abc", URL: s.camera, Transport: "tcp"},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := hub.Run(ctx); err != nil {
			t.Errorf("the hub: %v", err)
		}
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			hub.Handle(c, rtsp.ViaSocket)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub = func() {
		l.Close()
		cancel()
		wg.Wait()
	}
}

// StopHub ends it, as when proxy is killed.
func (s *Site) StopHub() {
	s.mu.Lock()
	stop := s.hub
	s.hub = nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Revoke makes console know nobody any more, as after a logout.
func (s *Site) Revoke() { s.revoked.Store(true) }

// ask is console's answer to who somebody is.
func (s *Site) ask(_ context.Context, c identity.Credentials) (identity.Identity, error) {
	switch {
	case s.revoked.Load():
		return identity.Identity{}, identity.ErrDenied
	case c.Authorization == "Bearer "+AdminToken, c.Cookie == "session="+AdminToken:
		return identity.Identity{User: "admin", Role: identity.Admin}, nil
	case c.Authorization == "Bearer "+GuestToken, c.Cookie == "session="+GuestToken:
		return identity.Identity{User: "guest", Role: identity.Viewer, Cameras: []string{"garden"}}, nil
	case c.Authorization == "Bearer "+AwayToken:
		return identity.Identity{}, os.ErrDeadlineExceeded
	}
	return identity.Identity{}, identity.ErrDenied
}

// front does what proxy does: it asks who it is and forwards that. /enter?token=TOKEN logs in.
func (s *Site) front(signaling http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/porthole.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("..", "..", "console", "assets", "porthole.css"))
	})
	mux.HandleFunc("GET /enter", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: r.FormValue("token"), Path: "/", Secure: true, HttpOnly: true})
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><link rel=icon href=data:,><p id=entered>entered"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del(identity.Header)
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if who, err := s.ask(r.Context(), identity.FromRequest(r, host)); err == nil {
			if err := identity.Set(r.Header, who); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		r.Header.Set("X-Forwarded-For", host)
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", r.Host)
		signaling.ServeHTTP(w, r)
	})
	return mux
}
