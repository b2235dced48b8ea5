// Package keypair reads certificates with their private keys in the forms people have them, puts the chain in order and
// says in words what is wrong with them.
package keypair

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/certs"
)

// Bounds of what is read. A key with its chain has a few kilobytes.
const (
	// MaxBytes is the size of everything given to Parse together.
	MaxBytes = 256 << 10
	maxBlobs = 16
	maxCerts = 64
	maxChain = 10
)

// dayText is how days are written for people, in UTC.
const dayText = "2 January 2006"

// Refusal says why a pair is not usable.
type Refusal struct {
	// Reason is whole sentences for a person: what is wrong and what to do.
	Reason string

	password bool
}

// AboutPassword tells whether another password is all it takes.
func (r *Refusal) AboutPassword() bool { return r.password }

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// Pair is a server's certificate with its chain and the private key.
type Pair struct {
	// Chain begins with the server's certificate; each of the others issued the one before. A root is no part of it, but
	// for a certificate that issued itself.
	Chain []*x509.Certificate
	Key   crypto.Signer
	// Root is what issued the last of Chain, if it was among what Parse was given.
	Root *x509.Certificate
}

// Leaf is the server's certificate.
func (p Pair) Leaf() *x509.Certificate { return p.Chain[0] }

// Names are the names and addresses the certificate is for.
func (p Pair) Names() []string { return certs.Names(p.Leaf()) }

// ChainPEM is the chain as fullchain.pem has it.
func (p Pair) ChainPEM() []byte { return certs.EncodePEM(p.Chain...) }

// KeyPEM is the key as privkey.pem has it: PKCS#8 (RFC 5958). It is empty for keys that Parse never returns.
func (p Pair) KeyPEM() []byte {
	b, err := certs.EncodeKey(p.Key)
	if err != nil {
		return nil
	}
	return b
}

// Algorithm names the key: "ECDSA P-256", "RSA 2048".
func (p Pair) Algorithm() string { return certs.Algorithm(p.Key.Public()) }

// IsRSA tells an RSA pair from an ECDSA one.
func (p Pair) IsRSA() bool {
	_, is := p.Key.Public().(*rsa.PublicKey)
	return is
}

// Parse finds a pair in blobs, which are PEM texts, DER or PKCS#12 files in any order and number: the key, its certificate, and
// the chain of those that issued it. password opens what is encrypted. The pair is one that a server can use now; everything
// else is a *Refusal. A clock that was never set judges no beginnings.
func Parse(password string, now time.Time, blobs ...[]byte) (Pair, error) {
	found, err := gather(password, blobs)
	if err != nil {
		return Pair{}, err
	}
	p, err := found.match(now)
	if err != nil {
		return Pair{}, err
	}
	if err := check(p, now); err != nil {
		return Pair{}, err
	}
	p.Chain, p.Root = order(p.Leaf(), found.certs, now)
	return p, nil
}

// FromPEM takes only what ChainPEM and KeyPEM write: the chain in order and one PKCS#8 key. The checks and errors are
// those of Parse.
func FromPEM(chain, key []byte, now time.Time) (Pair, error) {
	if len(chain)+len(key) > MaxBytes {
		return Pair{}, errTooLarge
	}
	var p Pair
	for rest := chain; len(strings.TrimSpace(string(rest))) > 0; {
		block, after := pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" || len(p.Chain) == maxChain {
			return Pair{}, refuse("The chain is not one of PEM certificates, %d at most.", maxChain)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Pair{}, refuse("A certificate of the chain is damaged: %v.", err)
		}
		if n := len(p.Chain); n > 0 && p.Chain[n-1].CheckSignatureFrom(c) != nil {
			return Pair{}, refuse("The chain is not in order: “%s” did not issue what stands before it.", certs.Called(c))
		}
		p.Chain, rest = append(p.Chain, c), after
	}
	block, rest := pem.Decode(key)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return Pair{}, refuse("The key is not one private key in PEM.")
	}
	if len(p.Chain) == 0 {
		return Pair{}, errNoCertificate
	}
	var err error
	if p.Key, err = parseKey(block.Bytes); err != nil {
		return Pair{}, err
	}
	if !samePublic(p.Key.Public(), p.Leaf().PublicKey) {
		return Pair{}, refuse("The private key is not that of the certificate for %s.", forWhom(p.Leaf()))
	}
	return p, check(p, now)
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// forWhom lists a certificate's names, or says what it is called.
func forWhom(c *x509.Certificate) string {
	names := certs.Names(c)
	if len(names) == 0 {
		return "“" + certs.Called(c) + "”"
	}
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// selfSigned tells whether c issued itself.
func selfSigned(c *x509.Certificate) bool {
	if string(c.RawSubject) != string(c.RawIssuer) {
		return false
	}
	return c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// usable tells whether c names anything a client could ask for.
func usable(c *x509.Certificate) bool {
	return len(c.DNSNames) > 0 || slices.ContainsFunc(c.IPAddresses, func(ip net.IP) bool { return len(ip) > 0 })
}
