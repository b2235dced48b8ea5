package rtsp

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// keptSessions is how many ended sessions are remembered.
const keptSessions = 100

// Why sessions end, in words.
const (
	reasonClosed   = "the reader closed the connection"
	reasonTeardown = "the reader stopped"
	reasonSilent   = "the reader was silent for too long"
	reasonEnded    = "ended by an administrator"
	reasonRemoved  = "the camera was removed"
	reasonFormats  = "the camera sends other formats now"
	reasonStopping = "the camera server is stopping"
)

// reasonOf explains what gortsplib ended a session with.
func reasonOf(err error) string {
	switch {
	case errors.As(err, new(liberrors.ErrServerSessionTornDown)):
		return reasonTeardown
	case errors.As(err, new(liberrors.ErrServerSessionTimedOut)):
		return reasonSilent
	case errors.As(err, new(liberrors.ErrServerTerminated)):
		return reasonStopping
	}
	return reasonClosed
}

// Sessions lists the readers: those that read now, the oldest first, then the last 100 of other programs that
// have ended, the last first.
func (h *Hub) Sessions() []SessionStatus {
	h.mu.Lock()
	running := make([]*reader, 0, len(h.sessions))
	for _, r := range h.sessions {
		running = append(running, r)
	}
	ended := slices.Clone(h.past)
	h.mu.Unlock()
	list := make([]SessionStatus, 0, len(running)+len(ended))
	for _, r := range running {
		list = append(list, r.describe())
	}
	slices.SortFunc(list, func(a, b SessionStatus) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	slices.Reverse(ended)
	return append(list, ended...)
}

// EndSession ends a running session, by its SessionStatus.ID, and reports whether there was one. The reader may come
// again.
func (h *Hub) EndSession(id string) bool {
	h.mu.Lock()
	var found *reader
	for _, r := range h.sessions {
		if r.id == id {
			found = r
		}
	}
	h.mu.Unlock()
	if found == nil {
		return false
	}
	found.end(reasonEnded)
	return true
}

// enter counts a session as a reader unless there are too many.
func (h *Hub) enter(r *reader) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, in := h.sessions[r.session]; !in && len(h.sessions) >= h.cfg.MaxReaders {
		return false
	}
	h.sessions[r.session] = r
	return true
}

// leave remembers a session that has ended, but not one of our own: snapshots would push people's off the list.
func (h *Hub) leave(r *reader, err error) {
	r.close(reasonOf(err))
	s := r.describe()
	s.Ended = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[r.session] != r {
		return
	}
	delete(h.sessions, r.session)
	if s.Via == ViaSocket {
		return
	}
	if len(h.past) >= keptSessions {
		h.past = slices.Delete(h.past, 0, len(h.past)-keptSessions+1)
	}
	h.past = append(h.past, s)
}
