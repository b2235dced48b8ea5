package keypair_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/keypair"
)

var now = time.Date(2027, time.March, 1, 12, 0, 0, 0, time.UTC)

// authority issues for tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serial big.Int

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sharedRSA is made once: RSA keys take their time.
var sharedRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// issue signs tmpl; a nil authority means that the certificate signs itself.
func (a *authority) issue(t testing.TB, tmpl *x509.Certificate, key crypto.Signer) *authority {
	t.Helper()
	serial.Add(&serial, big.NewInt(1))
	tmpl.SerialNumber = new(big.Int).Set(&serial)
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore = now.AddDate(0, -1, 0)
	}
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = now.AddDate(0, 2, 0)
	}
	parent, signer := tmpl, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: now.AddDate(5, 0, 0),
	}
}

func leafTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "cam.example.org"}, DNSNames: []string{"cam.example.org"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7).To4()},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// world is a root, an authority below it, and a server's certificate.
type world struct{ root, middle, leaf *authority }

func newWorld(t testing.TB) world {
	t.Helper()
	var w world
	w.root = (*authority)(nil).issue(t, caTemplate("Root of tests"), newKey(t))
	w.middle = w.root.issue(t, caTemplate("Middle of tests"), newKey(t))
	w.leaf = w.middle.issue(t, leafTemplate(), newKey(t))
	return w
}

func certPEM(as ...*authority) []byte {
	var list []*x509.Certificate
	for _, a := range as {
		list = append(list, a.cert)
	}
	return certs.EncodePEM(list...)
}

func pkcs8DER(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func keyPEM(t testing.TB, k crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8DER(t, k)})
}

func reason(t *testing.T, err error) string {
	t.Helper()
	r, ok := errors.AsType[*keypair.Refusal](err)
	if !ok {
		t.Fatalf("not a refusal: %v", err)
	}
	return r.Reason
}
