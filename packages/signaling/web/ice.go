package web

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what TURN servers check (draft-uberti-behave-turn-rest-00 section 2.2)
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/settings"
)

const (
	// iceValid is how long credentials for the TURN server are good, iceKeep for how long a page keeps them: who begins to
	// watch just before that has them for hours yet.
	iceValid = 12 * time.Hour
	iceKeep  = 6 * time.Hour
)

// iceServer is an RTCIceServer (W3C WebRTC section 4.2.3).
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// SetICE says which STUN and TURN servers browsers are told of.
func (s *Server) SetICE(l settings.Live) { s.ice.Store(&l) }

// needsICE reports whether browsers need servers at all.
func (s *Server) needsICE() bool {
	l := s.ice.Load()
	return l != nil && (l.STUN != "" || len(l.TURN.URLs) > 0)
}

// iceServers lists the servers for a user, with credentials that are good for iceValid from now.
func (s *Server) iceServers(user string, now time.Time) []iceServer {
	out := []iceServer{}
	l := s.ice.Load()
	if l == nil {
		return out
	}
	if l.STUN != "" {
		out = append(out, iceServer{URLs: []string{"stun:" + l.STUN}})
	}
	if len(l.TURN.URLs) == 0 {
		return out
	}
	turn := iceServer{URLs: l.TURN.URLs}
	if l.TURN.Secret != "" {
		turn.Username, turn.Credential = turnCredentials(l.TURN.Secret, user, now.Add(iceValid))
	}
	return append(out, turn)
}

// turnCredentials are draft-uberti-behave-turn-rest-00's, section 2.2: the end of their time and the user, and as a
// password an HMAC-SHA1 of these with the secret that the TURN server has, too.
func turnCredentials(secret, user string, end time.Time) (name, password string) {
	// It stands in a header and in TURN messages, and ":" divides it.
	user = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@", r) {
			return r
		}
		return '_'
	}, user)
	name = strconv.FormatInt(end.Unix(), 10) + ":" + user
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(name))
	return name, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// serveICE answers /livestream/ice.json for the viewer page.
func (s *Server) serveICE(d door, w http.ResponseWriter, r *http.Request) {
	who, ok := s.admit(d, w, r)
	if !ok {
		return
	}
	now := time.Now()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// A client that has gone does not read it.
	_ = json.NewEncoder(w).Encode(struct {
		ICEServers []iceServer `json:"iceServers"`
		Expires    string      `json:"expires"`
	}{s.iceServers(who.User, now), now.Add(iceKeep).UTC().Format(time.RFC3339)})
}

// linkICE names the servers in Link headers (draft-ietf-wish-whep section 4.6, as RFC 9725 section 4.6).
func (s *Server) linkICE(w http.ResponseWriter, user string) {
	for _, server := range s.iceServers(user, time.Now()) {
		for _, u := range server.URLs {
			link := fmt.Sprintf(`<%s>; rel="ice-server"`, u)
			if server.Credential != "" {
				link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, server.Username, server.Credential)
			}
			w.Header().Add("Link", link)
		}
	}
}
