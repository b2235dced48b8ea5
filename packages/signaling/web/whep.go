package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/signaling/live"
)

// WHEP as in draft-ietf-wish-whep, with trickle ICE and without ICE restarts.

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
)

// whepSession is a viewer that came by WHEP.
type whepSession struct {
	viewer *live.Viewer
	user   string
	camera string
	etag   string
	// ufrag is the browser's ICE user name: another one would mean an ICE restart.
	ufrag string
}

// shared lets pages of other sites use WHEP with a token of their own. Cookies they cannot send: that would take
// Access-Control-Allow-Credentials.
func shared(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After")
}

// whepOptions answers OPTIONS: a browser's, which carries no credentials, and a player's that wants to know the ICE
// servers before it makes an offer.
func (s *Server) whepOptions(d door, w http.ResponseWriter, r *http.Request) {
	shared(w)
	h := w.Header()
	if s.needsICE() && (d.proxied || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "") {
		if who, err := s.identify(d, r); err == nil && who.User != "" {
			s.linkICE(w, who.User)
			h.Set("Cache-Control", "no-store")
		}
	}
	h.Set("Access-Control-Allow-Methods", "OPTIONS, GET, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Accept-Post", typeSDP)
	h.Set("Accept-Patch", typeFragment)
	w.WriteHeader(http.StatusOK)
}

// whepNothing answers GET: there is no representation, which is no error.
func (s *Server) whepNothing(_ door, w http.ResponseWriter, _ *http.Request) {
	shared(w)
	w.WriteHeader(http.StatusNoContent)
}

// admit answers requests nobody vouches for.
func (s *Server) admit(d door, w http.ResponseWriter, r *http.Request) (identity.Identity, bool) {
	who, err := s.identify(d, r)
	switch {
	case err == nil && who.User != "":
		return who, true
	case err != nil && !denied(err):
		s.cfg.Log.Warn("cannot tell who opens a live view", "err", err)
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, "the console does not answer; try again in a moment")
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="Porthole"`)
		refuse(w, http.StatusUnauthorized, "you are not logged in")
	}
	return identity.Identity{}, false
}

// whepStart answers POST: an SDP offer becomes a session.
func (s *Server) whepStart(d door, w http.ResponseWriter, r *http.Request) {
	shared(w)
	who, ok := s.admit(d, w, r)
	if !ok {
		return
	}
	camera := r.PathValue("id")
	ref, exists, settled := s.camera(camera)
	watched, has := stream(ref, r.URL.Query().Get("stream"))
	switch {
	case !settled:
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, "the device is starting; try again in a moment")
		return
	case !who.MaySee(camera):
		refuse(w, http.StatusForbidden, "your account may not watch this camera")
		return
	case !exists:
		refuse(w, http.StatusNotFound, "there is no such camera")
		return
	case !has:
		refuse(w, http.StatusNotFound, noStream)
		return
	}
	body, ok := readBody(w, r, typeSDP)
	if !ok {
		return
	}
	v, err := s.cfg.Live.Watch(r.Context(), watched, body)
	if err != nil {
		s.cfg.Log.Info("live view refused", "camera", watched, "user", who.User, "remote", d.remote(r), "err", err)
		whepRefuse(w, err)
		return
	}
	v.SetClient(live.Client{User: who.User, Remote: d.remote(r), Agent: agentOf(r), By: "whep"})
	ufrag, _, _ := parseFragment(body)
	session := &whepSession{viewer: v, user: who.User, camera: camera, etag: `"` + rand.Text() + `"`, ufrag: ufrag}
	s.mu.Lock()
	s.sessions[v.ID] = session
	s.mu.Unlock()
	s.wg.Go(func() {
		<-v.Done()
		s.mu.Lock()
		delete(s.sessions, v.ID)
		s.mu.Unlock()
	})
	s.cfg.Log.Info("live view", "camera", watched, "user", who.User, "remote", d.remote(r), "viewer", v.ID[:6], "by", "whep")
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", "/cameras/"+camera+"/whep/"+v.ID)
	h.Set("ETag", session.etag)
	h.Set("Accept-Patch", typeFragment)
	h.Set("Cache-Control", "no-store")
	s.linkICE(w, who.User)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, v.Answer)
}

// whepRefuse answers with the status that fits why live refuses.
func whepRefuse(w http.ResponseWriter, err error) {
	status, message := http.StatusInternalServerError, "the live view failed"
	if refusal := (*live.Refusal)(nil); errors.As(err, &refusal) {
		message = refusal.Message
		switch refusal.Reason {
		case live.BadOffer:
			status = http.StatusBadRequest
		case live.NoCodec:
			status = http.StatusNotAcceptable
		case live.Unknown:
			status = http.StatusNotFound
		case live.Offline, live.Changed:
			status = http.StatusConflict
			w.Header().Set("Retry-After", "5")
		case live.Busy, live.NoPath, live.Stopping:
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "10")
		}
	}
	refuse(w, status, message)
}

// session finds the session of a request; it is its maker's alone.
func (s *Server) session(d door, w http.ResponseWriter, r *http.Request) *whepSession {
	who, ok := s.admit(d, w, r)
	if !ok {
		return nil
	}
	s.mu.Lock()
	session := s.sessions[r.PathValue("session")]
	s.mu.Unlock()
	if session == nil || session.user != who.User || session.camera != r.PathValue("id") {
		refuse(w, http.StatusNotFound, "there is no such session (any more)")
		return nil
	}
	return session
}

// whepTrickle answers PATCH: more of the browser's candidates.
func (s *Server) whepTrickle(d door, w http.ResponseWriter, r *http.Request) {
	shared(w)
	session := s.session(d, w, r)
	if session == nil {
		return
	}
	body, ok := readBody(w, r, typeFragment)
	if !ok {
		return
	}
	ufrag, candidates, err := parseFragment(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	match := strings.TrimSpace(r.Header.Get("If-Match"))
	switch {
	case match == "":
		refuse(w, http.StatusPreconditionRequired, "send the session's ETag as If-Match")
		return
	case match == "*" || match == `"*"` || ufrag != "" && ufrag != session.ufrag:
		refuse(w, http.StatusUnprocessableEntity, "ICE restarts are not supported; start a new session")
		return
	case match != session.etag:
		refuse(w, http.StatusPreconditionFailed, "the ETag is not this session's")
		return
	}
	for _, c := range candidates {
		// One that cannot be used is dropped (section "Trickle ICE").
		if err := session.viewer.AddCandidate(c); err != nil {
			s.cfg.Log.Debug("candidate dropped", "err", err)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// whepStop answers DELETE.
func (s *Server) whepStop(d door, w http.ResponseWriter, r *http.Request) {
	shared(w)
	session := s.session(d, w, r)
	if session == nil {
		return
	}
	session.viewer.Close()
	w.WriteHeader(http.StatusOK)
}

// readBody reads a bounded body of the given type.
func readBody(w http.ResponseWriter, r *http.Request, want string) (string, bool) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != want {
		refuse(w, http.StatusUnsupportedMediaType, "send Content-Type: "+want)
		return "", false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("send at most %d bytes", maxMessage))
		return "", false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the request broke off")
		return "", false
	}
	return string(b), true
}
