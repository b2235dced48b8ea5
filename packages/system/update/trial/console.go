package trial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// maxHealth bounds what is read of console's answer, in bytes.
const maxHealth = 64 << 10

// console looks whether the console is served at the front door, with the device's own certificate.
func (t *Trial) console(ctx context.Context) (string, error) {
	cert, err := t.cfg.Certificate()
	if err != nil {
		return "", failf("The console cannot be looked at: %v.", err)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", t.cfg.HTTPS)
		},
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			RootCAs: cert.Roots, ServerName: cert.Name, MinVersion: tls.VersionTLS12,
			// A device without battery does not know the time before the network tells it.
			Time: func() time.Time { return later(time.Now(), cert.NotBefore) },
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+cert.Name+"/api/health", nil)
	if err != nil {
		return "", failf("The console cannot be asked: %v.", err)
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
	if err := json.NewDecoder(io.LimitReader(res.Body, maxHealth)).Decode(&health); err != nil || health.Product != "porthole" {
		return "", failf("Something answers in the console's place.")
	}
	return "The console answers over HTTPS, with this device's certificate.", nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// unserved says why the front door did not answer.
func unserved(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		return "The console is served with another certificate than this device's own, or with one that is not valid."
	case errors.As(err, &timeout) && timeout.Timeout():
		return "The console does not answer at port 443 in time."
	}
	return "The console does not answer at port 443."
}
