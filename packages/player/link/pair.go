package link

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"porthole/packages/internal/retry"
)

// pairing is a code on the screen that a person is to type at the server (RFC 8628).
type pairing struct {
	device, code, uri string
	interval          time.Duration
	until             time.Time // on the monotonic clock
}

// The bounds of what a server may say of a pairing.
const (
	minInterval = time.Second
	maxInterval = time.Minute
	maxPairing  = time.Hour
	maxURI      = 300 // bytes
)

// pair shows a code and waits until a person has typed it. The code stays the same over errors of the network.
func (r *remote) pair(ctx context.Context) error {
	for {
		if r.pairing == nil || time.Now().After(r.pairing.until) {
			p, err := r.askPairing(ctx)
			if err != nil {
				return err
			}
			r.pairing = p
		}
		r.l.showPairing(r.pairing)
		if !retry.Pause(ctx, r.pairing.interval) {
			return ctx.Err()
		}
		a, err := r.ask(ctx, question{method: http.MethodPost, path: "/api/pair/token", body: map[string]string{"device_code": r.pairing.device}})
		if err == nil {
			var i identity
			if err := a.into(&i); err != nil {
				return err
			}
			r.pairing = nil
			if i.AuthCode == "" {
				return &formatError{"it pairs this screen, and gives it no auth code"}
			}
			return r.take(i)
		}
		// RFC 8628 section 3.5.
		switch {
		case !isStatus(err, http.StatusBadRequest):
			return err
		case says(err, "authorization_pending"):
		case says(err, "slow_down"):
			r.pairing.interval = min(r.pairing.interval+5*time.Second, maxInterval)
		case says(err, "expired_token"):
			r.pairing = nil
		case says(err, "access_denied"):
			r.pairing = nil
			return &problemError{explanation{CauseAuth, "An administrator of the server refused this screen.", "If that was a mistake, type the code that this screen shows next."}}
		default:
			r.pairing = nil
			return err
		}
	}
}

// askPairing gets a code.
func (r *remote) askPairing(ctx context.Context) (*pairing, error) {
	a, err := r.ask(ctx, question{method: http.MethodPost, path: "/api/pair", body: map[string]string{
		"hostname": r.s.hostname, "name": r.s.hostname, "agent": r.l.cfg.Agent,
	}})
	if err != nil {
		return nil, err
	}
	var said struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		URI        string `json:"verification_uri"`
		Expires    int64  `json:"expires_in"`
		Interval   int64  `json:"interval"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil {
		return nil, &formatError{"its pairing code cannot be read"}
	}
	u, err := url.Parse(said.URI)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || len(said.URI) > maxURI || said.DeviceCode == "" || len(said.DeviceCode) > 1024 ||
		oneLine(said.UserCode) != said.UserCode || said.UserCode == "" || len(said.UserCode) > 20 {
		return nil, &formatError{"its pairing code is none that a screen can show"}
	}
	p := &pairing{device: said.DeviceCode, code: said.UserCode, uri: oneLine(u.String())}
	p.interval = bounded(said.Interval, minInterval, maxInterval)
	p.until = time.Now().Add(bounded(said.Expires, time.Minute, maxPairing))
	return p, nil
}

// bounded is a number of seconds within bounds.
func bounded(seconds int64, least, most time.Duration) time.Duration {
	return time.Duration(min(max(seconds, int64(least/time.Second)), int64(most/time.Second))) * time.Second
}

// showPairing says in the state that a person is waited for.
func (l *Link) showPairing(p *pairing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := &l.state
	st.Connected, st.Kind, st.LastContact, st.Attempts, st.Next = false, Porthole, l.cfg.Clock.Now(), 0, time.Time{}
	st.PairingCode, st.PairingURI, st.Cause = p.code, p.uri, CauseAuth
	st.Problem, st.Step = "This screen is not paired with its server yet.", "Type the code "+p.code+" at "+p.uri+"."
}
