package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"porthole/packages/internal/certs"
)

// certificateView is what pages show of the certificates.
type certificateView struct {
	Names    []string
	NotAfter time.Time
	// Left is the time until then; Expired when there is none.
	Left    string
	Expired bool
	// CA and Leaf are SHA-256 fingerprints; the short forms are their first eight bytes.
	CA, CAShort, Leaf, LeafShort string
}

// parseCertificate returns the first certificate of a PEM text.
func parseCertificate(text string) (*x509.Certificate, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// parseCertificates returns the certificates of a PEM text, which has one at least.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil && block.Type == "CERTIFICATE"; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in the PEM text")
	}
	return certs, nil
}

// certificateFor returns what the page of r shows; nil while system does not answer.
func (c *console) certificateFor(r *http.Request) *certificateView {
	s, ca, err := c.authority(r.Context())
	if err != nil {
		return nil
	}
	v := &certificateView{Names: slices.Clone(s.Names), NotAfter: s.NotAfter.UTC()}
	v.CA, v.CAShort = certs.Fingerprint(ca), certs.ShortFingerprint(ca)
	if leaf, err := parseCertificate(s.ChainPEM); err == nil {
		v.Leaf, v.LeafShort = certs.Fingerprint(leaf), certs.ShortFingerprint(leaf)
		v.NotAfter = leaf.NotAfter.UTC()
	}
	left := time.Until(v.NotAfter)
	v.Left, v.Expired = durationText(left), left <= 0
	return v
}

// authority asks system for the certificates and parses the authority's.
func (c *console) authority(ctx context.Context) (certificateStatus, *x509.Certificate, error) {
	s, err := c.backends.certificate.answer(ctx)
	if err != nil {
		return s, nil, err
	}
	ca, err := parseCertificate(s.CAPEM)
	return s, ca, err
}
