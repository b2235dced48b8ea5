package testkit

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
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Authority issues throwaway certificates.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Leaf is what a certificate is to be for.
type Leaf struct {
	// CommonName tells it from others.
	CommonName string
	Names      []string
	IPs        []net.IP
	// RSA gives it a key of RSA 2048 instead of ECDSA P-256.
	RSA bool
	// NotAfter is when it ends; zero: in a day.
	NotAfter time.Time
}

// Pair is a certificate with its key, both in PEM, and its authority's certificate behind it.
type Pair struct {
	Chain, Key []byte
	Leaf       *x509.Certificate
}

// rsaKey takes seconds to make on a busy machine: the tests of one package share it.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// NewAuthority returns an authority of that name.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	return must(authority(name))(t)
}

func authority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().AddDate(-5, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{Cert: cert, key: key}, err
}

// TrustedAuthority returns an authority that this process and those it starts trust, by a file in dir. It is for TestMain, before
// anything has asked for the system's roots.
func TrustedAuthority(dir string) (*Authority, error) {
	a, err := authority("that everybody trusts")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "roots.pem")
	return a, errors.Join(os.WriteFile(file, a.PEM(), 0o644), os.Setenv("SSL_CERT_FILE", file), os.Setenv("SSL_CERT_DIR", filepath.Join(dir, "none")))
}

// Pool returns a pool that has the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw})
}

// Issue makes a certificate.
func (a *Authority) Issue(t testing.TB, l Leaf) Pair {
	t.Helper()
	if l.NotAfter.IsZero() {
		l.NotAfter = time.Now().AddDate(0, 0, 1)
	}
	var key crypto.Signer
	if l.RSA {
		key = must(rsaKey())(t)
	} else {
		key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: l.CommonName},
		NotBefore: l.NotAfter.AddDate(0, 0, -90), NotAfter: l.NotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: l.Names, IPAddresses: l.IPs,
	}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, a.Cert, key.Public(), a.key))(t)
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(key))(t)
	return Pair{
		Chain: slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), a.PEM()),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		Leaf:  must(x509.ParseCertificate(der))(t),
	}
}

// Publish puts the pair into the folder of that name below dir (/perm/tls) the way system does: as a whole, in exchange for what
// was there.
func (p Pair) Publish(t testing.TB, dir, name string) {
	t.Helper()
	fresh, place := filepath.Join(dir, "."+name+".new"), filepath.Join(dir, name)
	err := os.MkdirAll(fresh, 0o750)
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(fresh, "privkey.pem"), p.Key, 0o640), os.WriteFile(filepath.Join(fresh, "fullchain.pem"), p.Chain, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	err = unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, place, unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(fresh, place)
	}
	if err := errors.Join(err, os.RemoveAll(fresh)); err != nil {
		t.Fatal(err)
	}
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	return must(rand.Int(rand.Reader, big.NewInt(1<<62)))(t)
}

// must ends the test when there is an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// File returns a file with the authority's certificate.
func (a *Authority) File(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
