package integration_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"porthole/integration/acmetest"
)

// checkCertificates: proxy and signaling, as their own users, serve each pair that system publishes, and follow when it is
// replaced or removed.
func checkCertificates(t *testing.T, r *rooted) {
	t.Helper()
	served := func(port int, onlyRSA bool) (*x509.Certificate, error) {
		config := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true} // who is served is compared by the caller
		if onlyRSA {
			config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}
		c, err := tls.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port), config)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0], nil
	}
	both := func(name string) {
		t.Helper()
		for _, port := range []int{r.HTTPS, r.WSS} {
			eventually(t, fmt.Sprintf("port %d serves %s", port, name), func() error {
				got, err := served(port, false)
				if err == nil && got.Subject.CommonName != name {
					err = fmt.Errorf("served is %s", got.Subject)
				}
				return err
			})
		}
	}
	device, err := served(r.HTTPS, false)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "RSA for who knows nothing else", func() error {
		got, err := served(r.HTTPS, true)
		if err == nil && got.PublicKeyAlgorithm != x509.RSA {
			err = fmt.Errorf("served is %s", got.PublicKeyAlgorithm)
		}
		return err
	})
	for _, name := range []string{"first", "second"} {
		r.onCertificate(t, http.MethodPut, newOwn(t, name))
		both(name)
	}
	r.checkModes(t, map[string]string{
		"perm/tls/own": "0:2100 drwxr-x---", "perm/tls/own/privkey.pem": "0:2100 -rw-r-----", "perm/tls/own/fullchain.pem": "0:2100 -rw-r--r--",
		"perm/tls/device-rsa": "0:2100 drwxr-x---", "perm/tls/device-rsa/privkey.pem": "0:2100 -rw-r-----", "perm/system/certificates.log": "0:0 -rw-------",
	})
	r.onCertificate(t, http.MethodDelete, map[string]string{"who": "anna", "why": "A test"})
	both(device.Subject.CommonName)
}

// newOwn makes a certificate for localhost that people could have, as system wants it.
func newOwn(t *testing.T, name string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	key, chain := filepath.Join(dir, "key.pem"), filepath.Join(dir, "chain.pem")
	out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
		"-keyout", key, "-out", chain, "-subj", "/CN="+name, "-addext", "subjectAltName=DNS:localhost").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	in := map[string]string{"who": "anna", "why": "A test"}
	for field, file := range map[string]string{"chain_pem": chain, "key_pem": key} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in[field] = string(b)
	}
	return in
}

// onCertificate makes a call on the owner's certificate on system.sock, as console does.
func (r *rooted) onCertificate(t *testing.T, method string, in any) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://system/certificates/own", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	sock := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "run/system/system.sock"))
	}}}
	res, err := sock.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %d %s", method, res.StatusCode, text)
	}
}

// checkACME: console reaches an ACME server at its usual port, and is asked through proxy for the proof, both as their own users and
// with nothing but the ports and files they keep.
func checkACME(t *testing.T, r *rooted) {
	t.Helper()
	a := admin(t, r.Stack)
	bind := acmetest.StartBIND(t)
	p := acmetest.StartPebble(t, acmetest.PebbleOptions{HTTPPort: r.HTTP, TLSPort: r.HTTPS, DNS: bind.Address, Address: "127.0.0.1:14000"})
	cam := "cam." + acmetest.Zone
	status, page, err := a.Post(t.Context(), "/settings/certificate", url.Values{
		"names": {cam}, "proof": {"automatic"}, "ca": {"other"}, "directory": {p.Directory}, "root_pem": {p.RootPEM}, "agreed": {"1"},
	})
	if err != nil || status != http.StatusOK {
		t.Fatalf("ask for a certificate: %d, %v\n%s", status, err, page)
	}
	issuer := p.Issuer(t)
	eventually(t, "the name is served by it", func() error {
		_, err := shown(r.Stack, issuer, cam, &tls.Config{NextProtos: []string{"h2"}})
		return err
	})
	if status, page, err := a.Post(t.Context(), "/settings/certificate/remove", nil); err != nil || status != http.StatusOK {
		t.Fatalf("remove it: %d, %v\n%s", status, err, page)
	}
}
