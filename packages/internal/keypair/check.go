package keypair

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"porthole/packages/internal/certs"
)

const (
	minRSA = 2048
	maxRSA = 8192 // crypto/tls checks no longer ones
	// soon is when Warnings begins to speak of the end.
	soon = 14 * 24 * time.Hour
)

var errNoCertificate = &Refusal{Reason: "There is no certificate in it. Add the file with the certificate (often called fullchain.pem, certificate.crt or cert.pem)."}

// match finds the one key with a certificate of its own.
func (f *found) match(now time.Time) (Pair, error) {
	switch {
	case len(f.certs) == 0 && f.request:
		return Pair{}, refuse("It is a certificate request (CSR), not a certificate. Send it to a certificate authority and upload what you get back, with the private key.")
	case len(f.certs) == 0:
		return Pair{}, errNoCertificate
	case len(f.keys) == 0:
		return Pair{}, refuse("There is no private key in it. Add the file with the key that the certificate was made with (often called privkey.pem or private.key).")
	}
	var pairs []Pair
	for _, k := range f.keys {
		var own []*x509.Certificate
		for _, c := range f.certs {
			if samePublic(k.Public(), c.PublicKey) {
				own = append(own, c)
			}
		}
		if len(own) > 0 {
			// A key may have been used again for a renewed certificate.
			pairs = append(pairs, Pair{Chain: []*x509.Certificate{slices.MaxFunc(own, func(a, b *x509.Certificate) int { return later(a, b, now) })}, Key: k})
		}
	}
	switch len(pairs) {
	case 1:
		return pairs[0], nil
	case 0:
		return Pair{}, refuse("The private key belongs to another certificate than the one for %s. Add the key that this certificate was made with.", forWhom(f.likelyLeaf()))
	}
	return Pair{}, refuse("There are %d private keys with their certificates in it. Upload one after the other.", len(pairs))
}

// likelyLeaf is the certificate that people would call the one they uploaded.
func (f *found) likelyLeaf() *x509.Certificate {
	for _, c := range f.certs {
		if !c.IsCA {
			return c
		}
	}
	return f.certs[0]
}

// later orders certificates of one key: what is valid first, then what ends last.
func later(a, b *x509.Certificate, now time.Time) int {
	if va, vb := inTime(a, now), inTime(b, now); va != vb {
		if va {
			return 1
		}
		return -1
	}
	return a.NotAfter.Compare(b.NotAfter)
}

func inTime(c *x509.Certificate, now time.Time) bool {
	return !now.After(c.NotAfter) && (now.Before(certs.Epoch()) || !now.Before(c.NotBefore))
}

// check is a *Refusal where a server could not use the pair.
func check(p Pair, now time.Time) error {
	if err := checkKey(p); err != nil {
		return err
	}
	c := p.Leaf()
	switch {
	case c.IsCA && (!usable(c) || !selfSigned(c)):
		return refuse("“%s” is the certificate of an authority (CA), which issues certificates, not one for a server. Upload the server's certificate and its key.", certs.Called(c))
	case !forServers(c):
		return refuse("The certificate for %s is not for servers (its extended key usage lacks “TLS Web Server Authentication”), so no client would accept it. Get one for a web server.", forWhom(c))
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refuse("The certificate for %s may not sign (its key usage lacks “Digital Signature”), which TLS needs. Get one for a web server.", forWhom(c))
	case !usable(c):
		return refuse("The certificate “%s” has no alternative names (SAN), and clients look at nothing else. Get one that has the name people use for this device as alternative name.", certs.Called(c))
	case weak(c) && !selfSigned(c):
		return refuse("The certificate for %s is signed with %s, which no current client accepts. Get a new one.", forWhom(c), c.SignatureAlgorithm)
	case now.After(c.NotAfter):
		return refuse("The certificate for %s has expired on %s. Get a new one.", forWhom(c), c.NotAfter.UTC().Format(dayText))
	case !inTime(c, now):
		return refuse("The certificate for %s is valid only from %s on, and this device's clock says %s. Wait until then, or check the clock.",
			forWhom(c), c.NotBefore.UTC().Format(dayText+", 15:04 UTC"), now.UTC().Format(dayText+", 15:04 UTC"))
	}
	return nil
}

func checkKey(p Pair) error {
	switch k := p.Key.Public().(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return refuse("The RSA key has %d bits; between %d and %d are accepted. Make a new key and get a certificate for it.", n, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey:
		if name := k.Curve.Params().Name; name != "P-256" && name != "P-384" {
			return refuse("The key is of the curve %s, which browsers do not accept. Make one of P-256 and get a certificate for it.", name)
		}
	default:
		return refuse("The key is neither RSA nor ECDSA, and browsers and cameras' clients accept no other. Make one of ECDSA P-256 and get a certificate for it.")
	}
	return nil
}

func forServers(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func weak(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return true
	}
	return false
}

// order follows the issuers from leaf through certs. The root is returned apart from the chain.
func order(leaf *x509.Certificate, certs []*x509.Certificate, now time.Time) (chain []*x509.Certificate, root *x509.Certificate) {
	chain = []*x509.Certificate{leaf}
	if selfSigned(leaf) {
		return chain, leaf
	}
	for last := leaf; len(chain) < maxChain; {
		var next *x509.Certificate
		for _, c := range certs {
			if slices.ContainsFunc(chain, c.Equal) || last.CheckSignatureFrom(c) != nil {
				continue
			}
			// Where an authority is signed by itself and by another, the other one reaches more clients.
			if next == nil || betterIssuer(c, next, now) {
				next = c
			}
		}
		switch {
		case next == nil:
			return chain, nil
		case selfSigned(next):
			return chain, next
		}
		chain, last = append(chain, next), next
	}
	return chain, nil
}

func betterIssuer(a, b *x509.Certificate, now time.Time) bool {
	if va, vb := inTime(a, now), inTime(b, now); va != vb {
		return va
	}
	return selfSigned(b) && !selfSigned(a)
}

// PublicRoot returns the root that browsers trust which issued the last of the chain; nil when there is none.
func (p Pair) PublicRoot() *x509.Certificate { return PublicRoot(p.Chain) }

// publicRoots are the authorities of the built-in bundle (Mozilla's), by subject. Those with limits that Mozilla sets are among them.
var publicRoots = sync.OnceValue(func() map[string][]*x509.Certificate {
	all := map[string][]*x509.Certificate{}
	for r := range bundle.Roots() {
		if c, err := x509.ParseCertificate(r.Certificate); err == nil {
			all[string(c.RawSubject)] = append(all[string(c.RawSubject)], c)
		}
	}
	return all
})

// PublicRoot returns the root that browsers trust which issued the last of chain, or any before; nil when there is none.
func PublicRoot(chain []*x509.Certificate) *x509.Certificate {
	for _, c := range slices.Backward(chain) {
		for _, root := range publicRoots()[string(c.RawIssuer)] {
			if c.CheckSignatureFrom(root) == nil {
				return root
			}
		}
	}
	return nil
}

// Warnings are sentences on what a person should know of a usable pair at now.
func (p Pair) Warnings(now time.Time) []string {
	var all []string
	c, last := p.Leaf(), p.Chain[len(p.Chain)-1]
	switch {
	case selfSigned(c):
		all = append(all, "It is self-signed: every client has to be told to trust it.")
	case p.PublicRoot() != nil:
	case p.Root != nil:
		all = append(all, "“"+certs.Called(p.Root)+"” is not publicly trusted: every client has to be told to trust it.")
	default:
		all = append(all, "The chain ends with what “"+certs.Issuer(last)+"” issued, which is neither in it nor publicly trusted: most clients will refuse the certificate. "+
			"Add the file your authority calls chain, bundle or intermediate, and the root if the authority is your own.")
	}
	for _, issuer := range p.Chain[1:] {
		if now.After(issuer.NotAfter) {
			all = append(all, "“"+certs.Called(issuer)+"” in its chain has expired on "+issuer.NotAfter.UTC().Format(dayText)+". Get the current chain from your authority.")
		}
	}
	if left := c.NotAfter.Sub(now); left < soon && !now.Before(certs.Epoch()) {
		all = append(all, "It ends soon, on "+c.NotAfter.UTC().Format(dayText)+".")
	}
	return all
}

// PublicRoots are the roots that browsers trust of an organization, as their subjects have it, by name.
func PublicRoots(organization string) []*x509.Certificate {
	var all []*x509.Certificate
	for _, roots := range publicRoots() {
		for _, c := range roots {
			if slices.Contains(c.Subject.Organization, organization) {
				all = append(all, c)
			}
		}
	}
	slices.SortFunc(all, func(a, b *x509.Certificate) int { return strings.Compare(a.Subject.CommonName, b.Subject.CommonName) })
	return all
}
