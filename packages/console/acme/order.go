package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/retry"
)

// shortlived is the profile that certificates for IP addresses need at Let's Encrypt (letsencrypt.org/docs/profiles).
const shortlived = "shortlived"

// order is what is kept of an order under way: enough to go on with it after a restart.
type order struct {
	Location  string    `json:"location"`
	KeyPEM    string    `json:"key_pem"`
	Names     []string  `json:"names"`
	Directory string    `json:"directory"`
	Account   string    `json:"account"`
	Profile   string    `json:"profile,omitempty"`
	Replaces  bool      `json:"replaces,omitempty"`
	Created   time.Time `json:"created"`
}

// pair is what is kept of a certificate in service.
type pair struct {
	ChainPEM  string    `json:"chain_pem"`
	Directory string    `json:"directory"`
	Account   string    `json:"account"`
	Names     []string  `json:"names"`
	Renewal   renewal   `json:"renewal"`
	Issued    time.Time `json:"issued"`
}

// leaf parses the certificate.
func (p pair) leaf() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(p.ChainPEM))
	if block == nil {
		return nil, errors.New("the kept certificate is damaged")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse kept certificate: %w", err)
	}
	return cert, nil
}

// newKey makes the private key of a certificate.
func newKey(name string) (crypto.Signer, error) {
	if name == PairRSA {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// job is one certificate to get.
type job struct {
	s         Settings
	directory string
	// name is the pair's; empty for a rehearsal, which proves the names and asks for no certificate.
	name, why string
}

// obtain gets one certificate and puts it in service. An order that a restart interrupted goes on.
func (m *Manager) obtain(ctx context.Context, c *client, j job) error {
	failed := map[string][]string{}
	for {
		kept, o, err := m.order(ctx, c, j)
		if err != nil {
			return err
		}
		proof := m.proveAll(ctx, c, j, o, failed)
		if proof == nil {
			if j.name == "" {
				return nil
			}
			return m.finish(ctx, c, j, kept, o)
		}
		if ctx.Err() != nil {
			return proof // the order is kept: it goes on later
		}
		if err := m.forgetOrder(ctx, j); err != nil {
			return err
		}
		// A server takes no second proof in an order in which one failed: the next way needs another order.
		if s := (*stepError)(nil); !errors.As(proof, &s) || !slices.Contains(failed[s.name], s.way) || len(m.proofs(j.s, s.name, failed)) == 0 {
			return proof
		}
	}
}

// order returns the order to go on with, or a new one.
func (m *Manager) order(ctx context.Context, c *client, j job) (order, acme.Order, error) {
	profile := m.profile(c, j.s)
	if j.name != "" {
		var kept order
		found, err := m.load(ctx, keyOrder(j.name), &kept)
		if err != nil {
			return kept, acme.Order{}, err
		}
		if found && kept.Directory == j.directory && kept.Account == c.account.Location && kept.Profile == profile && slices.Equal(kept.Names, j.s.Names) {
			o, err := c.GetOrder(ctx, c.account, acme.Order{Location: kept.Location})
			if err == nil && o.Status != acme.StatusInvalid {
				o.Location = kept.Location
				return kept, o, nil
			}
			if _, refused := asProblem(err); err != nil && !refused {
				return kept, o, &stepError{step: makeOrder, err: err, until: c.pace.askedFor()}
			}
		}
	}
	return m.newOrder(ctx, c, j, profile)
}

// profile is the certificate's profile: the server's usual one, or for addresses the one that Let's Encrypt has for them.
func (m *Manager) profile(c *client, s Settings) string {
	if _, ok := c.meta.Profiles[shortlived]; ok && slices.ContainsFunc(s.Names, isAddress) {
		return shortlived
	}
	return ""
}

func (m *Manager) newOrder(ctx context.Context, c *client, j job, profile string) (order, acme.Order, error) {
	kept := order{Names: j.s.Names, Directory: j.directory, Account: c.account.Location, Profile: profile, Created: m.now().UTC()}
	ask := acme.Order{Profile: profile}
	for _, n := range j.s.Names {
		kind := "dns"
		if isAddress(n) {
			kind = "ip"
		}
		ask.Identifiers = append(ask.Identifiers, acme.Identifier{Type: kind, Value: n})
	}
	var err error
	if j.name != "" {
		if ask.Replaces, err = m.replaced(ctx, c, j); err != nil {
			return kept, ask, err
		}
		key, err := newKey(j.name)
		if err != nil {
			return kept, ask, fmt.Errorf("make key: %w", err)
		}
		keyPEM, err := certs.EncodeKey(key)
		if err != nil {
			return kept, ask, err
		}
		kept.KeyPEM = string(keyPEM)
	}
	o, err := m.askForOrder(ctx, c, j, ask)
	if said, ok := asProblem(err); ok && ask.Replaces != "" && said.Type != acme.ProblemTypeRateLimited {
		// Some servers do not know what it replaces any more, or it is replaced already: that is no reason to go without.
		ask.Replaces = ""
		o, err = m.askForOrder(ctx, c, j, ask)
	}
	if err != nil {
		return kept, o, err
	}
	kept.Location, kept.Replaces = o.Location, ask.Replaces != ""
	if j.name == "" {
		return kept, o, nil
	}
	return kept, o, m.save(ctx, keyOrder(j.name), kept)
}

// askForOrder makes an order, where the server's limits leave room for one.
func (m *Manager) askForOrder(ctx context.Context, c *client, j job, ask acme.Order) (acme.Order, error) {
	if err := m.room(j.directory, newOrder, ""); err != nil {
		return ask, err
	}
	if j.name != "" && ask.Replaces == "" {
		if err := m.room(j.directory, issued, nameSet(j.s.Names)); err != nil {
			return ask, err
		}
	}
	if err := m.count(ctx, j.directory, newOrder, ""); err != nil {
		return ask, err
	}
	o, err := c.NewOrder(ctx, c.account, ask)
	if err != nil {
		return o, &stepError{step: makeOrder, err: err, until: c.pace.askedFor()}
	}
	return o, nil
}

// replaced is the id of the certificate that a new one replaces (RFC 9773 section 5); empty when it replaces none.
func (m *Manager) replaced(ctx context.Context, c *client, j job) (string, error) {
	var old pair
	found, err := m.load(ctx, keyPair(j.name), &old)
	if err != nil || !found || old.Directory != j.directory || old.Account != c.account.Location || !sharesName(old.Names, j.s.Names) {
		return "", err
	}
	leaf, err := old.leaf()
	if err != nil {
		return "", err
	}
	return acme.ARIUniqueIdentifier(leaf)
}

func sharesName(a, b []string) bool {
	return slices.ContainsFunc(a, func(n string) bool { return slices.Contains(b, n) })
}

// proveAll proves the names of the order that the server does not know as proven yet, one after the other: some DNS
// providers keep one record at a time.
func (m *Manager) proveAll(ctx context.Context, c *client, j job, o acme.Order, failed map[string][]string) error {
	if o.Status != acme.StatusPending {
		return nil
	}
	for _, url := range o.Authorizations {
		authz, err := c.GetAuthorization(ctx, c.account, url)
		if err != nil {
			return &stepError{step: makeOrder, err: err, until: c.pace.askedFor()}
		}
		name := authz.IdentifierValue()
		if authz.Status == acme.StatusValid {
			m.progress.name(name, Proven, "", "")
			continue
		}
		if err := m.prove(ctx, c, j, authz, failed); err != nil {
			return err
		}
	}
	return nil
}

// prove proves one name in the best way that is left.
func (m *Manager) prove(ctx context.Context, c *client, j job, authz acme.Authorization, failed map[string][]string) error {
	name := authz.IdentifierValue()
	i := -1
	for _, way := range m.proofs(j.s, name, failed) {
		if i = slices.IndexFunc(authz.Challenges, func(ch acme.Challenge) bool { return ch.Type == way }); i >= 0 {
			break
		}
	}
	if i < 0 {
		return &stepError{step: noWay, name: name, err: errors.New("the server offers no way to prove the name that can be gone here")}
	}
	ch := authz.Challenges[i]
	fail := func(step step, err error) error {
		if ctx.Err() == nil {
			m.progress.name(name, Failed, ch.Type, "")
		}
		return &stepError{step: step, name: name, way: ch.Type, err: err, until: c.pace.askedFor()}
	}
	if err := m.room(j.directory, failedProof, name); err != nil {
		return err
	}
	m.progress.name(name, Proving, ch.Type, "")
	hide, err := m.show(ctx, c, j.s, ch)
	if err != nil {
		return fail(setRecord, err)
	}
	defer hide()
	if _, err := c.InitiateChallenge(ctx, c.account, ch); err != nil {
		return fail(proveName, err)
	}
	if _, err := c.PollAuthorization(ctx, c.account, authz); err != nil {
		if _, refused := asProblem(err); refused && ctx.Err() == nil {
			failed[name] = append(failed[name], ch.Type)
			if err := m.count(ctx, j.directory, failedProof, name); err != nil {
				return err
			}
		}
		return fail(proveName, err)
	}
	m.progress.name(name, Proven, ch.Type, "")
	return nil
}

// proofs are the ways to prove the name that have not failed, the best first.
func (m *Manager) proofs(s Settings, name string, failed map[string][]string) []string {
	ways := []string{acme.ChallengeTypeTLSALPN01}
	if m.o.Port80 != nil && m.o.Port80() {
		ways = append(ways, acme.ChallengeTypeHTTP01)
	}
	if isWildcard(name) || s.Proof == ByDNS && !isAddress(name) {
		ways = []string{acme.ChallengeTypeDNS01}
	}
	ways = slices.DeleteFunc(ways, func(w string) bool { return slices.Contains(failed[name], w) })
	if i := slices.Index(ways, m.progress.way(name)); i > 0 {
		ways[0], ways[i] = ways[i], ways[0]
	}
	return ways
}

// show lets the server see the answer to the challenge until hide is called.
func (m *Manager) show(ctx context.Context, c *client, s Settings, ch acme.Challenge) (hide func(), err error) {
	if ch.Type != acme.ChallengeTypeDNS01 {
		return m.o.Answers.present(ch)
	}
	return m.setRecord(ctx, c, s, ch)
}

// finish asks for the certificate of an order whose names are proven and puts it in service. The order is forgotten only
// then, so that nothing that was issued is lost.
func (m *Manager) finish(ctx context.Context, c *client, j job, kept order, o acme.Order) error {
	fail := func(step step, err error) error {
		return &stepError{step: step, err: err, until: c.pace.askedFor()}
	}
	m.progress.doing("asking for the certificate")
	key, err := certs.DecodeKey([]byte(kept.KeyPEM))
	if err != nil {
		return errors.Join(err, m.forgetOrder(ctx, j))
	}
	if o, err = m.ready(ctx, c, kept, o); err != nil {
		return fail(finalize, err)
	}
	if o.Status == acme.StatusReady {
		csr, err := acmez.NewCSR(key, kept.Names)
		if err != nil {
			return fmt.Errorf("make request for certificate: %w", err)
		}
		if o, err = c.FinalizeOrder(ctx, c.account, o, csr.Raw); err != nil {
			if _, refused := asProblem(err); refused && ctx.Err() == nil {
				err = errors.Join(err, m.forgetOrder(ctx, j))
			}
			return fail(finalize, err)
		}
		if !kept.Replaces {
			if err := m.count(ctx, j.directory, issued, nameSet(kept.Names)); err != nil {
				return err
			}
		}
	}
	chains, err := c.GetCertificateChain(ctx, c.account, o.Certificate)
	if err != nil || len(chains) == 0 {
		return fail(finalize, errors.Join(err, errors.New("the certificate did not come")))
	}
	return m.putInService(ctx, c, j, kept, chains[0].ChainPEM)
}

// ready waits until the server has noticed that all names of the order are proven, or has issued the certificate.
func (m *Manager) ready(ctx context.Context, c *client, kept order, o acme.Order) (acme.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, issueWithin)
	defer cancel()
	for {
		got, err := c.GetOrder(ctx, c.account, o)
		if err != nil {
			return o, err
		}
		o = got
		o.Location = kept.Location
		switch o.Status {
		case acme.StatusReady, acme.StatusValid:
			return o, nil
		case acme.StatusInvalid:
			if o.Error != nil {
				return o, *o.Error
			}
			return o, errors.New("the server gave the order up")
		}
		if !retry.Pause(ctx, max(m.o.PollInterval, 250*time.Millisecond)) {
			return o, errors.New("the server did not issue the certificate in time")
		}
	}
}

// putInService hands the pair over, and remembers it in the same breath in which the order is forgotten.
func (m *Manager) putInService(ctx context.Context, c *client, j job, kept order, chainPEM []byte) error {
	m.progress.doing("putting the certificate in service")
	if err := m.o.Publisher.Publish(ctx, j.name, chainPEM, []byte(kept.KeyPEM), j.why); err != nil {
		return &stepError{step: publish, err: err}
	}
	p := pair{ChainPEM: string(chainPEM), Directory: j.directory, Account: c.account.Location, Names: kept.Names, Issued: m.now().UTC()}
	leaf, err := p.leaf()
	if err != nil {
		return err
	}
	p.Renewal = m.askRenewal(ctx, c, leaf, renewal{})
	return m.saveAll(ctx, map[string]any{keyPair(j.name): p, keyOrder(j.name): nil})
}

func (m *Manager) forgetOrder(ctx context.Context, j job) error {
	if j.name == "" {
		return nil
	}
	return m.saveAll(ctx, map[string]any{keyOrder(j.name): nil})
}
