package library

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"time"

	"porthole/packages/console/signage"
)

// Status is how an upload stands, as pages ask for it.
type Status struct {
	State  State  `json:"state"`
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	// Reason is a sentence, if the upload was refused.
	Reason string       `json:"reason,omitempty"`
	Media  *StatusMedia `json:"media,omitempty"`
}

// StatusMedia is what an upload has become.
type StatusMedia struct {
	ID         int64             `json:"id"`
	Name       string            `json:"name"`
	Kind       signage.MediaKind `json:"kind"`
	MIME       string            `json:"mime"`
	Width      int               `json:"width"`
	Height     int               `json:"height"`
	DurationMS int64             `json:"duration_ms"`
	Boards     []Verdict         `json:"boards"`
	Plays      string            `json:"plays"` // the verdicts in one sentence
	Notes      []string          `json:"notes"`
}

func statusMedia(m signage.Media, notes []string) *StatusMedia {
	plays, _ := Summary(m)
	return &StatusMedia{
		ID: m.ID, Name: m.Name, Kind: m.Kind, MIME: m.MIME, Width: m.Width, Height: m.Height, DurationMS: m.Duration.Milliseconds(),
		Boards: Boards(m), Plays: plays, Notes: append([]string{}, notes...),
	}
}

// forever lets a browser keep what never changes: a medium's id is not used again, and its content stays.
const forever = "private, max-age=31536000, immutable"

// SetHeaders sets what every answer with a medium's content says: the type that was found in it, and that nothing in it may run
// as a page of ours, whatever else it also is.
func SetHeaders(h http.Header, m signage.Media) {
	disposition := "inline"
	if _, ok := formatOf(m.MIME); ok {
		h.Set("Content-Type", m.MIME)
	} else {
		h.Set("Content-Type", "application/octet-stream")
		disposition = "attachment"
	}
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": m.Name}))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("ETag", `"`+m.SHA256+`"`)
}

// ServeFile answers with a medium's content: ranges, conditions, HEAD.
func (l *Library) ServeFile(w http.ResponseWriter, r *http.Request, m signage.Media) {
	f, err := l.Open(m.SHA256)
	switch {
	case errors.Is(err, ErrDamaged):
		say(w, http.StatusGone, "This file is damaged on the device. Upload it again.")
		return
	case errors.Is(err, signage.ErrNotFound):
		say(w, http.StatusNotFound, "This file is not there any more. Upload it again.")
		return
	case err != nil:
		l.log.Error("cannot serve a medium", "id", m.ID, "err", err)
		say(w, http.StatusInternalServerError, "Porthole cannot read this file; console's log says why.")
		return
	}
	defer f.Close()
	SetHeaders(w.Header(), m)
	w.Header().Set("Cache-Control", forever)
	http.ServeContent(w, r, "", time.Time{}, f)
}

// ServeThumb answers with a medium's thumbnail, or a placeholder, which nobody keeps.
func (l *Library) ServeThumb(w http.ResponseWriter, r *http.Request, m signage.Media) {
	b, real := l.Thumb(r.Context(), m)
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if real {
		h.Set("Cache-Control", forever)
		h.Set("ETag", `"thumb-`+m.SHA256+`"`)
		if r.Header.Get("If-None-Match") == h.Get("ETag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(b)
	}
}
