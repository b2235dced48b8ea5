// Package acmetest runs what ACME needs around it, for tests: Pebble, Let's Encrypt's own test server, and BIND 9.
package acmetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// readyWithin bounds the start of a peer, on a machine that is busy.
const readyWithin = 60 * time.Second

// PebbleOptions say how a Pebble is.
type PebbleOptions struct {
	// HTTPPort and TLSPort are where it looks at names for HTTP-01 and TLS-ALPN-01; DNS is its name server, HOST:PORT.
	HTTPPort, TLSPort int
	DNS               string
	// EAB are the keys of its customers, by id, in base64url: it then takes these only.
	EAB map[string]string
	// Blocked are names that it refuses.
	Blocked []string
	// RejectNonces is the share of good nonces that it refuses, in percent.
	RejectNonces int
	// Address is where it listens; empty means a free port.
	Address string
}

// Pebble is a running Pebble.
type Pebble struct {
	// Directory is its address for clients, RootPEM what its own TLS is trusted by.
	Directory, RootPEM string

	management string
	client     *http.Client
	log        *lockedBuffer
	stop       func()
}

// build makes the program from the module integration/pebble once for all and returns its path.
var build = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	out := program()
	cmd := exec.Command("go", "build", "-o", out, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "pebble")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Pebble: %w\n%s", err, said)
	}
	return out, nil
})

// program is where build puts it: one for each test binary.
func program() string {
	return filepath.Join(os.TempDir(), "porthole-pebble-"+strconv.Itoa(os.Getpid()))
}

// Clean removes the program after all tests: it is for TestMain.
func Clean() { os.Remove(program()) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// FreePort returns a TCP port on loopback that nobody listens on now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// StartPebble starts one, which ends with the test.
func StartPebble(t testing.TB, o PebbleOptions) *Pebble {
	t.Helper()
	pebble, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &Pebble{log: &lockedBuffer{}, management: fmt.Sprintf("127.0.0.1:%d", FreePort(t))}
	if o.Address == "" {
		o.Address = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	}
	p.Directory = "https://" + o.Address + "/dir"
	p.RootPEM = certificate(t, dir)
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": o.Address, "managementListenAddress": p.management,
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": o.HTTPPort, "tlsPort": o.TLSPort, "domainBlocklist": o.Blocked,
		"externalAccountBindingRequired": len(o.EAB) > 0, "externalAccountMACKeys": o.EAB,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{
			"default":    map[string]any{"description": "the usual one", "validityPeriod": 7776000},
			"shortlived": map[string]any{"description": "six days", "validityPeriod": 518400},
		},
	}}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-config", file}
	if o.DNS != "" {
		args = append(args, "-dnsserver", o.DNS)
	}
	cmd := exec.Command(pebble, args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT="+strconv.Itoa(o.RejectNonces))
	cmd.Stdout, cmd.Stderr = p.log, p.log
	p.stop = start(t, cmd)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(p.RootPEM))
	p.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true,
	}}
	Until(t, readyWithin, func() error {
		res, err := p.client.Get(p.Directory)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.log)
		}
		return res.Body.Close()
	})
	return p
}

// Stop ends it before the test does.
func (p *Pebble) Stop() { p.stop() }

// Log is what it has said so far.
func (p *Pebble) Log() string { return p.log.String() }

// start starts a program that ends with the test; the returned function ends it sooner.
func start(t testing.TB, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	stop = sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("end %s: %v", cmd.Path, err)
		}
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(stop)
	return stop
}

// Until waits until f has no error any more.
func Until(t testing.TB, within time.Duration, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %v", within, err)
		}
	}
}

// certificate makes a certificate for Pebble's own TLS, which is its own authority.
func certificate(t testing.TB, dir string) (rootPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Pebble’s own TLS"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{"cert.pem": root, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return string(root)
}

// Issuer returns the root that its certificates are below, in PEM.
func (p *Pebble) Issuer(t testing.TB) string {
	t.Helper()
	res, err := p.client.Get("https://" + p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Renew makes it say that a certificate is to be renewed within that window (RFC 9773).
func (p *Pebble) Renew(t testing.TB, certPEM []byte, from, to time.Time) {
	t.Helper()
	window, err := json.Marshal(map[string]any{"suggestedWindow": map[string]time.Time{"start": from, "end": to}})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certPEM)
	body, err := json.Marshal(map[string]string{"certificate": string(pem.EncodeToMemory(block)), "ariResponse": string(window)})
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.client.Post("https://"+p.management+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if said, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Fatalf("set renewal window: %s %s", res.Status, said)
	}
}
