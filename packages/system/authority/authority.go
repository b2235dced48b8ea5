// Package authority makes the device's own certificate authority and the certificate it serves until it has a public
// one. Keys are made here, on the device, once.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/durable"
)

const (
	caFile  = "ca.pem"
	caYears = 10
	// leafDays is what Apple and Chromium accept at the most for server certificates, less a day.
	leafDays = 397
	// backdate lets clients whose clock is behind in.
	backdate = 24 * time.Hour
)

// believable returns now, or the earliest time it can really be.
func believable(now time.Time) time.Time {
	if now.Before(certs.Epoch()) {
		return certs.Epoch()
	}
	return now
}

// CA is the device's certificate authority.
type CA struct {
	Cert *x509.Certificate
	key  crypto.Signer
}

// ErrDamaged means that the authority is there, or was, but cannot be used.
var ErrDamaged = errors.New("the device's certificate authority is damaged")

// OpenCA returns the authority kept in dir, making it when there is none. A damaged one is an error: replacing it would
// cut off every client that trusts it.
func OpenCA(dir string, now time.Time) (*CA, error) {
	file := filepath.Join(dir, caFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return makeCA(dir, file, believable(now))
	}
	if err != nil {
		return nil, fmt.Errorf("read the device's authority: %w", err)
	}
	ca, err := parseCA(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, file, err)
	}
	return ca, nil
}

func makeCA(dir, file string, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("Porthole device CA %04x", serial.Bytes()[:2])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(caYears, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the authority's certificate: %w", err)
	}
	b, err := certs.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	// Key and certificate share a file, so that they appear together or not at all.
	b = append(b, certs.EncodePEM(cert)...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the authority's folder: %w", err)
	}
	if err := durable.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	// The folder's own name as well: a certificate of an authority that got lost cannot be renewed.
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	return parseCA(b)
}

func parseCA(b []byte) (*CA, error) {
	key, err := certs.DecodeKey(b)
	if err != nil {
		return nil, err
	}
	ca := &CA{key: key}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			if ca.Cert, err = x509.ParseCertificate(block.Bytes); err != nil {
				return nil, fmt.Errorf("parse certificate: %w", err)
			}
		}
	}
	if ca.Cert == nil {
		return nil, errors.New("there is no certificate")
	}
	if pub, ok := ca.key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(ca.Cert.PublicKey) {
		return nil, errors.New("key and certificate do not belong together")
	}
	return ca, nil
}

// issue signs a server certificate for names and addresses.
func (ca *CA) issue(pub crypto.PublicKey, names []string, ips []net.IP, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	end := now.AddDate(0, 0, leafDays).Add(-backdate)
	if end.After(ca.Cert.NotAfter) {
		end = ca.Cert.NotAfter
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    now.Add(-backdate),
		NotAfter:     end,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign the device's certificate: %w", err)
	}
	return der, nil
}

// newSerial returns 127 random bits (CA/Browser Forum baseline requirements section 7.1: at least 64).
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}

// shortName identifies a key in a log.
func shortName(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:4])
}
