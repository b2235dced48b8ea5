package pairs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/certs"
)

// Info is what anybody may know of a pair.
type Info struct {
	Name string `json:"name"`
	// Algorithm is the key's, such as "ECDSA P-256" or "RSA 2048".
	Algorithm string `json:"algorithm"`
	ChainPEM  string `json:"chain_pem"`
	// SHA256 is the leaf's fingerprint in upper-case hex with colons.
	SHA256 string `json:"sha256"`
	// Names are the names and addresses it is for.
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Issuer says in words who signed it.
	Issuer string `json:"issuer"`
	// Public is false for the device's own, which only those trust who trust its authority.
	Public bool `json:"public"`
}

// List returns the pairs that are in service, the device's own first.
func (s *Store) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Info{}, s.list...)
}

// Refresh reads all pairs anew, in case somebody else has changed them.
func (s *Store) Refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
}

// look reads all pairs; the caller holds mu.
func (s *Store) look() {
	before := s.damaged
	s.list, s.damaged = nil, map[string]string{}
	for _, name := range Names() {
		chain, key, err := s.Load(name)
		if err == nil && chain == nil && key == nil {
			continue
		}
		var pair tls.Certificate
		if err == nil {
			pair, err = tls.X509KeyPair(chain, key)
		}
		if err != nil {
			s.damaged[name] = err.Error()
			if before[name] != err.Error() {
				s.cfg.Log.Warn("a certificate is damaged", "certificate", name, "err", err)
			}
			continue
		}
		s.list = append(s.list, describe(name, pair))
	}
}

func describe(name string, pair tls.Certificate) Info {
	leaf := pair.Leaf
	// Not as it lies there: what somebody has put beside a certificate is not for everybody.
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return Info{
		Name: name, Algorithm: certs.Algorithm(leaf.PublicKey), ChainPEM: string(chain), SHA256: certs.Fingerprint(leaf), Names: certs.Names(leaf),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), Issuer: issuer(leaf), Public: Public(name),
	}
}

// issuer names who signed a certificate, with the organization behind a name such as "E7".
func issuer(c *x509.Certificate) string {
	name, org := certs.Issuer(c), strings.Join(c.Issuer.Organization, ", ")
	if org == "" || strings.Contains(name, org) {
		return name
	}
	return fmt.Sprintf("%s (%s)", name, org)
}

// Words says of a certificate, for the journal, what it is for, who signed it, until when it is good, and its fingerprint.
func Words(c *x509.Certificate) string {
	text := fmt.Sprintf("until %s; SHA-256 %s.", day(c.NotAfter), certs.Fingerprint(c))
	names := certs.Names(c)
	if len(names) == 0 {
		return fmt.Sprintf("%s, %s", c.Subject.CommonName, text)
	}
	return fmt.Sprintf("For %s; by %s; %s", strings.Join(names, ", "), issuer(c), text)
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

// How long before its end the owner hears of a certificate: an own one is for people to replace, an ACME server's should
// have been long ago. Of one that is short-lived, the last fifth counts.
const (
	warnOwn  = 30 * 24 * time.Hour
	warnACME = 12 * 24 * time.Hour
)

// Problems says, for the owner, which public pairs cannot be used, have ended or soon will. While the clock is not set
// only what has nothing to do with time counts.
func (s *Store) Problems(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, kind := range []struct {
		names         []string
		warn          time.Duration
		todo, damaged string
	}{
		{[]string{ACME, ACMERSA}, warnACME, "It should have been renewed by itself: Settings, Certificate says why it was not.",
			"Press “Try now” on the page Settings, Certificate."},
		{[]string{Own, OwnRSA}, warnOwn, "Upload a new one on the page Settings, Certificate.",
			"Upload it again on the page Settings, Certificate."},
	} {
		var first *Info
		for i, c := range s.list {
			if slices.Contains(kind.names, c.Name) && (first == nil || c.NotAfter.Before(first.NotAfter)) {
				first = &s.list[i]
			}
		}
		if first != nil && !now.Before(certs.Epoch()) {
			if text := first.ending(now, kind.warn); text != "" {
				list = append(list, text+" "+kind.todo)
			}
		}
		for _, name := range kind.names {
			if s.damaged[name] != "" {
				list = append(list, fmt.Sprintf("The certificate in the folder %s is damaged and not used. %s", name, kind.damaged))
			}
		}
	}
	return list
}

// ending says that the certificate has ended or soon will; empty if neither.
func (i *Info) ending(now time.Time, warn time.Duration) string {
	warn = min(warn, i.NotAfter.Sub(i.NotBefore)/5)
	what := "The certificate for " + strings.Join(i.Names, ", ")
	switch left := i.NotAfter.Sub(now); {
	case left <= 0:
		return fmt.Sprintf("%s ended on %s: clients refuse it, so the device's own is used instead.", what, day(i.NotAfter))
	case left < 24*time.Hour:
		return fmt.Sprintf("%s ends within a day, at %s UTC.", what, i.NotAfter.Format("15:04 on 2 January 2006"))
	case left < warn:
		days := int(left / (24 * time.Hour))
		unit := "days"
		if days == 1 {
			unit = "day"
		}
		return fmt.Sprintf("%s ends in %d %s, on %s.", what, days, unit, day(i.NotAfter))
	}
	return ""
}
