package trial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"porthole/packages/internal/certs"
)

// product is what a Porthole's console calls itself.
const product = "porthole"

// maxHealth bounds what is read of console's answer, in bytes.
const maxHealth = 64 << 10

// console looks whether the console is served at the front door, with the device's own certificate.
func (t *Trial) console(ctx context.Context) (string, error) {
	own := t.cfg.Device()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(own.CAPEM)) || len(own.Names) == 0 {
		return "", failf("The device has no certificate of its own, so the console cannot be served.")
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", t.cfg.HTTPS)
		},
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			// Who names no host gets the device's own certificate, so it cannot be the name that is verified: see verified.
			InsecureSkipVerify: true,
			MinVersion:         tls.VersionTLS12,
			VerifyConnection:   func(cs tls.ConnectionState) error { return verified(cs, roots, own.Names[0], own.NotBefore) },
		},
	}
	defer transport.CloseIdleConnections()
	// The host of a loopback address, so that no name is sent.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1/api/health", nil)
	if err != nil {
		return "", fmt.Errorf("ask the console: %w", err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.cfg.Log.Debug("the console on trial does not answer", "err", err)
		return "", failf("%s", unserved(err))
	}
	defer res.Body.Close()
	var health struct{ Product string }
	if res.StatusCode != http.StatusOK {
		return "", failf("The console answers %s.", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxHealth)).Decode(&health); err != nil || health.Product != product {
		return "", failf("Something else answers in the console's place.")
	}
	return "The console answers over HTTPS, with this device's certificate.", nil
}

// errNoCertificate means that a server showed none.
var errNoCertificate = errors.New("the server shows no certificate")

// verified is what crypto/tls does by itself for a name that is sent. A device without battery does not know the time before
// the network tells it: begins is when its certificate does.
func verified(cs tls.ConnectionState, roots *x509.CertPool, name string, begins time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return errNoCertificate
	}
	now := time.Now()
	if now.Before(begins) {
		now = begins
	}
	chain := cs.PeerCertificates
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: certs.Intermediates(chain), DNSName: name, CurrentTime: now}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// unserved says why the front door did not answer.
func unserved(err error) string {
	var verify *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &verify), errors.Is(err, errNoCertificate):
		return "The console is served with another certificate than this device's own, or with one that is not valid."
	case errors.As(err, &timeout) && timeout.Timeout():
		return "The console does not answer at its HTTPS port in time."
	}
	return "The console does not answer at its HTTPS port."
}
