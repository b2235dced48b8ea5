// Package certs says of certificates and keys what several processes say of them, in the same words, and writes and reads
// them as files.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Epoch is the earliest time believed: a device without network starts in 1970.
func Epoch() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// Names are the names and addresses c is for, names first; never nil.
func Names(c *x509.Certificate) []string {
	names := append([]string{}, slices.Clone(c.DNSNames)...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// Algorithm names the algorithm of a public key and its size: "ECDSA P-256", "RSA 2048".
func Algorithm(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", pub)
}

// Called is what people call a certificate by: its common name, or what else its subject has.
func Called(c *x509.Certificate) string { return called(c.Subject.CommonName, c.Subject.String()) }

// Issuer is what people call who issued c.
func Issuer(c *x509.Certificate) string { return called(c.Issuer.CommonName, c.Issuer.String()) }

func called(common, whole string) string {
	if common != "" {
		return common
	}
	if whole != "" {
		return whole
	}
	return "a certificate without a name"
}

// Fingerprint is the SHA-256 of a certificate in upper-case hex with colons, as browsers show it.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return Colons(sum[:])
}

// shortFingerprint is 8 bytes of a hash in hex with colons.
const shortFingerprint = 8*3 - 1

// ShortFingerprint is the start of a fingerprint, for comparing by eye: 8 bytes.
func ShortFingerprint(c *x509.Certificate) string { return Fingerprint(c)[:shortFingerprint] }

// Colons writes a hash as fingerprints are written: AB:CD:…
func Colons(sum []byte) string { return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":") }

// Intermediates are what a server sent behind its own certificate, for x509.VerifyOptions. chain holds one certificate at least.
func Intermediates(chain []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range chain[1:] {
		pool.AddCert(c)
	}
	return pool
}

// EncodePEM writes certificates one after the other.
func EncodePEM(list ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range list {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

const keyType = "PRIVATE KEY"

// EncodeKey writes a private key in PEM: PKCS#8 (RFC 5958). Keys of kinds that crypto/x509 does not know are an error.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der}), nil
}

// DecodeKey reads the first key that EncodeKey wrote; other blocks before it are passed over.
func DecodeKey(b []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != keyType {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse key: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a %T cannot sign", key)
		}
		return signer, nil
	}
	return nil, errors.New("there is no private key")
}
