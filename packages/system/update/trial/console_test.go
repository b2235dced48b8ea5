package trial_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"porthole/packages/internal/testkit"
	"porthole/packages/system/authority"
	"porthole/packages/system/update/trial"
)

// front is a front door with a console behind it.
func front(t *testing.T, ca *testkit.Authority, leaf testkit.Leaf, console http.HandlerFunc) (addr string, hello *tls.ClientHelloInfo) {
	t.Helper()
	pair := ca.Issue(t, leaf)
	cert, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, cert, console)
}

func serve(t *testing.T, cert tls.Certificate, console http.HandlerFunc) (addr string, hello *tls.ClientHelloInfo) {
	t.Helper()
	hello = &tls.ClientHelloInfo{}
	srv := httptest.NewUnstartedServer(console)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		*hello = *h
		return nil, nil
	}}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), hello
}

func healthy(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/health" {
		http.NotFound(w, r)
		return
	}
	io.WriteString(w, `{"status":"degraded","product":"porthole"}`)
}

func TestConsole(t *testing.T) {
	own, stranger := testkit.NewAuthority(t, "Own"), testkit.NewAuthority(t, "Stranger")
	leaf := testkit.Leaf{CommonName: "porthole", Names: []string{"porthole", "porthole.local"}, IPs: []net.IP{net.IPv4(192, 168, 178, 20)}}
	for name, c := range map[string]struct {
		ca      *testkit.Authority
		leaf    testkit.Leaf
		console http.HandlerFunc
		ok      bool
		text    string
	}{
		"well":             {own, leaf, healthy, true, "answers over HTTPS, with this device's certificate."},
		"the clock is off": {own, testkit.Leaf{CommonName: "porthole", Names: leaf.Names, NotAfter: time.Now().Add(-time.Hour)}, healthy, false, "not valid"},
		"foreign":          {stranger, leaf, healthy, false, "another certificate"},
		"another name":     {own, testkit.Leaf{CommonName: "other", Names: []string{"other"}}, healthy, false, "another certificate"},
		"ill": {own, leaf, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "down", http.StatusServiceUnavailable)
		}, false, "The console answers 503 Service Unavailable."},
		"something else": {own, leaf, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, false, "Something else answers"},
		"redirected": {own, leaf, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		}, false, "The console answers 302 Found."},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			addr, hello := front(t, c.ca, c.leaf, c.console)
			d.cfg.HTTPS = addr
			d.cfg.Device = func() authority.Public {
				return authority.Public{CAPEM: string(own.PEM()), Names: leaf.Names}
			}
			d.trial = trial.New(d.cfg)
			expect(t, d.look(t), trial.Console, c.ok, c.text)
			// Who names a host may get another certificate than the device's own.
			if hello.ServerName != "" {
				t.Errorf("it asked for %q", hello.ServerName)
			}
		})
	}
}

// TestConsoleBeforeTheClock: a device without battery starts in the past; its certificate is good all the same.
func TestConsoleBeforeTheClock(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	begins := time.Now().AddDate(1, 0, 0)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "porthole"}, DNSNames: []string{"porthole"}, NotBefore: begins, NotAfter: begins.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t)
	d.cfg.HTTPS, _ = serve(t, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, healthy)
	for want, known := range map[bool]time.Time{true: begins, false: {}} {
		d.cfg.Device = func() authority.Public {
			return authority.Public{CAPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), Names: []string{"porthole"}, NotBefore: known}
		}
		d.trial = trial.New(d.cfg)
		expect(t, d.look(t), trial.Console, want, "")
	}
}

func TestNoConsole(t *testing.T) {
	own := testkit.NewAuthority(t, "Own")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t)
	d.cfg.HTTPS = l.Addr().String()
	d.cfg.Device = func() authority.Public {
		return authority.Public{CAPEM: string(own.PEM()), Names: []string{"porthole"}}
	}
	d.trial = trial.New(d.cfg)
	// Nobody accepts: it hangs.
	began := time.Now()
	expect(t, d.look(t), trial.Console, false, "does not answer at its HTTPS port in time.")
	t.Logf("a look at a console that hangs took %v", time.Since(began))
	l.Close()
	expect(t, d.look(t), trial.Console, false, "does not answer at its HTTPS port.")
}
