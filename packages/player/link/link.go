// Package link connects the screen to its signage server: this device's own over a socket, another Porthole, or any server
// that speaks the DigiServer contract. It brings programs and media, and takes reports there, however long that takes.
package link

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/player/playback"
	"porthole/packages/player/trust"
)

// Kind is what a server is.
type Kind string

// The kinds.
const (
	Own        Kind = "own"        // this device
	Porthole   Kind = "porthole"   // another one of ours: it answers with a whole program
	DigiServer Kind = "digiserver" // an original server: it answers with the playlist now
)

// State is what the link can say, for player.sock.
type State struct {
	Kind Kind `json:"kind,omitempty"`
	// Server is its address, empty for this device's own.
	Server string `json:"server,omitempty"`
	// Connected says that the last call went well; LastContact is when one last did.
	Connected   bool      `json:"connected"`
	LastContact time.Time `json:"last_contact,omitzero"`
	// Problem is a sentence that says what is wrong, Step one that says what to do; both are empty while all is well.
	Problem string `json:"problem,omitempty"`
	Step    string `json:"step,omitempty"`
	// Cause tells problems apart, one of the Cause constants; empty for none.
	Cause Cause `json:"cause,omitempty"`
	// Attempts counts those since the last that went well; Next is when the next one is due.
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	// PlayerID and PlayerName are the server's for this screen.
	PlayerID   int64  `json:"player_id,omitempty"`
	PlayerName string `json:"player_name,omitempty"`
	// PairingCode is to be typed at PairingURI, while the server waits for that.
	PairingCode string `json:"pairing_code,omitempty"`
	PairingURI  string `json:"pairing_uri,omitempty"`
	// Fingerprint is the SHA-256 of the certificate that the server showed last, in hex with colons, CA that of the CA that came
	// with it, if one did. Trust says how it is trusted: "public", "pinned ca", "pinned key", "preset", "" for not.
	Fingerprint string `json:"fingerprint,omitempty"`
	CA          string `json:"ca_fingerprint,omitempty"`
	Trust       string `json:"trust,omitempty"`
	// Pending is the fingerprint of another certificate that waits for approval, PendingCA that of its CA, if it came with one.
	Pending   string `json:"pending,omitempty"`
	PendingCA string `json:"pending_ca_fingerprint,omitempty"`
	// LeftOut are items of the server that no screen of ours can play, with why.
	LeftOut []string `json:"left_out,omitempty"`
	// Spooled counts reports that the server has not got yet, Lost those that the bound of the spool has cost.
	Spooled int `json:"spooled"`
	Lost    int `json:"lost"`
}

// Clock says what time it is, and is told what verified servers say (clock.Clock).
type Clock interface {
	Now() time.Time
	FromServer(t time.Time, roundTrip time.Duration)
}

// Config is what a Link works with. Identify and Shot may be nil.
type Config struct {
	Log *slog.Logger
	// Dir is where the auth code is kept (server.json, 0600). It is made if need be.
	Dir string
	// Agent is what the player calls itself, as "Porthole/1.0".
	Agent string
	// Console leads to console-internal.sock (unixsock.Transport).
	Console http.RoundTripper
	Trust   *trust.Trust
	Clock   Clock
	Spool   Spool
	// Program takes each program that is another than the one before. It must not wait.
	Program func(program.Program)
	// Identify is told what the server wants shown over everything, until when; the zero time for no more.
	Identify func(text string, until time.Time)
	// Shot returns a JPEG of what is on the screen.
	Shot func() ([]byte, error)
}

// Link is the way to the server.
type Link struct {
	cfg Config
	// poll is how often an original server is asked, beat how often it is told that all is as before. stall is how long a
	// medium may come without a byte.
	poll, beat, stall time.Duration

	again chan struct{} // tells who waits to try now
	told  chan struct{} // tells that there is something to report

	mu       sync.Mutex // guards what follows
	setup    setup
	known    bool          // the settings have come
	changed  chan struct{} // closed and replaced with every change of setup
	state    State
	at       server         // nil while there is none
	host     string         // HOST:PORT whose certificate counts, empty without TLS
	last     []byte         // the program that was handed on last, encoded
	said     playback.Event // what it last said to be playing
	shotSeen int64
}

// New returns a Link, which does nothing until Run and Set.
func New(cfg Config) *Link {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		cfg.Log.Error("cannot make the folder for the signage server's auth code", "err", err)
	}
	return &Link{
		cfg: cfg, poll: 20 * time.Second, beat: time.Minute, stall: 30 * time.Second,
		again: make(chan struct{}, 1), told: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Set takes the settings and the device's name, which is the screen's where the settings have none.
func (l *Link) Set(s settings.PlayerSettings, hostname string) {
	next := newSetup(s, hostname)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known && l.setup == next {
		return
	}
	// The pin may be wrong; then the link says so, as nothing is recognized by it.
	if err := l.cfg.Trust.Set(trust.Policy{Trust: s.Trust, Pin: s.Pin}); err != nil {
		l.cfg.Log.Warn("the preset pin of the server cannot be used", "err", err)
	}
	l.known, l.setup = true, next
	close(l.changed)
	l.changed = make(chan struct{})
}

// Report takes what the server is to hear. It is on the disk when Report returns, or within the second in which the spool
// writes.
func (l *Link) Report(e playback.Event) {
	if e.Status == "playing" {
		l.mu.Lock()
		l.said = e
		l.mu.Unlock()
	}
	if _, err := l.cfg.Spool.Add(e.Status, newReport(e)); err != nil {
		l.cfg.Log.Error("cannot keep a report for the server", "status", e.Status, "err", err)
	}
	poke(l.told)
}

// State says how it stands.
func (l *Link) State() State {
	l.mu.Lock()
	s, server, host := l.state, l.setup.server, l.host
	l.mu.Unlock()
	s.Server = server
	if host != "" {
		t := l.cfg.Trust.State(host)
		s.Fingerprint, s.CA, s.Trust, s.Pending, s.PendingCA = t.Fingerprint, t.CA, string(t.How), t.Pending, t.PendingCA
	}
	waiting := l.cfg.Spool.State()
	s.Spooled, s.Lost = waiting.Waiting, waiting.Lost
	return s
}

// Approve takes the server's other certificate, which waits with this fingerprint, and connects; trust.ErrNotPending.
func (l *Link) Approve(fingerprint string) error {
	if err := l.cfg.Trust.Approve(fingerprint); err != nil {
		return err
	}
	l.Retry()
	return nil
}

// Retry tries at once, where the link waits to try again.
func (l *Link) Retry() { poke(l.again) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps the link until ctx ends.
func (l *Link) Run(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		known, setup, changed := l.known, l.setup, l.changed
		l.mu.Unlock()
		serving, cancel := context.WithCancel(ctx)
		var work sync.WaitGroup
		if known {
			s := l.open(setup)
			l.begin(s)
			work.Go(func() { l.keep(serving, setup, s) })
			work.Go(func() { l.tellAll(serving, s) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		cancel()
		work.Wait()
	}
}

// server is one kind of server. Errors of its methods are put in words by explain.
type server interface {
	// connect finds out what the server is and proves who this screen is; it may wait for a person.
	connect(ctx context.Context) error
	// follow takes the next news, waiting for it, and hands them on.
	follow(ctx context.Context) error
	// tell hands over a report.
	tell(ctx context.Context, r report) error
	// get opens a medium, see Link.Get.
	get(ctx context.Context, m medium) (*http.Response, error)
	kind() Kind
	// close drops connections that nobody uses.
	close()
}

// open returns the server that the settings name.
func (l *Link) open(s setup) server {
	if s.server == "" {
		l.meets("")
		return newOwn(l)
	}
	return newRemote(l, s)
}

// meets notes whose certificate counts: that of HOST:PORT, empty without TLS.
func (l *Link) meets(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.host = host
}

// begin shows a new server.
func (l *Link) begin(at server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = State{Kind: at.kind()}
	l.at, l.last, l.shotSeen = at, nil, 0
}

// keep connects and follows the server until ctx ends.
func (l *Link) keep(ctx context.Context, s setup, at server) {
	defer func() {
		l.mu.Lock()
		l.at = nil
		l.mu.Unlock()
		at.close()
	}()
	for failures := 0; ctx.Err() == nil; {
		err := at.connect(ctx)
		for err == nil {
			failures = 0
			l.well(at)
			err = at.follow(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errAgain) {
			continue
		}
		failures++
		wait := s.pause(failures, err)
		l.failed(s, err, failures, wait)
		l.wait(ctx, wait)
	}
}

// wait returns after d, when somebody wants to try now, or when ctx ends.
func (l *Link) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-l.again:
	}
}

// well notes that a call went well.
func (l *Link) well(at server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.state.Connected {
		l.cfg.Log.Info("connected to the signage server", "kind", at.kind(), "server", l.setup.server, "attempts", l.state.Attempts+1)
		poke(l.told)
	}
	st := &l.state
	st.Connected, st.LastContact, st.Attempts, st.Next, st.Kind = true, l.cfg.Clock.Now(), 0, time.Time{}, at.kind()
	st.PairingCode, st.PairingURI = "", ""
	if st.Cause != CauseEmpty {
		st.Problem, st.Step, st.Cause = "", "", ""
	}
}

// failed notes that one did not.
func (l *Link) failed(s setup, err error, failures int, wait time.Duration) {
	e := explain(s, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	st := &l.state
	if st.Problem != e.Problem || st.Connected {
		l.cfg.Log.Warn("no link to the signage server", "server", s.server, "cause", string(e.Cause), "problem", e.Problem, "step", e.Step, "err", err)
	}
	st.Connected, st.Problem, st.Step, st.Cause = false, e.Problem, e.Step, e.Cause
	st.Attempts, st.Next = failures, l.cfg.Clock.Now().Add(wait)
	if e.Cause == CauseAuth {
		st.PairingCode, st.PairingURI = "", ""
	}
}

// deliver hands a program on, if it is another one, and does what the server asks for besides.
// It returns whether a picture of the screen is asked for.
func (l *Link) deliver(p program.Program, leftOut []string) (shot bool) {
	identify, asked := p.IdentifyUntil, p.Screenshot
	p.PlayerName = oneLine(p.PlayerName)
	p.Time, p.IdentifyUntil, p.Screenshot = time.Time{}, time.Time{}, 0
	// A new revision alone is some other screen's news.
	same := p
	same.Revision = 0
	b, err := json.Marshal(same)
	if err != nil {
		l.cfg.Log.Error("cannot encode the program", "err", err)
		return false
	}
	l.mu.Lock()
	fresh := string(b) != string(l.last)
	l.last = b
	shot = asked > l.shotSeen
	l.shotSeen = max(asked, l.shotSeen)
	st := &l.state
	st.PlayerID, st.PlayerName, st.LeftOut = cmp.Or(p.PlayerID, st.PlayerID), cmp.Or(p.PlayerName, st.PlayerName), leftOut
	switch {
	case isEmpty(p):
		e := emptyProgram(l.setup)
		st.Problem, st.Step, st.Cause = e.Problem, e.Step, e.Cause
	case st.Cause == CauseEmpty:
		st.Problem, st.Step, st.Cause = "", "", ""
	}
	l.mu.Unlock()
	if fresh {
		l.cfg.Program(p)
	}
	if l.cfg.Identify != nil {
		l.cfg.Identify(cmp.Or(p.PlayerName, "This screen"), identify)
	}
	return shot
}

// isEmpty reports whether there is nothing that a program could ever show.
func isEmpty(p program.Program) bool {
	for _, list := range p.Playlists {
		if len(list.Items) > 0 {
			return false
		}
	}
	for _, i := range p.Interrupts {
		if i.Text != "" {
			return false
		}
	}
	return true
}
