package trust_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/settings"
	"porthole/packages/player/trust"
)

func keyPin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// TestPreset: every form of a preset pin.
func TestPreset(t *testing.T) {
	ca := authority("Shop CA")
	root := issue(t, pair{}, ca, nil)
	between := issue(t, root, authority("Shop servers"), nil)
	below := issue(t, between, leaf("127.0.0.1"), nil)
	short := below
	short.above = short.above[:1] // without the root
	self := openssl(t, "-subj", "/CN=digiserver")
	for name, c := range map[string]struct {
		pin   string
		shows pair
		ok    bool
	}{
		"certificate":          {certs.Fingerprint(self.cert), self, true},
		"with prefix":          {"SHA256:" + strings.ToLower(certs.Fingerprint(self.cert)), self, true},
		"key":                  {keyPin(self.cert), self, true},
		"CA":                   {certs.Fingerprint(root.cert), below, true},
		"CA's key":             {keyPin(between.cert), below, true},
		"CA that is not sent":  {certs.Fingerprint(root.cert), short, false},
		"PEM":                  {self.pem(), self, true},
		"PEM of the CA":        {root.pem(), short, true},
		"PEM of several":       {self.pem() + "\nnotes\n" + root.pem(), below, true},
		"another":              {certs.Fingerprint(root.cert), self, false},
		"PEM of another":       {root.pem(), self, false},
		"CA, another's server": {root.pem(), issue(t, between, leaf("printer.example"), nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range []settings.Trust{settings.TrustFirst, settings.TrustPinned} {
				s := newScreen(t)
				srv := serve(t, c.shows)
				s.policy(way, c.pin)
				if c.ok {
					s.want(srv, trust.ByPreset)
					continue
				}
				r := s.refused(srv, "was set")
				if err := s.Approve(r.Fingerprint); err != nil {
					t.Fatal(err)
				}
				if _, err := s.dial(srv); err != nil {
					t.Errorf("after approval: %v", err)
				}
			}
		})
	}
}

// TestWays: what the ways take that are not the first.
func TestWays(t *testing.T) {
	s := newScreen(t)
	root := issue(t, pair{}, authority("Public Root"), nil)
	s.roots.AddCert(root.cert)
	self, public := openssl(t, "-subj", "/CN=digiserver"), issue(t, root, leaf("127.0.0.1"), nil)

	srv := serve(t, self)
	s.policy(settings.TrustPublic, "")
	r := s.refused(srv, "No public CA", "approve")
	if err := s.Approve(r.Fingerprint); err != nil {
		t.Fatal(err)
	}
	s.want(srv, trust.ByKey)

	// A pin of the first connection does not count where first connections do not.
	srv = serve(t, self)
	s.policy(settings.TrustFirst, "")
	s.want(srv, trust.ByKey)
	s.policy(settings.TrustPublic, "")
	s.refused(srv)
	s.policy("", "")
	s.want(srv, trust.ByKey)

	// A preset pin comes with the way to a public certificate, unless it is to be the only one.
	srv = serve(t, public)
	s.policy(settings.TrustFirst, self.pem())
	s.want(srv, trust.ByPublic)
	s.policy(settings.TrustPinned, self.pem())
	s.refused(srv)
	if err := s.Set(trust.Policy{Trust: settings.TrustPinned}); err == nil {
		t.Error("no pin is none that is wrong")
	}
	s.refused(srv, "there is none")
	for _, pin := range []string{"abc", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", strings.Repeat("a", 1<<20)} {
		if err := s.Set(trust.Policy{Pin: pin}); err == nil {
			t.Errorf("the pin %.40q is taken", pin)
		}
		s.refused(srv, "cannot be recognized", "Correct")
	}
	s.policy(settings.TrustFirst, "")
	s.want(srv, trust.ByPublic)
}
