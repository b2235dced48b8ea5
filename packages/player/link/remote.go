package link

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"porthole/packages/internal/program"
)

// verifyEvery is how often an auth code is verified while it works, which is when a server may hand out another one.
const verifyEvery = 12 * time.Hour

// remote is a server in the network. Its fields belong to the goroutine that connects and follows; others use session.
type remote struct {
	l *Link
	s setup
	// problem is why the settings lead to no server.
	problem error
	// base is the server's address; its scheme may become https.
	base *url.URL
	call *caller
	// others gets media that lie on other machines: by public CAs only.
	others *http.Client
	what   Kind
	kept   kept
	// nameless says that the server has no auth codes: it wants hostname and code with each question.
	nameless bool
	pairing  *pairing
	etag     string
	verified time.Time
	// rested says that an original server may be asked at once. beaten is when an original server was told last that all is as before.
	rested bool
	// worked says that the auth code was good for something.
	worked bool
	beaten time.Time
	// session is what others need; nil until the server has let this screen in.
	session atomic.Pointer[session]
}

// session is a server that has let this screen in.
type session struct {
	call   *caller
	base   *url.URL
	what   Kind
	bearer string
}

// errNotConnected means that there is no server now.
var errNotConnected = errors.New("there is no connection to the signage server")

func newRemote(l *Link, s setup) *remote {
	r := &remote{l: l, s: s, what: "", kept: l.loadKept(s)}
	u, err := url.Parse(s.server)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		r.problem = &problemError{explanation{CauseDNS, "The server’s address cannot be read.", "Write it like https://signage.example.com or https://192.168.1.20."}}
		u = &url.URL{Scheme: "https", Host: "invalid"}
	}
	other := newTransport(s.timeout)
	other.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	r.others = newHTTP(other)
	r.turnTo(&url.URL{Scheme: u.Scheme, Host: u.Host})
	return r
}

// turnTo makes base the server's address.
func (r *remote) turnTo(base *url.URL) {
	t := newTransport(r.s.timeout)
	if base.Scheme == "https" {
		t.TLSClientConfig = r.l.cfg.Trust.TLS(hostPort(base))
		// Porthole shows its own certificate, not that of a public name, to who knows ALPN and sends no name.
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	if r.call != nil {
		r.call.http.CloseIdleConnections()
	}
	host := ""
	if base.Scheme == "https" {
		host = hostPort(base)
	}
	r.l.meets(host)
	r.base = base
	r.call = &caller{http: newHTTP(t), base: base.String(), agent: r.l.cfg.Agent, timeout: r.s.timeout, now: r.l.cfg.Clock.Now}
}

func (r *remote) kind() Kind { return r.what }

func (r *remote) close() {
	r.call.http.CloseIdleConnections()
	r.others.CloseIdleConnections()
}

func (r *remote) ask(ctx context.Context, q question) (*answer, error) {
	a, err := r.call.ask(ctx, q)
	r.redact(err)
	if up := r.upgrade(err); up != nil {
		r.l.cfg.Log.Info("the signage server wants TLS; it is used from now on", "server", up.String())
		r.turnTo(up)
		return nil, errAgain
	}
	if err == nil && r.base.Scheme == "https" && q.waits == 0 {
		if t, err := http.ParseTime(a.header.Get("Date")); err == nil {
			r.l.cfg.Clock.FromServer(t, a.took)
		}
	}
	return a, err
}

// redact takes our credentials out of what a server says: it is shown and logged.
func (r *remote) redact(err error) {
	var st *statusError
	if !errors.As(err, &st) {
		return
	}
	for _, secret := range []string{r.s.code, r.kept.AuthCode} {
		if secret != "" {
			st.text = strings.ReplaceAll(st.text, secret, "…")
		}
	}
}

// upgrade returns where the server wants to be asked with TLS: of itself only, and never without.
func (r *remote) upgrade(err error) *url.URL {
	var st *statusError
	if !errors.As(err, &st) || r.base.Scheme != "http" || (st.status != http.StatusUpgradeRequired && st.status/100 != 3) {
		return nil
	}
	u, err := url.Parse(st.elsewhere)
	if err != nil || u.Scheme != "https" || !strings.EqualFold(u.Hostname(), r.base.Hostname()) {
		return nil
	}
	return &url.URL{Scheme: "https", Host: u.Host}
}

func (r *remote) connect(ctx context.Context) error {
	if r.problem != nil {
		return r.problem
	}
	r.etag, r.rested = "", true
	if err := r.meet(ctx); err != nil {
		return err
	}
	if err := r.authenticate(ctx); err != nil {
		return err
	}
	return r.follow(ctx)
}

// settle lets others use the server, and makes it the one that was meant.
func (r *remote) settle(a *answer) {
	if r.base.Scheme == "https" {
		r.l.cfg.Trust.Confirm(hostPort(r.base), a.chain)
	}
	if s := (session{call: r.call, base: r.base, what: r.what, bearer: r.kept.AuthCode}); r.session.Load() == nil || *r.session.Load() != s {
		r.session.Store(&s)
	}
}

// meet finds out what the server is.
func (r *remote) meet(ctx context.Context) error {
	a, err := r.ask(ctx, question{method: http.MethodGet, path: "/api/health"})
	r.what = DigiServer
	if isStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
		return nil // older ones do not know the question
	}
	if err != nil {
		return err
	}
	var said struct {
		Product string `json:"product"`
		Status  any    `json:"status"`
	}
	if err := a.into(&said); err != nil {
		return err
	}
	if strings.EqualFold(said.Product, "porthole") {
		r.what = Porthole
	}
	if r.base.Scheme == "https" {
		// Nobody else answers like this: what it showed at first sight is its certificate.
		r.l.cfg.Trust.Confirm(hostPort(r.base), a.chain)
	}
	return nil
}

// authenticate proves who this screen is: by the auth code that is kept, by hostname and quick-connect code, or by a person.
func (r *remote) authenticate(ctx context.Context) error {
	if r.kept.AuthCode != "" {
		err := r.verify(ctx)
		if !isStatus(err, http.StatusUnauthorized) {
			return err
		}
		r.l.cfg.Log.Warn("the signage server does not take the auth code any more; getting another one")
		r.kept.AuthCode = ""
	}
	switch {
	case r.s.code != "":
		return r.login(ctx)
	case r.what == Porthole:
		return r.pair(ctx)
	}
	return &problemError{explanation{CauseAuth, "This server wants a quick-connect code, and the settings have none.", "Enter the hostname and the quick-connect code that the server has for this screen."}}
}

// identity is what servers answer who lets a screen in: numbers may be texts, and null.
type identity struct {
	Success  *bool  `json:"success"`
	Valid    *bool  `json:"valid"`
	ID       number `json:"player_id"`
	Name     text   `json:"player_name"`
	AuthCode string `json:"auth_code"`
	Error    text   `json:"error"`
	Turned   text   `json:"orientation"`
}

// take keeps who we are.
func (r *remote) take(i identity) error {
	for _, good := range []*bool{i.Success, i.Valid} {
		if good != nil && !*good {
			return &statusError{status: http.StatusUnauthorized, text: oneLine(string(i.Error))}
		}
	}
	if i.ID == 0 {
		i.ID = number(r.kept.PlayerID)
	}
	if i.ID <= 0 || len(i.AuthCode) > 4096 {
		return &formatError{"it lets this screen in, and does not say as whom"}
	}
	before := r.kept
	r.kept.PlayerID, r.kept.PlayerName = int64(i.ID), cmp.Or(oneLine(string(i.Name)), r.kept.PlayerName)
	r.kept.AuthCode = cmp.Or(i.AuthCode, r.kept.AuthCode)
	if o := strings.ToLower(string(i.Turned)); slices.Contains([]string{"landscape", "portrait", "landscape-flipped", "portrait-flipped"}, o) {
		r.kept.Orientation = o
	}
	r.verified = time.Now()
	if r.kept != before {
		r.l.saveKept(r.kept)
	}
	r.l.mu.Lock()
	r.l.state.PlayerID, r.l.state.PlayerName = r.kept.PlayerID, r.kept.PlayerName
	r.l.mu.Unlock()
	return nil
}

// login gets an auth code for hostname and quick-connect code.
func (r *remote) login(ctx context.Context) error {
	a, err := r.ask(ctx, question{method: http.MethodPost, path: "/api/auth/player", body: map[string]string{
		"hostname": r.s.hostname, "quickconnect_code": r.s.code,
	}})
	if r.what == DigiServer && isStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented) {
		r.nameless = true
		return nil
	}
	if err != nil {
		return err
	}
	r.nameless = false
	var i identity
	if err := a.into(&i); err != nil {
		return err
	}
	if i.AuthCode == "" && (i.Success == nil || *i.Success) {
		return &formatError{"it lets this screen in, and gives it no auth code"}
	}
	return r.take(i)
}

// verify proves the auth code, and takes a new one where the server gives one.
func (r *remote) verify(ctx context.Context) error {
	a, err := r.ask(ctx, question{method: http.MethodPost, path: "/api/auth/verify", bearer: r.kept.AuthCode, body: map[string]string{"auth_code": r.kept.AuthCode}})
	if r.what == DigiServer && isStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented) && r.kept.PlayerID > 0 {
		r.verified = time.Now()
		return nil // the playlist will tell
	}
	if err != nil {
		return err
	}
	var i identity
	if err := a.into(&i); err != nil {
		return err
	}
	return r.take(i)
}

// follow takes the next news. An auth code that worked and is not taken any more leads to another one at once: nothing is
// wrong if there is one.
func (r *remote) follow(ctx context.Context) error {
	err := r.news(ctx)
	if err == nil {
		r.worked = true
	} else if r.worked && r.kept.AuthCode != "" && isStatus(err, http.StatusUnauthorized) {
		r.worked = false
		return errAgain
	}
	return err
}

func (r *remote) news(ctx context.Context) error {
	if !r.nameless && time.Since(r.verified) > verifyEvery {
		if err := r.verify(ctx); err != nil {
			return err
		}
	}
	if r.what == Porthole {
		return r.followPorthole(ctx)
	}
	return r.followDigiServer(ctx)
}

// followPorthole takes the next program.
func (r *remote) followPorthole(ctx context.Context) error {
	p, a, err := followProgram(ctx, r.ask, question{path: r.own("program"), bearer: r.kept.AuthCode, etag: r.etag})
	if err != nil {
		return err
	}
	r.settle(a)
	if p == nil {
		return nil
	}
	r.etag = a.header.Get("ETag")
	r.camerasThere(p)
	if r.l.deliver(*p, nil) {
		r.shoot(ctx)
	}
	return nil
}

// own is a call on this player.
func (r *remote) own(call string) string {
	return "/api/players/" + strconv.FormatInt(r.kept.PlayerID, 10) + "/" + call
}

// camerasThere makes streams of cameras: they are the server's, and ours may have the same names.
func (r *remote) camerasThere(p *program.Program) {
	host := hostPort(r.base)
	for _, list := range p.Playlists {
		for n, i := range list.Items {
			if i.Kind == "camera" {
				list.Items[n].Kind, list.Items[n].URL = "stream", "rtsps://"+host+"/"+url.PathEscape(i.Camera)
			}
		}
	}
}

func (r *remote) tell(ctx context.Context, rep report) error {
	s := r.session.Load()
	if s == nil {
		return errNotConnected
	}
	q := question{method: http.MethodPost, path: "/api/player-feedback", bearer: s.bearer, body: rep}
	if s.what == DigiServer {
		// The contract has them in the body; ours go by the auth code alone.
		b, err := json.Marshal(rep)
		if err != nil {
			return fmt.Errorf("encode report: %w", err)
		}
		body := map[string]any{}
		if err := json.Unmarshal(b, &body); err != nil {
			return fmt.Errorf("encode report: %w", err)
		}
		body["hostname"], body["quickconnect_code"] = r.s.hostname, r.s.code
		q.body = body
	}
	_, err := s.call.ask(ctx, q)
	return err
}
