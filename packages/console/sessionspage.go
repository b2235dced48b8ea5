package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// sessionsView is the page of who watches, in browsers and over RTSP.
type sessionsView struct {
	// Problem says why no readers are known, NoViewers why no browsers; or they are empty.
	Problem, NoViewers string
	Running, Ended     []sessionRow
	Viewers            []viewerRow
}

type sessionRow struct {
	ID, Stream, Name, Camera string
	Peer, Agent, Login, Way  string
	When, Sent, Missed, Why  string
}

func (c *console) sessionsPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	var v sessionsView
	answer, err := c.backends.sessions.answer(r.Context())
	if err != nil {
		v.Problem = "proxy does not answer, so nobody’s sessions are known. It may be restarting; this page keeps asking."
	}
	watching, err := c.backends.viewers.answer(r.Context())
	if err != nil {
		v.NoViewers = "signaling does not answer, so it is not known who watches in a browser. It may be restarting; this page keeps asking."
	}
	for _, s := range watching.Viewers {
		v.Viewers = append(v.Viewers, newViewerRow(s, cameras))
	}
	for _, s := range answer.Sessions {
		row := newSessionRow(s, cameras)
		switch {
		case s.Ended.IsZero():
			v.Running = append(v.Running, row)
		case s.Via != "socket":
			// Porthole's own come and go with every picture on a page: they would bury the others.
			v.Ended = append(v.Ended, row)
		}
	}
	if isFragment(r) {
		c.renderPart(w, r, "sessions", "sessions", v)
		return
	}
	c.render(w, r, http.StatusOK, "sessions", page{Title: "Sessions", User: id, Body: v})
}

func newSessionRow(s sessionStatus, cameras []settings.Camera) sessionRow {
	row := sessionRow{
		ID: s.ID, Stream: s.Stream, Name: streamName(s.Stream, cameras), Peer: s.Peer, Agent: printable(s.UserAgent),
		Login: loginText(s.Auth, s.User), Way: wayText(s.Via, s.Transport), Sent: sizeText(int64(s.BytesOut)),
		Missed: missedText(s.Dropped, s.DroppedGOPs), Why: printable(s.Reason),
	}
	if row.Peer == "" {
		row.Peer = "this device"
	}
	if camera, _, _ := strings.Cut(s.Stream, "/"); slices.ContainsFunc(cameras, func(c settings.Camera) bool { return c.ID == camera }) {
		row.Camera = camera
	}
	if s.Ended.IsZero() {
		row.When = durationText(time.Since(s.Since))
	} else {
		row.When = durationText(s.Ended.Sub(s.Since)) + ", ended " + durationText(time.Since(s.Ended)) + " ago"
	}
	return row
}

// streamName is what people call a stream: the camera's name, and the number from the second on.
func streamName(id string, cameras []settings.Camera) string {
	camera, n, more := strings.Cut(id, "/")
	name := camera
	for _, c := range cameras {
		if c.ID == camera {
			name = c.Name
		}
	}
	if more {
		name += ", stream " + n
	}
	return name
}

func loginText(auth, user string) string {
	switch auth {
	case "digest", "basic":
		return strings.ToUpper(auth[:1]) + auth[1:] + ", " + user
	case "token":
		return "token"
	case "open":
		return "open network"
	case "trusted":
		return "Porthole itself"
	}
	return auth
}

func wayText(via, transport string) string {
	t := strings.ToUpper(transport)
	switch via {
	case "tls":
		return t + " in TLS"
	case "test":
		return t + ", test socket"
	case "socket":
		return "inside"
	}
	return t
}

// endSession cuts a reader off.
func (c *console) endSession(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	status, err := c.backends.endSession(r.Context(), r.PathValue("session"))
	switch {
	case status == http.StatusNotFound:
		c.back(w, r, "/sessions", "That session had ended already.")
	case err != nil:
		c.log.Warn("ending a session failed", "err", err)
		c.back(w, r, "/sessions", "The session could not be ended: proxy did not do it. Try again in a moment.")
	default:
		c.log.Info("session ended", "session", r.PathValue("session"), "account", id.User)
		c.back(w, r, "/sessions", "The session was ended. Whoever watched can come back; to keep somebody out, replace the token or the account’s password.")
	}
}
