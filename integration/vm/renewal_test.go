package vm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/integration/vm"
)

// publicName is what the public certificates are for.
const publicName = "cam.example.org"

const systemSocket = "/run/porthole/system/system.sock"

// renewals are those of a device's public certificates: somebody's authority makes one after the other, as an ACME server
// does, and the device publishes them.
type renewals struct {
	ca    *x509.Certificate
	caKey crypto.Signer
	// rsaKeys are two, in turn: the next certificate always has another one.
	rsaKeys [2]crypto.Signer
	// note, if it is set, is told of each that the device has acknowledged.
	note func(name string, serial int64)

	mu sync.Mutex
	// serial is the last one that was made, acked the last of each pair that the device says it has. Guarded by mu.
	serial int64
	acked  map[string]int64
}

func newRenewals(t *testing.T) *renewals {
	t.Helper()
	r := &renewals{acked: map[string]int64{}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.caKey = key
	r.ca = &x509.Certificate{SerialNumber: big.NewInt(1 << 40), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, r.ca, r.ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if r.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	for i := range r.rsaKeys {
		if r.rsaKeys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// done is how many the device has acknowledged.
func (r *renewals) done() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.acked["own"], r.acked["own-rsa"])
}

// next makes a pair with another key than the last one.
func (r *renewals) next(name string) (serial int64, chain, key []byte, err error) {
	r.mu.Lock()
	r.serial++
	serial = r.serial
	r.mu.Unlock()
	signer := r.rsaKeys[serial/2%2]
	if name == "own" {
		if signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return 0, nil, nil, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: publicName}, DNSNames: []string{publicName},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, r.ca, signer.Public(), r.caKey)
	if err != nil {
		return 0, nil, nil, err
	}
	k, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return 0, nil, nil, err
	}
	chain = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Raw})...)
	return serial, chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}), nil
}

// publish renews the ECDSA and the RSA pair in turn until the device is gone, and tells of each.
func (r *renewals) publish(ctx context.Context, a vm.Agent, told chan<- struct{}) error {
	for n := 0; ; n++ {
		name := []string{"own", "own-rsa"}[n%2]
		serial, chain, key, err := r.next(name)
		if err != nil {
			return err
		}
		// One at a time, so that at most one is on its way when the power goes.
		err = a.Tell(ctx, systemSocket, http.MethodPut, "/certificates/"+name, map[string]string{
			"chain_pem": string(chain), "key_pem": string(key), "who": "test", "why": "renewal"})
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.acked[name] = serial
		r.mu.Unlock()
		if r.note != nil {
			r.note(name, serial)
		}
		select {
		case told <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cut pulls the plug while certificates are renewed, at a moment that nobody chose.
func (r *renewals) cut(t *testing.T, m *vm.Machine) {
	t.Helper()
	a := m.Agent()
	eventually(t, "system answers", func(ctx context.Context) error {
		var out struct{}
		return a.Ask(ctx, systemSocket, "/certificate", &out)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	told, failed := make(chan struct{}), make(chan error, 1)
	go func() { failed <- r.publish(ctx, a, told) }()
	for range 4 {
		select {
		case <-told:
		case err := <-failed:
			t.Fatalf("renew: %v", err)
		}
	}
	moment := time.NewTimer(mathrand.N(500 * time.Millisecond))
	defer moment.Stop()
	for waiting := true; waiting; {
		select {
		case <-told:
		case err := <-failed:
			t.Fatalf("renew: %v", err)
		case <-moment.C:
			waiting = false
		}
	}
	m.Kill()
	for {
		select {
		case <-told:
		case err := <-failed:
			if err == nil {
				t.Error("the device is gone and still renews")
			}
			return
		}
	}
}

// check: each pair is whole, and the last that was acknowledged or the one that was on its way. serves: proxy has it, too,
// which takes a while to start.
func (r *renewals) check(t *testing.T, m *vm.Machine, serves bool) {
	t.Helper()
	r.mu.Lock()
	acked := maps.Clone(r.acked)
	r.mu.Unlock()
	r.checkAtLeast(t, m, acked, serves)
}

// checkAtLeast is check after a cut at which the given ones were acknowledged, and perhaps others were on their way.
func (r *renewals) checkAtLeast(t *testing.T, m *vm.Machine, all map[string]int64, serves bool) {
	t.Helper()
	r.mu.Lock()
	last := r.serial
	r.mu.Unlock()
	for name, acked := range all {
		var leaf *x509.Certificate
		eventually(t, "read "+name, func(ctx context.Context) error {
			var pair [2]string
			for i, file := range []string{"fullchain.pem", "privkey.pem"} {
				var err error
				if pair[i], err = m.Agent().ReadFile(ctx, "/perm/tls/"+name+"/"+file); err != nil {
					return err
				}
			}
			c, err := tls.X509KeyPair([]byte(pair[0]), []byte(pair[1]))
			if err != nil {
				t.Fatalf("%s is not whole: %v", name, err)
			}
			leaf = c.Leaf
			return nil
		})
		if at := leaf.SerialNumber.Int64(); at < acked || at > last {
			t.Errorf("%s is number %d of %d, and %d was acknowledged", name, at, last, acked)
		}
		if !serves {
			continue
		}
		config := &tls.Config{ServerName: publicName, RootCAs: x509.NewCertPool()}
		config.RootCAs.AddCert(r.ca)
		if name == "own-rsa" {
			config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}
		eventually(t, "be served "+name, func(ctx context.Context) error {
			served, err := servedTo(ctx, m.Addr(443), config)
			if err == nil && !bytes.Equal(served.Raw, leaf.Raw) {
				err = fmt.Errorf("served number %v of %s, want %v", served.SerialNumber, served.Subject, leaf.SerialNumber)
			}
			return err
		})
	}
	if !serves {
		return
	}
	// What a cut has left half done is gone.
	names, err := m.Agent().ReadFile(t.Context(), "/perm/tls")
	if err != nil || strings.Contains(names, ".new") {
		t.Errorf("left over: %q, %v", names, err)
	}
}

// TestLongRenewalCuts cuts the power in the middle of renewals more often.
func TestLongRenewalCuts(t *testing.T) {
	t.Parallel()
	r := newRenewals(t)
	disk := newDisk(t, theVMImage(t), 8<<30)
	for cut := range 12 {
		m := startVM(t, disk)
		r.check(t, m, true)
		if t.Failed() {
			return
		}
		t.Logf("all is there after %d cuts and %d renewals", cut, r.done())
		r.cut(t, m)
	}
}

// servedTo returns the certificate that a client gets.
func servedTo(ctx context.Context, addr string, config *tls.Config) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, askOnce)
	defer cancel()
	c, err := (&tls.Dialer{NetDialer: &net.Dialer{}, Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	state := c.(*tls.Conn).ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("no certificate")
	}
	return state.PeerCertificates[0], nil
}
