package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/snapshot"
)

// maxWidth bounds what may stand in ?w=, in pixels.
const maxWidth = 1 << 14

// serveSnapshot answers GET /cameras/ID[/N]/snapshot.jpg[?w=WIDTH].
func (s *Server) serveSnapshot(d door, w http.ResponseWriter, r *http.Request) {
	who, ok := s.admit(d, w, r)
	if !ok {
		return
	}
	name, ok := s.snapshotOf(w, r, who)
	if !ok {
		return
	}
	width := 0
	if asked := r.URL.Query().Get("w"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < snapshot.MinWidth || n > maxWidth {
			refuse(w, http.StatusBadRequest, "w is the picture's width in pixels, from "+strconv.Itoa(snapshot.MinWidth)+" to "+strconv.Itoa(maxWidth))
			return
		}
		width = n
	}
	p, err := s.cfg.Take(r.Context(), name, width)
	if errors.Is(err, snapshot.ErrUnknown) && !strings.HasPrefix(name, settings.ProbePrefix) {
		// It is in the settings: proxy is about to hear of it.
		err = snapshot.ErrOffline
	}
	if err != nil {
		snapshotRefuse(w, err)
		return
	}
	sum := sha256.Sum256(p.JPEG)
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	// Who asks every second gets another picture every second; nobody but the one who asked keeps it.
	h.Set("Cache-Control", "private, max-age=1, must-revalidate")
	h.Set("Vary", "Cookie, Authorization")
	h.Set("Cross-Origin-Resource-Policy", "same-site")
	h.Set("Content-Disposition", `inline; filename="`+strings.ReplaceAll(name, "/", "-")+`.jpg"`)
	http.ServeContent(w, r, "", p.Taken, bytes.NewReader(p.JPEG))
}

// snapshotOf finds the stream that a request names and that who may see; otherwise it answers.
func (s *Server) snapshotOf(w http.ResponseWriter, r *http.Request, who identity.Identity) (string, bool) {
	id, number := r.PathValue("id"), r.PathValue("stream")
	if strings.HasPrefix(id, settings.ProbePrefix) {
		// A camera that is being tried out: the Hub knows it, the settings do not.
		switch {
		case who.Role != identity.Admin || !who.MaySee(id):
			refuse(w, http.StatusForbidden, "only an administrator may see a camera that is being tried out")
		case number != "" || !validProbe(id):
			refuse(w, http.StatusNotFound, "there is no such camera")
		default:
			return id, true
		}
		return "", false
	}
	ref, exists, settled := s.camera(id)
	switch {
	case !settled:
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, "the device is starting; try again in a moment")
		return "", false
	case !who.MaySee(id):
		refuse(w, http.StatusForbidden, "your account may not watch this camera")
		return "", false
	case !exists:
		refuse(w, http.StatusNotFound, "there is no such camera")
		return "", false
	}
	name, ok := stream(ref, number)
	if !ok {
		refuse(w, http.StatusNotFound, noStream)
	}
	return name, ok
}

// validProbe reports whether an id can be one that proxy gave out: it becomes part of a URL.
func validProbe(id string) bool {
	return len(id) <= 64 && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

// snapshotRefuse says why there is no picture. The codes are those of the WebSocket protocol.
func snapshotRefuse(w http.ResponseWriter, err error) {
	status, code, retry, message := http.StatusInternalServerError, string(live.Failed), "", snapshot.ErrDecoder.Error()
	switch {
	case errors.Is(err, snapshot.ErrUnknown):
		status, code, message = http.StatusNotFound, string(live.Unknown), "there is no such camera"
	case errors.Is(err, snapshot.ErrOffline):
		status, code, retry, message = http.StatusServiceUnavailable, string(live.Offline), "5", "the camera is offline: it does not answer, or sends no picture"
	case errors.Is(err, snapshot.ErrBusy), errors.Is(err, context.Canceled):
		status, code, retry, message = http.StatusServiceUnavailable, string(live.Busy), "2", "too many pictures are being made; try again in a moment"
	case errors.Is(err, snapshot.ErrCodec):
		status, code, message = http.StatusNotImplemented, string(live.NoCodec), err.Error()
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if retry != "" {
		h.Set("Retry-After", retry)
	}
	w.WriteHeader(status)
	// A client that has gone does not read it.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message, "code": code})
}
