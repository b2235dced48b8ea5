package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/settings"
)

// What people are told to do. The certificate can be compared on the server: Porthole shows it on its screen and on the
// page Certificate, others with "openssl x509 -noout -fingerprint -sha256 -in FILE".
const (
	stepCompare = "If the server was set up anew, compare the fingerprint with the one that the server itself shows, and approve it on the console’s Screen page. If it was not, somebody may stand between this screen and its server: do not approve."
	stepRenew   = "Renew the certificate on the server; or compare the fingerprint with the one that the server itself shows, and approve it on the console’s Screen page."
	stepPin     = "Correct or remove the pin in the settings of this screen."
)

// decide says by what the server is recognized, byFirst where it is to be taken at first sight. The caller holds mu.
func (t *Trust) decide(server string, chain []*x509.Certificate) (How, *RefusedError) {
	no := func(step, format string, args ...any) (How, *RefusedError) {
		return "", &RefusedError{Server: server, Fingerprint: certs.Fingerprint(chain[0]), Reason: fmt.Sprintf(format, args...), Step: step}
	}
	if t.problem != nil {
		return no(stepPin, "The server cannot be recognized: %v.", t.problem)
	}
	host := hostOf(server)
	r := t.kept.find(server)
	if r == nil {
		r = &record{}
	}
	for _, p := range t.preset {
		if p.match(host, chain) {
			return ByPreset, nil
		}
	}
	first := t.policy.Trust == settings.TrustFirst && len(t.preset) == 0
	for _, p := range r.Pins {
		// What a first connection showed counts only as long as first connections do.
		switch {
		case p.By == byFirstUse && !first:
		case p.match(host, chain):
			return p.how(), nil
		case p.Kind == kindName && t.vouchedForAny(p.Names, chain):
			return ByPublic, nil
		}
	}
	var public error
	if t.policy.Trust != settings.TrustPinned {
		if public = t.vouched(host, chain); public == nil {
			return ByPublic, nil
		}
	}
	switch {
	case t.policy.Trust == settings.TrustPublic:
		return no(stepRenew, "No public CA vouches for the server’s certificate: %s.", inWords(public))
	case len(t.preset) > 0:
		return no(stepCompare, "The server shows another certificate than the one that was set for it.")
	case r.Public:
		return no(stepRenew, "Public CAs vouched for this server’s certificate, and do not any more: %s.", inWords(public))
	case len(r.Pins) > 0:
		return no(stepCompare, "The server shows another certificate than the one that is pinned.")
	case t.kept.Sealed:
		return no(stepCompare, "What this screen knew of its server’s certificate was damaged on the storage and is lost.")
	}
	return byFirst, nil
}

// accept notes by what a server was recognized. The caller holds mu.
func (t *Trust) accept(server string, chain []*x509.Certificate, how How) {
	if how == byFirst {
		return
	}
	leaf := chain[0]
	print := certs.Fingerprint(leaf)
	if r := t.kept.find(server); r != nil && r.Leaf == print && r.Pending == nil && r.Public == (how == ByPublic) {
		return
	}
	r := t.kept.record(server)
	fresh, same := r.Leaf == "", r.Leaf == print
	was := r.Public
	r.Leaf, r.Pending, r.Public = print, nil, how == ByPublic
	for n := range r.Pins {
		r.Pins[n].learn(hostOf(server), chain)
	}
	switch {
	case how == ByPublic && !was:
		t.decided(server, Public, leaf, "Public CAs vouch for this certificate and the server’s name.")
	case same && was == r.Public:
		// It was another one for a while.
	case how == ByPublic:
		t.decided(server, Renewed, leaf, "Public CAs vouch for the server’s new certificate.")
	case how == ByPreset && fresh:
		t.decided(server, Preset, leaf, "The certificate is the one that was set for this server.")
	case how == ByPreset:
		t.decided(server, Renewed, leaf, "The server’s new certificate has the pin that was set for it.")
	case how == ByCA:
		t.decided(server, Renewed, leaf, "The server’s new certificate is from its pinned CA.")
	default:
		t.decided(server, Renewed, leaf, "The server’s new certificate has its pinned key.")
	}
	t.save() //nolint:errcheck // it is logged; what was decided holds until the restart
}

// refuse keeps a certificate for approval. The caller holds mu.
func (t *Trust) refuse(server string, chain []*x509.Certificate, why *RefusedError) {
	r := t.kept.record(server)
	if r.Pending != nil && r.Pending.Fingerprint == why.Fingerprint && r.Pending.Reason == why.Reason {
		return
	}
	r.Pending = newPending(chain, why, t.cfg.Now())
	t.decided(server, Refused, chain[0], why.Reason)
	t.save() //nolint:errcheck // it is logged; it waits in memory
}

// vouched reports why no public CA vouches for the chain, nil if one does. A certificate of the future is one of the present:
// the clock is slow, and this is the server that would put it right. One of the past is none.
func (t *Trust) vouched(host string, chain []*x509.Certificate) error {
	now := t.cfg.Now()
	inter := x509.NewCertPool()
	for _, c := range chain {
		if now.Before(c.NotBefore) {
			now = c.NotBefore
		}
		inter.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: t.cfg.Roots, Intermediates: inter, CurrentTime: now})
	return err
}

// publicNames lists the names in a certificate for which public CAs vouch.
func (t *Trust) publicNames(chain []*x509.Certificate) (names []string) {
	for _, n := range chain[0].DNSNames[:min(len(chain[0].DNSNames), maxNames)] {
		if n = strings.ToLower(n); t.vouched(someName(n), chain) == nil {
			names = append(names, n)
		}
	}
	return names
}

func (t *Trust) vouchedForAny(names []string, chain []*x509.Certificate) bool {
	return slices.ContainsFunc(names, func(n string) bool { return t.vouched(someName(n), chain) == nil })
}

// someName is a name that the pattern of a certificate stands for.
func someName(pattern string) string {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		return "any-name-of-these." + rest
	}
	return pattern
}

// isPublic reports whether a CA is one of the public ones or below one, at any time.
func (t *Trust) isPublic(ca *x509.Certificate) bool {
	_, err := ca.Verify(x509.VerifyOptions{Roots: t.cfg.Roots, CurrentTime: ca.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// inWords says what is wrong with a certificate, as the rest of a sentence.
func inWords(err error) string {
	var (
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &name):
		return "it is for other names than " + name.Host
	case errors.As(err, &unknown):
		return "it is from nobody that they know"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return "it was good until " + invalid.Cert.NotAfter.UTC().Format("2 January 2006 15:04 UTC") + ", says this screen’s clock"
	}
	return "it cannot be verified"
}

// hostOf is the name or address in HOST:PORT.
func hostOf(server string) string {
	if host, _, err := net.SplitHostPort(server); err == nil {
		return host
	}
	return server
}
