package integration_test

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"porthole/integration/acmetest"
	"porthole/integration/stack"
)

// shown is the certificate that a client is shown on port 443; its chain has to lead to the root.
func shown(s *stack.Stack, rootPEM, name string, c *tls.Config) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(rootPEM))
	c.ServerName, c.RootCAs = name, roots
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: c}
	conn, err := d.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.HTTPS)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	tc, ok := conn.(*tls.Conn)
	if !ok {
		return nil, errors.New("no TLS")
	}
	return tc.ConnectionState().PeerCertificates[0], nil
}

// TestACME gets certificates through the front door as a household does: asked for on the page, proven on port 443, in service
// for the name at once while the address keeps the device's own; then once more by port 80, from porthole.toml's words; and gone
// again when it is removed.
func TestACME(t *testing.T) {
	s := start(t, "")
	a := admin(t, s)
	bind := acmetest.StartBIND(t)
	p := acmetest.StartPebble(t, acmetest.PebbleOptions{HTTPPort: s.HTTP, TLSPort: s.HTTPS, DNS: bind.Address})
	cam := "cam." + acmetest.Zone
	form := url.Values{
		"names": {cam}, "proof": {"automatic"}, "ca": {"other"}, "directory": {p.Directory}, "root_pem": {p.RootPEM}, "rsa": {"1"}, "agreed": {"1"},
	}
	status, page, err := a.Post(t.Context(), "/settings/certificate", form)
	if err != nil || status != http.StatusOK || !strings.Contains(page, "comes by itself") {
		t.Fatalf("ask: %d, %v\n%s", status, err, page)
	}
	eventually(t, "the page says that it is in service", func() error {
		_, now, err := a.Get(t.Context(), "/fragments/settings/certificate")
		if err == nil && (strings.Count(now, "Good until") != 2 || !strings.Contains(now, "by port 443")) {
			err = errors.New(now)
		}
		return err
	})
	issuer := p.Issuer(t)
	var first *x509.Certificate
	eventually(t, "the name is served by it", func() (err error) {
		first, err = shown(s, issuer, cam, &tls.Config{NextProtos: []string{"h2"}})
		return err
	})
	onlyRSA := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	old, err := shown(s, issuer, cam, onlyRSA)
	if err != nil {
		t.Fatalf("a client without ECDSA: %v", err)
	}
	if _, ok := old.PublicKey.(*rsa.PublicKey); !ok {
		t.Errorf("a client without ECDSA is shown a %T", old.PublicKey)
	}
	if _, err := shown(s, issuer, "localhost", &tls.Config{}); err == nil {
		t.Error("localhost is served by the public certificate")
	}

	// Renewed, because the server says so.
	p.Renew(t, pemOf(first), time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if status, _, err := a.Post(t.Context(), "/settings/certificate/try", nil); err != nil || status != http.StatusOK {
		t.Fatalf("try: %d, %v", status, err)
	}
	eventually(t, "the next one is served", func() error {
		got, err := shown(s, issuer, cam, &tls.Config{NextProtos: []string{"h2"}})
		if err == nil && got.SerialNumber.Cmp(first.SerialNumber) == 0 {
			err = errors.New("still the first one")
		}
		return err
	})

	// Removed: the device's own again.
	if status, page, err := a.Post(t.Context(), "/settings/certificate/remove", nil); err != nil || status != http.StatusOK || !strings.Contains(page, "out of service") {
		t.Fatalf("remove: %d, %v\n%s", status, err, page)
	}
	eventually(t, "it is gone", func() error {
		if _, err := shown(s, issuer, cam, &tls.Config{}); err == nil {
			return errors.New("still served")
		}
		return nil
	})
	_, log, err := a.Get(t.Context(), "/settings/certificate")
	if err != nil || !strings.Contains(log, cam) && strings.Contains(log, "Good until") {
		t.Errorf("after removal: %v\n%s", err, log)
	}
}

// TestACMEProvisioned asks for it in porthole.toml. Something else answers for TLS-ALPN-01, so that port 80 has to do.
func TestACMEProvisioned(t *testing.T) {
	bind := acmetest.StartBIND(t)
	// The server's address is in the file, so it runs before the device does, and learns of port 80 by a relay.
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := acmetest.StartPebble(t, acmetest.PebbleOptions{HTTPPort: relay.Addr().(*net.TCPAddr).Port, TLSPort: acmetest.FreePort(t), DNS: bind.Address})
	s := start(t, fmt.Sprintf("[acme]\nnames = \"home.%s\"\nagree_to_terms = true\nrsa = false\ndirectory = %q\nroot = \"\"\"\n%s\"\"\"\n", acmetest.Zone, p.Directory, p.RootPEM))
	done := make(chan struct{})
	go func() {
		defer close(done)
		relayTo(relay, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.HTTP)))
	}()
	t.Cleanup(func() {
		relay.Close()
		<-done
	})
	issuer := p.Issuer(t)
	eventually(t, "the name is served", func() error {
		_, err := shown(s, issuer, "home."+acmetest.Zone, &tls.Config{})
		return err
	})
}

// relayTo passes connections on, one after the other, until the listener is closed.
func relayTo(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			in.Close()
			continue
		}
		back := make(chan struct{})
		go func() {
			defer close(back)
			io.Copy(out, in)
			out.Close()
		}()
		io.Copy(in, out)
		in.Close()
		<-back
	}
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
