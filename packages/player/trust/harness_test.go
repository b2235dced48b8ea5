package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/player/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a certificate with its key, and what is sent with it.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
	// above are the certificates that are sent after it.
	above []*x509.Certificate
}

func (p pair) tls() *tls.Certificate {
	c := &tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key}
	for _, a := range p.above {
		c.Certificate = append(c.Certificate, a.Raw)
	}
	return c
}

func (p pair) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue signs tmpl by parent, itself if that has no key. Dates, serial number and key are filled in where they are missing.
func issue(t *testing.T, parent pair, tmpl x509.Certificate, key crypto.Signer) pair {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = serial
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore = time.Now().Add(-time.Hour)
	}
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	p := pair{key: key}
	signer, above := key, &tmpl
	if parent.key != nil {
		signer, above = parent.key, parent.cert
		p.above = append([]*x509.Certificate{parent.cert}, parent.above...)
	}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, above, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

// authority is a CA's certificate.
func authority(name string) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().AddDate(-5, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
	}
}

// leaf is a server's certificate for names and addresses.
func leaf(names ...string) x509.Certificate {
	c := x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	return c
}

func expired(c x509.Certificate) x509.Certificate {
	c.NotBefore, c.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(0, 0, -3)
	return c
}

// openssl makes a pair as people do, with arguments of "openssl req -x509".
func openssl(t *testing.T, args ...string) pair {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if !slices.Contains(args, "-newkey") {
		args = append(args, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
	}
	args = append([]string{"req", "-x509", "-nodes", "-days", "365", "-keyout", key, "-out", cert}, args...)
	if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl (apt-get install openssl): %v\n%s", err, out)
	}
	return load(t, cert, key)
}

func load(t *testing.T, cert, key string) pair {
	t.Helper()
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{cert: c.Leaf, key: c.PrivateKey.(crypto.Signer)}
	for _, der := range c.Certificate[1:] {
		a, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		p.above = append(p.above, a)
	}
	return p
}

// server is a TLS server whose certificate a test swaps.
type server struct {
	addr string
	mu   sync.Mutex
	cert *tls.Certificate // guarded by mu
}

func (s *server) show(p pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cert = p.tls()
}

func serve(t *testing.T, p pair) *server {
	t.Helper()
	s := &server{}
	s.show(p)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.cert, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				c.(*tls.Conn).HandshakeContext(context.Background())
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return s
}

// screen is a player's trust in a folder.
type screen struct {
	t     *testing.T
	cfg   trust.Config
	log   *testkit.Log
	roots *x509.CertPool
	now   time.Time // the zero time: the real one
	*trust.Trust
}

func newScreen(t *testing.T) *screen {
	s := &screen{t: t, log: &testkit.Log{}, roots: x509.NewCertPool()}
	s.cfg = trust.Config{Log: slog.New(slog.NewTextHandler(s.log, nil)), Dir: filepath.Join(t.TempDir(), "player"), Roots: s.roots, Now: func() time.Time {
		if s.now.IsZero() {
			return time.Now()
		}
		return s.now
	}}
	s.restart()
	return s
}

func (s *screen) restart() { s.Trust = trust.Open(s.cfg) }

// dial shakes hands with the server over a real connection, and returns what it was recognized by.
func (s *screen) dial(srv *server) (trust.How, error) {
	s.t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: s.TLS(srv.addr)}
	c, err := d.DialContext(s.t.Context(), "tcp", srv.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	s.Confirm(srv.addr, c.(*tls.Conn).ConnectionState().PeerCertificates)
	return s.State(srv.addr).How, nil
}

func (s *screen) want(srv *server, how trust.How) {
	s.t.Helper()
	got, err := s.dial(srv)
	if err != nil || got != how {
		s.t.Fatalf("recognized by %q, %v; want %q", got, err, how)
	}
	if st := s.State(srv.addr); st.Pending != "" || len(st.Fingerprint) != 95 {
		s.t.Fatalf("state %+v", st)
	}
}

// refused expects that the server is not let near, with all of these words in what is said.
func (s *screen) refused(srv *server, words ...string) *trust.RefusedError {
	s.t.Helper()
	how, err := s.dial(srv)
	var r *trust.RefusedError
	if !errors.As(err, &r) {
		s.t.Fatalf("recognized by %q, %v; want a refusal", how, err)
	}
	for _, w := range words {
		if !strings.Contains(r.Reason+" "+r.Step, w) {
			s.t.Errorf("%q, %q does not say %q", r.Reason, r.Step, w)
		}
	}
	if st := s.State(srv.addr); st.Pending != r.Fingerprint || st.How != "" || st.Reason != r.Reason {
		s.t.Errorf("state %+v after %+v", st, r)
	}
	return r
}

func (s *screen) actions() string {
	var all []string
	for _, d := range s.Log() {
		all = append([]string{d.Action}, all...)
	}
	return strings.Join(all, " ")
}

func (s *screen) policy(way settings.Trust, pin string) {
	s.t.Helper()
	if err := s.Set(trust.Policy{Trust: way, Pin: pin}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) file(name string) string { return filepath.Join(s.cfg.Dir, name) }

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode().Perm()
}
