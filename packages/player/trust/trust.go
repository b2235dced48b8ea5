// Package trust decides whether a server is the one that was meant, from the certificates of its TLS handshake: public CAs,
// a preset pin, or the pin of the first connection. Every decision is written down. Why: docs/decisions/0019.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/settings"
)

// Decision is a line of the audit log.
type Decision struct {
	Time   time.Time `json:"time"`
	Server string    `json:"server"`
	// Action is "pinned", "preset", "refused", "approved", "forgotten", "public" or "renewed".
	Action string `json:"action"`
	// Fingerprint is the certificate's SHA-256 in hex with colons; Detail a sentence.
	Fingerprint string `json:"fingerprint,omitempty"`
	Detail      string `json:"detail"`
}

// The actions of the audit log.
const (
	Pinned    = "pinned"
	Preset    = "preset"
	Refused   = "refused"
	Approved  = "approved"
	Forgotten = "forgotten"
	Public    = "public"
	Renewed   = "renewed"
)

// How says what a server was recognized by.
type How string

// The ways.
const (
	ByPublic How = "public"
	ByCA     How = "pinned ca"
	ByKey    How = "pinned key"
	ByPreset How = "preset"
	// byFirst is before the first connection has proved to be one to a signage server (Confirm).
	byFirst How = "first"
)

// Policy is what the settings ask for.
type Policy struct {
	// Trust is the way; empty means settings.TrustFirst.
	Trust settings.Trust
	// Pin is settings.PlayerSettings.Pin.
	Pin string
}

// Config says where things lie.
type Config struct {
	Log *slog.Logger
	// Dir holds what is kept: pins.json and trust.jsonl.
	Dir string
	// Roots are the public CAs; nil means the system's.
	Roots *x509.CertPool
	// Now is the time; nil means time.Now. It may be slow, as on a device whose clock nobody has set yet.
	Now func() time.Time
}

// Trust decides and remembers. It may be used by several at once.
type Trust struct {
	cfg   Config
	audit *audit

	mu sync.Mutex // guards what follows
	// kept is what is on the disk.
	kept kept
	// policy is in effect; problem is why it cannot be.
	policy  Policy
	preset  []pin
	problem error
	shown   map[string]shown
}

// shown is what a server has shown last.
type shown struct {
	leaf, ca string // fingerprints; ca is that of the CA that was sent along, if any
	how      How
}

// State is what is known of a server.
type State struct {
	// Fingerprint is the SHA-256 of the certificate that it showed last, CA that of the CA that it sent with it, if it did.
	Fingerprint, CA string
	// How is what it was recognized by; empty: it was not.
	How How
	// Pending is the fingerprint of a certificate that waits for approval, PendingCA that of its CA, Reason why.
	Pending, PendingCA, Reason string
}

// RefusedError says why a server is not let near.
type RefusedError struct {
	Server, Fingerprint string
	// Reason is a sentence on what is wrong, Step one on what to do.
	Reason, Step string
}

func (e *RefusedError) Error() string { return e.Reason }

// ErrNotPending means that no certificate with this fingerprint waits for approval.
var ErrNotPending = errors.New("no certificate with this fingerprint waits for approval (any more); look at the fingerprint again, the server may show another one by now")

// Open reads what is kept in the folder. What cannot be read is put aside: then no server is taken at first sight until one
// has been approved.
func Open(cfg Config) *Trust {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &Trust{
		cfg: cfg, shown: map[string]shown{}, policy: Policy{Trust: settings.TrustFirst},
		audit: openAudit(cfg.Log, filepath.Join(cfg.Dir, "trust.jsonl")),
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		cfg.Log.Error("cannot make the folder of servers' certificates", "err", err)
	}
	t.load()
	return t
}

// Set takes a policy. An error says what is wrong with its pin: then no server is recognized until there is a better one.
func (t *Trust) Set(p Policy) error {
	if p.Trust == "" {
		p.Trust = settings.TrustFirst
	}
	pins, err := parsePin(p.Pin)
	switch {
	case err != nil:
	case p.Trust == settings.TrustPinned && len(pins) == 0:
		err = errors.New("the server is to be recognized by a preset pin only, and there is none")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.policy, t.preset, t.problem = p, pins, err
	return err
}

// TLS returns the configuration for connections to a server, given as HOST:PORT. Its handshakes fail with a *RefusedError
// where the server is not the one that was meant.
func (t *Trust) TLS(server string) *tls.Config {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		host = server
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: host,
		// VerifyConnection decides instead, on every connection.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := t.Check(server, cs.PeerCertificates)
			return err
		},
	}
}

// Check decides whether chain, as a handshake showed it with the leaf first, is that of the server at HOST:PORT.
func (t *Trust) Check(server string, chain []*x509.Certificate) (How, error) {
	server = strings.ToLower(server)
	if len(chain) == 0 {
		return "", &RefusedError{Server: server, Reason: "The server showed no certificate.", Step: "Check that this is the signage server’s address."}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := shown{leaf: certs.Fingerprint(chain[0])}
	if ca := sentCA(chain); ca != nil {
		seen.ca = certs.Fingerprint(ca)
	}
	how, why := t.decide(server, chain)
	seen.how = how
	if how == byFirst {
		seen.how = t.firstHow(chain)
	}
	t.shown[server] = seen
	if why != nil {
		t.refuse(server, chain, why)
		return "", why
	}
	t.accept(server, chain, how)
	return seen.how, nil
}

// Confirm says that the server with this chain has answered as a signage server: now what it showed at first sight is
// pinned. What leads to a hotspot's login page is not.
func (t *Trust) Confirm(server string, chain []*x509.Certificate) {
	server = strings.ToLower(server)
	if len(chain) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if how, why := t.decide(server, chain); why != nil || how != byFirst {
		return
	}
	r := t.kept.record(server)
	r.Pins = t.pinsOf(chain, byFirstUse)
	r.Leaf = certs.Fingerprint(chain[0])
	t.decided(server, Pinned, chain[0], "The first connection showed this certificate. It was pinned by "+describe(r.Pins)+".")
	t.save() //nolint:errcheck // it is logged; what was decided holds until the restart
}

// Approve takes the certificate that waits with this fingerprint, in hex with or without colons; ErrNotPending.
func (t *Trust) Approve(fingerprint string) error {
	want := plainHex(fingerprint)
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range t.kept.Servers {
		r := &t.kept.Servers[n]
		if r.Pending == nil || want == "" || plainHex(r.Pending.Fingerprint) != want {
			continue
		}
		chain, err := r.Pending.chain()
		if err != nil {
			return fmt.Errorf("read the certificate that waits for approval: %w", err)
		}
		r.Pins, r.Pending, r.Leaf, r.Public = t.pinsOf(chain, byApproval), nil, certs.Fingerprint(chain[0]), false
		t.kept.Sealed = false
		t.decided(r.Server, Approved, chain[0], "A person approved this certificate. It was pinned by "+describe(r.Pins)+".")
		return t.save()
	}
	return ErrNotPending
}

// State returns what is known of the server at HOST:PORT.
func (t *Trust) State(server string) State {
	server = strings.ToLower(server)
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.shown[server]
	s := State{Fingerprint: seen.leaf, CA: seen.ca, How: seen.how}
	if r := t.kept.find(server); r != nil && r.Pending != nil {
		s.Pending, s.Reason = r.Pending.Fingerprint, r.Pending.Reason
		if chain, err := r.Pending.chain(); err == nil {
			if ca := sentCA(chain); ca != nil {
				s.PendingCA = certs.Fingerprint(ca)
			}
		}
	}
	return s
}

// Log returns the last decisions, the latest first.
func (t *Trust) Log() []Decision { return t.audit.list() }

// decided writes a decision down. The caller holds mu.
func (t *Trust) decided(server, action string, leaf *x509.Certificate, detail string) {
	d := Decision{Time: t.cfg.Now().UTC().Truncate(time.Second), Server: server, Action: action, Detail: detail}
	if leaf != nil {
		d.Fingerprint = certs.Fingerprint(leaf)
	}
	t.audit.add(d)
	level := slog.LevelInfo
	if action == Refused {
		level = slog.LevelWarn
	}
	t.cfg.Log.Log(context.Background(), level, "server's certificate", "action", action, "server", server, "sha256", d.Fingerprint, "detail", detail)
}

// plainHex returns a SHA-256 as 64 lower-case hex digits, empty when it is none.
func plainHex(s string) string {
	s = strings.ToLower(strings.NewReplacer(":", "", " ", "", "-", "").Replace(strings.TrimSpace(s)))
	s = strings.TrimPrefix(s, "sha256")
	if b, err := hex.DecodeString(s); err != nil || len(b) != sha256.Size {
		return ""
	}
	return s
}
