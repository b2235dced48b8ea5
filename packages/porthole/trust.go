package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"porthole/packages/internal/certs"
)

// trustError is why a device is not believed to be itself.
type trustError struct{ text string }

func (e *trustError) Error() string { return e.text }

func distrust(format string, args ...any) error { return &trustError{fmt.Sprintf(format, args...)} }

// trust says by what a device is known: its own authority, or a public certificate for its name.
type trust struct {
	host      string
	authority *x509.Certificate // nil: a public certificate only
}

// config verifies connections by it. A device's authority signs for that device only, so no name has to fit.
func (t *trust) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.host,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			if t.authority != nil && chains(s.PeerCertificates, t.authority) == nil {
				return nil
			}
			if err := public(s.PeerCertificates, t.host); err != nil {
				return distrust("%s shows another certificate than that of the device you know: %v", t.host, err)
			}
			return nil
		},
	}
}

// chains verifies that a chain comes from the authority.
func chains(chain []*x509.Certificate, authority *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return verify(chain, x509.VerifyOptions{Roots: roots})
}

// public verifies a chain by the authorities that this computer trusts.
func public(chain []*x509.Certificate, host string) error {
	return verify(chain, x509.VerifyOptions{DNSName: host})
}

func verify(chain []*x509.Certificate, o x509.VerifyOptions) error {
	if len(chain) == 0 {
		return errors.New("it shows no certificate")
	}
	o.Intermediates = certs.Intermediates(chain)
	_, err := chain[0].Verify(o)
	return err
}

// trustOptions are what somebody says about a device's authority.
type trustOptions struct {
	// fingerprint is its SHA-256 in hexadecimal, with colons or without; file a PEM file. Both may be empty.
	fingerprint, file string
	// folder keeps the authorities of devices that were asked about before.
	folder string
	// ask asks whether the fingerprint is that of the device; nil where nobody can be asked.
	ask func(fingerprint string) (bool, error)
}

// meet finds out by what the device at host:port is known, and remembers it.
func meet(ctx context.Context, address string, o trustOptions) (*trust, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("read address %q: %w", address, err)
	}
	want, err := cleanFingerprint(o.fingerprint)
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(o.folder, strings.ReplaceAll(address, ":", "_")+".pem")
	file := o.file
	if file == "" && want == "" {
		file = kept
	}
	if file != "" {
		authority, err := readAuthority(file)
		switch {
		case err == nil:
			return &trust{host, authority}, nil
		case file != kept || !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	chain, err := look(ctx, address, host)
	if err != nil {
		return nil, err
	}
	if want == "" && public(chain, host) == nil {
		return &trust{host, nil}, nil
	}
	authority := chain[len(chain)-1]
	if !authority.IsCA || chains(chain, authority) != nil {
		return nil, distrust("%s does not show the authority that its certificate is from. Get it from the device's page (ca.pem) and name it with -ca", host)
	}
	sum := certs.Fingerprint(authority)
	switch {
	case want != "" && want != plain(sum):
		return nil, distrust("this is not the device that you mean: its authority has the fingerprint %s", sum)
	case want != "":
	case o.ask == nil:
		return nil, distrust("this device is not known here yet. Its authority has the SHA-256 fingerprint %s; if the device's screen shows the beginning of that, say so with -fingerprint", sum)
	default:
		ok, err := o.ask(sum)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, distrust("nothing was sent")
		}
	}
	if err := remember(kept, authority); err != nil {
		return nil, err
	}
	return &trust{host, authority}, nil
}

// look returns the certificates that whoever answers there shows.
func look(ctx context.Context, address, host string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{
		ServerName: host, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // this is to see what is there; nothing is sent
	}}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &unreachableError{err}
	}
	defer c.Close()
	t, ok := c.(*tls.Conn)
	if !ok || len(t.ConnectionState().PeerCertificates) == 0 {
		return nil, distrust("%s shows no certificate", host)
	}
	return t.ConnectionState().PeerCertificates, nil
}

func plain(fingerprint string) string {
	return strings.ToLower(strings.ReplaceAll(fingerprint, ":", ""))
}

// cleanFingerprint reads one as people type it; empty stays empty.
func cleanFingerprint(typed string) (string, error) {
	clean := plain(strings.ReplaceAll(strings.TrimSpace(typed), " ", ""))
	if clean == "" {
		return "", nil
	}
	if len(clean) != 2*sha256.Size || strings.Trim(clean, "0123456789abcdef") != "" {
		return "", distrust("a fingerprint has 64 hexadecimal digits; the whole one stands on the device's page, under Certificate")
	}
	return clean, nil
}

// maxAuthority bounds an authority's file, in bytes.
const maxAuthority = 256 << 10

// readAuthority reads the first certificate of a PEM file.
func readAuthority(name string) (*x509.Certificate, error) {
	b, err := readSome(name, maxAuthority)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%s holds no certificate in PEM", name)
}

// remember keeps an authority for the next time.
func remember(name string, c *x509.Certificate) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("remember the device: %w", err)
	}
	if err := os.WriteFile(name, certs.EncodePEM(c), 0o600); err != nil {
		return fmt.Errorf("remember the device: %w", err)
	}
	return nil
}
