package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"

	"porthole/packages/internal/certs"
)

func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ECDSA P-256": ec, "RSA 2048": rs, "Ed25519": ed}
}

func TestKeys(t *testing.T) {
	for want, key := range keys(t) {
		if got := certs.Algorithm(key.Public()); got != want {
			t.Errorf("algorithm %q, want %q", got, want)
		}
		b, err := certs.EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := certs.DecodeKey(append([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), b...))
		if err != nil || !back.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("%s: another key came back, %v", want, err)
		}
	}
	for _, bad := range []string{"", "nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := certs.DecodeKey([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}

func TestWords(t *testing.T) {
	key := keys(t)["ECDSA P-256"]
	named := func(name pkix.Name) *x509.Certificate {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, DNSNames: []string{"b.example", "a.example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := named(pkix.Name{CommonName: "Porthole", Organization: []string{"Home"}})
	if got := certs.Names(c); !slices.Equal(got, []string{"b.example", "a.example", "192.0.2.1"}) {
		t.Errorf("names %q", got)
	}
	if certs.Called(c) != "Porthole" || certs.Issuer(c) != "Porthole" {
		t.Errorf("called %q, issued by %q", certs.Called(c), certs.Issuer(c))
	}
	if got := certs.Called(named(pkix.Name{Organization: []string{"Home"}})); got != "O=Home" {
		t.Errorf("without a common name it is called %q", got)
	}
	if got := certs.Issuer(named(pkix.Name{})); got != "a certificate without a name" {
		t.Errorf("without any name it is issued by %q", got)
	}
	sum := sha256.Sum256(c.Raw)
	print := certs.Fingerprint(c)
	if strings.ToLower(strings.ReplaceAll(print, ":", "")) != hex.EncodeToString(sum[:]) || len(print) != 32*3-1 {
		t.Errorf("fingerprint %q", print)
	}
	if short := certs.ShortFingerprint(c); !strings.HasPrefix(print, short) || len(short) != 23 {
		t.Errorf("short fingerprint %q of %q", short, print)
	}
	first, rest := pem.Decode(certs.EncodePEM(c, c))
	second, rest := pem.Decode(rest)
	if first == nil || second == nil || len(rest) != 0 || string(first.Bytes) != string(c.Raw) || string(second.Bytes) != string(c.Raw) {
		t.Error("two certificates, written, are not read again")
	}
	other := named(pkix.Name{CommonName: "other"})
	want := x509.NewCertPool()
	want.AddCert(other)
	if !certs.Intermediates([]*x509.Certificate{c, other}).Equal(want) || !certs.Intermediates([]*x509.Certificate{c}).Equal(x509.NewCertPool()) {
		t.Error("the intermediates are not what is behind the first certificate")
	}
}
