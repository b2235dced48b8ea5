package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net"
	"slices"
	"strings"

	"porthole/packages/internal/certs"
)

// The kinds of pins.
const (
	kindCA  = "ca"  // a CA, by its certificate: whatever it signs for this server
	kindKey = "key" // the server's key
	kindAny = "any" // a fingerprint that somebody typed: of the certificate, of its key or of its CA
	// kindName are names for which public CAs vouch, of a server that is reached by another one, or by its address.
	kindName = "name"
)

// Where a pin comes from.
const (
	byFirstUse = "first"
	byApproval = "approved"
	bySetting  = "preset"
)

// How much of a server's past is kept with a CA's pin.
const (
	maxNames = 64
	maxKeys  = 4
)

// pin is what a server is recognized by.
type pin struct {
	Kind string `json:"kind"`
	By   string `json:"by"`
	// SHA256 in hex is that of the CA's certificate, or of the key (SubjectPublicKeyInfo); of either for kindAny.
	SHA256 string `json:"sha256,omitempty"`
	// CA is a CA's certificate. Names and Keys (as SHA256) are those of the certificates that it has signed for this server; Names
	// of kindName may begin with "*.".
	CA    []byte   `json:"ca,omitempty"`
	Names []string `json:"names,omitempty"`
	Keys  []string `json:"keys,omitempty"`
}

func (p pin) how() How {
	if p.Kind == kindCA {
		return ByCA
	}
	return ByKey
}

// match reports whether the chain, the leaf first, is one of the server whose pin this is, at host. Dates and names of
// the leaf do not matter, except where the CA may have signed for others, too.
func (p pin) match(host string, chain []*x509.Certificate) bool {
	leaf := chain[0]
	switch p.Kind {
	case kindKey:
		return p.SHA256 == keySum(leaf)
	case kindCA:
		ca, err := x509.ParseCertificate(p.CA)
		return err == nil && signed(chain, ca) && p.names(host, leaf, ca)
	case kindAny:
		if p.SHA256 == keySum(leaf) || p.SHA256 == certSum(leaf) {
			return true
		}
		for _, c := range chain[1:] {
			if c.IsCA && (p.SHA256 == keySum(c) || p.SHA256 == certSum(c)) && signed(chain, c) && p.names(host, leaf, c) {
				return true
			}
		}
	}
	return false
}

// names reports whether a leaf that ca has signed is this server's: ca signs for one device only, or the leaf has its key, the
// name that it is reached by, or one that it had.
func (p pin) names(host string, leaf, ca *x509.Certificate) bool {
	if isDevices(ca) && leaf.CheckSignatureFrom(ca) == nil || slices.Contains(p.Keys, keySum(leaf)) {
		return true
	}
	if leaf.VerifyHostname(host) == nil {
		return true
	}
	return slices.ContainsFunc(namesOf(leaf), func(n string) bool { return strings.EqualFold(n, host) || slices.Contains(p.Names, n) })
}

// learn adds what a new certificate of the pinned CA says.
func (p *pin) learn(host string, chain []*x509.Certificate) {
	if p.Kind != kindCA || !p.match(host, chain) {
		return
	}
	p.Names = latest(p.Names, maxNames, namesOf(chain[0])...)
	p.Keys = latest(p.Keys, maxKeys, keySum(chain[0]))
}

// latest appends what is not in the list, and drops the oldest beyond most.
func latest(list []string, most int, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return slices.Clone(list[max(0, len(list)-most):])
}

// pinsOf returns what a server that shows this chain is recognized by from now on: its CA if it sent one that is not a public
// one, and its key.
func (t *Trust) pinsOf(chain []*x509.Certificate, by string) []pin {
	leaf := chain[0]
	pins := []pin{{Kind: kindKey, By: by, SHA256: keySum(leaf)}}
	if ca := sentCA(chain); ca != nil && !t.isPublic(ca) {
		pins = append([]pin{{
			Kind: kindCA, By: by, SHA256: certSum(ca), CA: ca.Raw, Names: latest(nil, maxNames, namesOf(leaf)...), Keys: []string{keySum(leaf)},
		}}, pins...)
	}
	if names := t.publicNames(chain); len(names) > 0 {
		pins = append(pins, pin{Kind: kindName, By: by, Names: names})
	}
	return pins
}

// firstHow is how a server that shows this chain will be recognized.
func (t *Trust) firstHow(chain []*x509.Certificate) How { return t.pinsOf(chain, byFirstUse)[0].how() }

func describe(pins []pin) string {
	last := pins[len(pins)-1]
	switch {
	case pins[0].Kind == kindCA:
		return "the CA that came with it (SHA-256 " + colonsOf(pins[0].SHA256) + "), and by its key"
	case last.Kind == kindName:
		return "its key, and by the names for which public CAs vouch (" + strings.Join(last.Names[:min(3, len(last.Names))], ", ") + ")"
	}
	return "its key"
}

func colonsOf(sum string) string {
	b, err := hex.DecodeString(sum)
	if err != nil {
		return sum
	}
	return certs.Colons(b)
}

// parsePin reads what somebody set: a SHA-256 in hex, or certificates in PEM. None is nothing. The error is the rest of a
// sentence.
func parsePin(s string) ([]pin, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return nil, nil
	case len(s) > maxPin:
		return nil, errors.New("the preset pin is too long; a certificate in PEM or a SHA-256 in hex is meant")
	case !strings.Contains(s, "-----BEGIN"):
		sum := plainHex(s)
		if sum == "" {
			return nil, errors.New("the preset pin is neither a SHA-256 in hex (64 digits) nor a certificate in PEM")
		}
		return []pin{{Kind: kindAny, By: bySetting, SHA256: sum}}, nil
	}
	var pins []pin
	for block, rest := pem.Decode([]byte(s)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("the preset pin holds a certificate that cannot be read")
		}
		// A certificate that a server made for itself often says that it is a CA.
		if !c.IsCA || isSelfSigned(c) {
			pins = append(pins, pin{Kind: kindKey, By: bySetting, SHA256: keySum(c)})
		}
		if c.IsCA {
			pins = append(pins, pin{Kind: kindCA, By: bySetting, SHA256: certSum(c), CA: c.Raw})
		}
	}
	if len(pins) == 0 {
		return nil, errors.New("the preset pin holds no certificate")
	}
	return pins, nil
}

// maxPin bounds a preset pin, in bytes: a few certificates in PEM.
const maxPin = 64 << 10

// sentCA returns the self-signed CA among the certificates that came with the leaf, through which that is signed; nil if
// there is none.
func sentCA(chain []*x509.Certificate) *x509.Certificate {
	for _, c := range chain[1:] {
		if c.IsCA && isSelfSigned(c) && signed(chain, c) {
			return c
		}
	}
	return nil
}

// signed reports whether ca signed the leaf, directly or through the others of the chain, at whatever time. A leaf that is
// not for servers is not taken.
func signed(chain []*x509.Certificate, ca *x509.Certificate) bool {
	roots, inter := x509.NewCertPool(), certs.Intermediates(chain)
	roots.AddCert(ca)
	// If there is a time at which all are good, then it is when the last of them begins to be.
	for _, c := range append([]*x509.Certificate{ca}, chain...) {
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: c.NotBefore}); err == nil {
			return true
		}
	}
	return false
}

// isDevices reports whether a CA is that of one device, as Porthole makes them: its own root, which may not have others
// below it (RFC 5280 section 4.2.1.9). Those who sign for several servers have names to tell them apart.
func isDevices(ca *x509.Certificate) bool { return ca.IsCA && ca.MaxPathLenZero && isSelfSigned(ca) }

func isSelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// namesOf lists names and addresses in a certificate that tell it from others'; the common name only where there are no others.
func namesOf(c *x509.Certificate) []string {
	var names []string
	for _, n := range c.DNSNames {
		if n = strings.ToLower(n); n != "localhost" {
			names = append(names, n)
		}
	}
	for _, ip := range c.IPAddresses {
		if !net.IP.IsLoopback(ip) {
			names = append(names, ip.String())
		}
	}
	if len(c.DNSNames)+len(c.IPAddresses) == 0 && c.Subject.CommonName != "" {
		names = append(names, strings.ToLower(c.Subject.CommonName))
	}
	return names
}

func certSum(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func keySum(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
