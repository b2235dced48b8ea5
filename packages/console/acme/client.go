package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"porthole/packages/internal/certs"
)

// client speaks with one server, by one account.
type client struct {
	*acme.Client
	account acme.Account
	meta    acme.DirectoryMeta
	// pace knows when the server wants to be asked again.
	pace *pace
}

// account is what is kept of an account.
type account struct {
	KeyPEM   string `json:"key_pem"`
	Location string `json:"location"`
	Email    string `json:"email"`
	EABKey   string `json:"eab_key,omitempty"`
}

// errLeavesTLS keeps requests and what is in them from the clear.
var errLeavesTLS = errors.New("the server leads away from https")

// pace is a transport that bounds answers, remembers Retry-After of those that refuse, and leaves TLS for nobody: a server says
// in its answers where to go on, and is not to have us ask what only this device, or its network, can reach in the clear.
type pace struct {
	next *http.Transport
	now  func() time.Time

	mu    sync.Mutex
	until time.Time // guarded by mu
}

// RoundTrip sends a request.
func (p *pace) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errLeavesTLS
	}
	res, err := p.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxAnswer), res.Body}
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.until = retryAfter(res.Header.Get("Retry-After"), p.now())
	}
	return res, nil
}

// askedFor returns when the server wants to be asked again; zero where it said nothing.
func (p *pace) askedFor() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// retryAfter understands RFC 9110 section 10.2.3; zero where there is nothing to understand. A week is the longest that is
// believed: no limit of a server lasts longer.
func retryAfter(v string, now time.Time) time.Time {
	var at time.Time
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		at = now.Add(time.Duration(seconds) * time.Second)
	} else if at, err = http.ParseTime(v); err != nil {
		return time.Time{}
	}
	if last := now.Add(7 * 24 * time.Hour); at.After(last) {
		return last
	}
	return at
}

// newHTTP makes a client that trusts roots besides the system's and does not leave TLS.
func newHTTP(roots []*x509.Certificate, now func() time.Time) (*http.Client, *pace, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, nil, fmt.Errorf("read trusted authorities: %w", err)
	}
	for _, r := range roots {
		pool.AddCert(r)
	}
	p := &pace{now: now, next: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, Time: now},
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: requestWithin, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
	}}
	return &http.Client{Transport: p, Timeout: requestWithin, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return errors.New("the server leads from one address to the next")
		}
		return nil
	}}, p, nil
}

// open reads the server's directory and finds or makes the account.
func (m *Manager) open(ctx context.Context, s Settings, directory string) (*client, error) {
	var roots []*x509.Certificate
	if s.RootPEM != "" {
		var err error
		if roots, err = ParseRoots(s.RootPEM); err != nil {
			return nil, err
		}
	}
	hc, p, err := newHTTP(append(roots, m.o.Roots...), m.now)
	if err != nil {
		return nil, err
	}
	c := &client{pace: p, Client: &acme.Client{
		Directory: directory, HTTPClient: hc, UserAgent: "Porthole/" + m.o.Version, PollInterval: m.o.PollInterval, PollTimeout: validateWithin,
	}}
	dir, err := c.GetDirectory(ctx)
	if err != nil {
		c.close()
		return nil, &stepError{step: readDirectory, err: err, until: p.askedFor()}
	}
	if dir.Meta != nil {
		c.meta = *dir.Meta
	}
	if err := m.register(ctx, c, s, directory); err != nil {
		c.close()
		return nil, &stepError{step: register, err: err, until: p.askedFor()}
	}
	return c, nil
}

func (c *client) close() { c.pace.next.CloseIdleConnections() }

// register sets the account: the one kept, or a new one.
func (m *Manager) register(ctx context.Context, c *client, s Settings, directory string) error {
	var kept account
	found, err := m.load(ctx, keyAccount(directory), &kept)
	if err != nil {
		return err
	}
	if found && kept.EABKey == s.eabFor(directory) {
		key, err := certs.DecodeKey([]byte(kept.KeyPEM))
		if err != nil {
			return err
		}
		c.account = acme.Account{Status: acme.StatusValid, PrivateKey: key, Location: kept.Location}
		if kept.Email == s.Email {
			return nil
		}
		c.account.Contact = contact(s)
		if c.account, err = c.UpdateAccount(ctx, c.account); err != nil {
			return err
		}
		c.account.Location, kept.Email = kept.Location, s.Email
		return m.save(ctx, keyAccount(directory), kept)
	}
	if c.meta.ExternalAccountRequired && s.eabFor(directory) == "" {
		return errNeedsEAB
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make account key: %w", err)
	}
	keyPEM, err := certs.EncodeKey(key)
	if err != nil {
		return err
	}
	a := acme.Account{Contact: contact(s), TermsOfServiceAgreed: s.Agreed, PrivateKey: key}
	if id := s.eabFor(directory); id != "" {
		if err := a.SetExternalAccountBinding(ctx, c.Client, acme.EAB{KeyID: id, MACKey: s.EABMAC}); err != nil {
			return err
		}
	}
	if c.account, err = c.NewAccount(ctx, a); err != nil {
		return err
	}
	if c.account.Location == "" {
		return errors.New("the server made an account and does not say where")
	}
	return m.save(ctx, keyAccount(directory), account{KeyPEM: string(keyPEM), Location: c.account.Location, Email: s.Email, EABKey: s.eabFor(directory)})
}

// eabFor is the binding's id; the test server of a rehearsal needs none.
func (s Settings) eabFor(directory string) string {
	if directory == LetsEncryptStaging {
		return ""
	}
	return s.EABKey
}

func contact(s Settings) []string {
	if s.Email == "" {
		return nil
	}
	return []string{"mailto:" + s.Email}
}

// load reads what is kept under key into v; false when there is nothing.
func (m *Manager) load(ctx context.Context, key string, v any) (bool, error) {
	b, err := m.o.Keeper.Load(ctx, key)
	if err != nil || b == nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("decode %s: %w", key, err)
	}
	return true, nil
}

// save keeps v under key.
func (m *Manager) save(ctx context.Context, key string, v any) error {
	return m.saveAll(ctx, map[string]any{key: v})
}
