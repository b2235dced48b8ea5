package rtsp

import (
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// find sets what stream the request is about and returns what is asked of its readers. For readers without trust only
// what the owner has set exists.
func (f *front) find(p *peer) Auth {
	if f.access == nil {
		return AnyAuth
	}
	stream, auth, byToken := f.access.find(p.target.path)
	if byToken || p.via != ViaSocket {
		p.target.stream = stream
	}
	p.target.byToken = byToken
	return auth
}

// judge decides whether a request may go on; if not, it sets the answer. Every request is judged, whatever the
// connection has shown before.
func (f *front) judge(sc *gortsplib.ServerConn, p *peer, req *base.Request, auth Auth) {
	publishes := req.Method == base.Announce || req.Method == base.Record // gortsplib does not know them here
	if len(req.Header["Session"]) > 0 && sc.Session() == nil && !publishes {
		// A session belongs to the connection that set it up, and gortsplib finds it for others too.
		p.answer = refuse(base.StatusSessionNotFound, "")
		return
	}
	switch req.Method {
	case base.Options, base.GetParameter, base.Pause, base.Teardown:
		// In a session it is enough that SETUP was let in, on this connection. Outside of one they tell and change nothing.
		f.judgeInside(p, req, auth)
		return
	case base.Describe, base.Setup, base.Play:
	default:
		// gortsplib answers that it does not know the method.
		return
	}
	switch {
	case p.via == ViaSocket:
		p.by, p.user = "trusted", ""
	case p.target.byToken && p.target.stream == "":
		p.answer = refuse(base.StatusNotFound, "No Such Stream")
	case p.target.byToken:
		p.by, p.user = "token", ""
	default:
		f.admit(p, req, auth)
	}
}

// judgeInside judges requests that need no password: one that comes must be right all the same, or players would take a
// wrong one for right until DESCRIBE. Its nonce may be as old as the session.
func (f *front) judgeInside(p *peer, req *base.Request, auth Auth) {
	if p.via == ViaSocket || p.target.byToken || len(req.Header["Authorization"]) == 0 {
		return
	}
	now := time.Now()
	switch f.gate.check(now, f.question(p, req, auth)).verdict {
	case denied:
		f.wrongPassword(p)
		p.answer = f.challenge(now, auth, false)
	case paused:
		p.answer = f.challenge(now, auth, false)
	}
}

// admit asks for an account.
func (f *front) admit(p *peer, req *base.Request, auth Auth) {
	now := time.Now()
	a := f.gate.check(now, f.question(p, req, auth))
	switch a.verdict {
	case granted:
		p.by, p.user = a.by, a.user
		return
	case denied:
		f.wrongPassword(p)
		p.wrong++
		p.hangUp = p.wrong >= maxWrong
	case paused:
		if f.refused != nil {
			f.refused(p.from, TooManyLogins)
		}
		p.hangUp = true
	}
	p.answer = f.challenge(now, auth, a.verdict == stale)
	if a.verdict == paused {
		// Players show the reason.
		p.answer.StatusMessage = "Too Many Wrong Passwords, Try Again In A Minute"
	}
}

func (f *front) question(p *peer, req *base.Request, auth Auth) question {
	return question{method: req.Method, path: p.target.path, header: req.Header["Authorization"], auth: auth, from: p.from}
}

func (f *front) challenge(now time.Time, auth Auth, isStale bool) *base.Response {
	return &base.Response{
		StatusCode: base.StatusUnauthorized,
		Header:     base.Header{"WWW-Authenticate": f.gate.challenge(now, auth, isStale)},
	}
}

func (f *front) wrongPassword(p *peer) {
	if f.failed != nil {
		f.failed(p.from)
	}
}
