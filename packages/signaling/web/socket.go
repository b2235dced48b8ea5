package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"porthole/packages/internal/identity"
	"porthole/packages/signaling/live"
)

const (
	pingEvery   = 20 * time.Second
	pongTimeout = 10 * time.Second
	sendTimeout = 10 * time.Second
	// tokenTimeout is how long a client without identity has for its first message.
	tokenTimeout = 10 * time.Second
	// minSockets bounds the open WebSockets, unless there may be so many viewers that they need more.
	minSockets = 200
	// maxFaults is how many messages in error a client may send.
	maxFaults = 20
	// maxEarly bounds the ICE candidates that wait for their viewer message.
	maxEarly = 64
	// statusUnauthorized closes a WebSocket nobody vouches for; RFC 6455 section 7.4.2 leaves 4000–4999 to us.
	statusUnauthorized websocket.StatusCode = 4401
)

// socket is one client's WebSocket.
type socket struct {
	server *Server
	log    *slog.Logger
	conn   *websocket.Conn
	remote string
	agent  string

	// Only the reading goroutine uses what follows.
	who   identity.Identity
	known bool
	// creds are what who was found by. fresh says that nothing was watched since: then nobody is asked again.
	creds   identity.Credentials
	fresh   bool
	faults  int
	allowed *rate.Limiter
	early   []webrtc.ICECandidateInit
	current *watch
	wg      sync.WaitGroup
}

// serveSocket upgrades the request and serves the client until it leaves.
func (s *Server) serveSocket(d door, w http.ResponseWriter, r *http.Request) {
	s.wg.Add(1)
	defer s.wg.Done()
	if !sameHost(r.Header.Get("Origin"), d.host(r)) {
		refuse(w, http.StatusForbidden, "the page that asks is from another host")
		return
	}
	who, err := s.identify(d, r)
	if err != nil && !denied(err) {
		s.cfg.Log.Warn("cannot tell who opens a live view", "err", err)
		refuse(w, http.StatusServiceUnavailable, "the console does not answer; try again in a moment")
		return
	}
	if s.sockets.Add(1) > s.maxSockets() {
		s.sockets.Add(-1)
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "too many live connections; close some pages or try again later")
		return
	}
	defer s.sockets.Add(-1)
	// The origin was checked above: the same name on any port is fine, because console and signaling have different ones.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		s.cfg.Log.Debug("upgrade to WebSocket failed", "err", err)
		return
	}
	conn.SetReadLimit(maxMessage)
	k := &socket{
		server: s, log: s.cfg.Log.With("remote", d.remote(r)), conn: conn, remote: d.remote(r), agent: agentOf(r),
		who: who, known: err == nil && who.User != "", creds: identity.FromRequest(r, d.remote(r)), fresh: true, allowed: rate.NewLimiter(rate.Every(time.Second), 5),
	}
	k.serve(r.Context())
}

// maxSockets leaves room for pages that show why they cannot watch.
func (s *Server) maxSockets() int64 { return max(minSockets, 2*int64(s.cfg.Live.Limits().Total)) }

// agentOf is the browser's name for itself, short enough to keep.
func agentOf(r *http.Request) string {
	agent := r.UserAgent()
	return strings.ToValidUTF8(agent[:min(len(agent), 200)], "")
}

func (k *socket) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	reading := context.WithoutCancel(ctx)
	k.wg.Go(func() { k.ping(ctx, cancel) })
	k.wg.Go(func() {
		<-ctx.Done()
		k.close(websocket.StatusGoingAway, "")
	})
	introduced := make(chan struct{})
	if k.known {
		close(introduced)
	}
	k.wg.Go(func() {
		t := time.NewTimer(tokenTimeout)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-introduced:
		case <-t.C:
			k.unauthorized(ctx)
			cancel()
		}
	})
	k.read(ctx, reading, introduced)
	k.stopWatch()
	cancel()
	k.wg.Wait()
	// Nothing was read of a client that breaks off: the socket is freed in any case.
	_ = k.conn.CloseNow()
}

// close says why, and waits for the client's word on it for a few seconds.
func (k *socket) close(code websocket.StatusCode, reason string) {
	if err := k.conn.Close(code, reason); err != nil {
		k.log.Debug("WebSocket broke off", "err", err)
	}
}

func (k *socket) ping(ctx context.Context, cancel context.CancelFunc) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pong, done := context.WithTimeout(ctx, pongTimeout)
		err := k.conn.Ping(pong)
		done()
		if err != nil {
			cancel()
			return
		}
	}
}

// read handles messages until the client leaves or is sent away. It closes introduced when it learns who this is.
func (k *socket) read(ctx, reading context.Context, introduced chan<- struct{}) {
	for {
		kind, b, err := k.conn.Read(reading)
		if err != nil {
			return
		}
		var m clientMessage
		if kind != websocket.MessageText {
			err = errNotJSON
		} else {
			m, err = parseMessage(b)
		}
		if err != nil {
			k.send(ctx, serverMessage{Type: "error", Code: "bad-message", Message: err.Error()})
			if k.faults++; k.faults > maxFaults {
				k.close(websocket.StatusPolicyViolation, "too many messages in error")
				return
			}
			continue
		}
		if !k.known {
			if !k.introduce(ctx, m.Token) {
				return
			}
			close(introduced)
		}
		k.handle(ctx, m)
	}
}

// introduce finds out who holds the token; false means that the client was sent away.
func (k *socket) introduce(ctx context.Context, token string) bool {
	if token == "" {
		k.unauthorized(ctx)
		return false
	}
	creds := identity.Credentials{Authorization: "Bearer " + token, Remote: k.remote}
	who, err := k.server.cfg.Ask(ctx, creds)
	switch {
	case err == nil && who.User != "":
		k.who, k.known, k.creds = who, true, creds
		return true
	case err != nil && !denied(err):
		k.log.Warn("cannot tell who opens a live view", "err", err)
		k.send(ctx, serverMessage{Type: "error", Code: "away", Message: "the console does not answer; try again in a moment"})
		k.close(websocket.StatusTryAgainLater, "")
	default:
		k.unauthorized(ctx)
	}
	return false
}

// renew finds out what the client may now: a socket may be open for days, and its session or token end meanwhile. While
// console does not answer, what it said last counts. False means that the client was sent away.
func (k *socket) renew(ctx context.Context) bool {
	if k.fresh {
		k.fresh = false
		return true
	}
	who, err := k.server.cfg.Ask(ctx, k.creds)
	switch {
	case err == nil && who.User != "":
		k.who = who
	case err == nil || denied(err):
		k.unauthorized(ctx)
		return false
	default:
		k.log.Warn("cannot tell who watches a live view", "err", err)
	}
	return true
}

func (k *socket) unauthorized(ctx context.Context) {
	k.send(ctx, serverMessage{Type: "error", Code: "unauthorized", Message: "you are not logged in"})
	k.close(statusUnauthorized, "not logged in")
}

func (k *socket) handle(ctx context.Context, m clientMessage) {
	switch m.Type {
	case typeViewer:
		k.stopWatch()
		if !k.renew(ctx) {
			return
		}
		stream, code, message := k.mayWatch(m.CameraID, m.StreamID)
		if code != "" {
			k.send(ctx, serverMessage{Type: "error", Code: code, Message: message})
			return
		}
		k.startWatch(ctx, stream, m.SDPOffer)
	case typeStop:
		k.stopWatch()
		k.early = nil
	case typeCandidate:
		switch {
		case k.current != nil:
			k.current.add(*m.Candidate)
		case len(k.early) < maxEarly:
			k.early = append(k.early, *m.Candidate)
		}
	}
}

// mayWatch returns the stream and an empty code, or why not.
func (k *socket) mayWatch(camera, streamID string) (name, code, message string) {
	ref, exists, settled := k.server.camera(camera)
	switch {
	case !k.allowed.Allow():
		return "", string(live.Busy), "too many attempts; wait a moment"
	case !settled:
		return "", "starting", "the device is starting; try again in a moment"
	case !k.who.MaySee(camera):
		return "", "forbidden", "your account may not watch this camera"
	case !exists:
		return "", string(live.Unknown), "there is no such camera"
	}
	name, ok := stream(ref, streamID)
	if !ok {
		return "", string(live.Unknown), noStream
	}
	return name, "", ""
}

// send writes a message. A client that cannot be written to is noticed by reading.
func (k *socket) send(ctx context.Context, m serverMessage) {
	b, err := json.Marshal(m)
	if err != nil {
		k.log.Error("encode message", "err", err)
		return
	}
	// A write whose context ends takes the whole socket with it, and a viewer often ends in the middle of one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	if err := k.conn.Write(ctx, websocket.MessageText, b); err != nil {
		k.log.Debug("write to WebSocket failed", "err", err)
	}
}

// sendRefusal tells the client what live says.
func (k *socket) sendRefusal(ctx context.Context, err error) {
	m := serverMessage{Type: "error", Code: string(live.Failed), Message: "the live view failed"}
	if refusal := (*live.Refusal)(nil); errors.As(err, &refusal) {
		m.Code, m.Message = string(refusal.Reason), refusal.Message
		if refusal.Reason == live.Failed {
			k.log.Error("live view failed", "err", err)
		}
	}
	k.send(ctx, m)
}
