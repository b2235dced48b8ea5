package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"porthole/packages/internal/identity"
)

// certificatePage is the page of the certificate and of what connections really use.
type certificatePage struct {
	CA *certificateView
	// Problem says why nothing is known of the certificate, or is empty.
	Problem, Proxy string
	Facts          []fact
	Names          []string
	// Yours is what the connection of who looks negotiated; empty without TLS.
	Yours string
	Seen  []tlsCount
}

// tlsCount is how often a version and cipher suite were negotiated.
type tlsCount struct {
	What    string
	Count   uint64
	Percent int
}

// tlsHeader is what proxy says of the connection: protocol version and cipher suite.
const tlsHeader = "Porthole-TLS"

func (c *console) certificatePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v := certificatePage{Yours: printable(r.Header.Get(tlsHeader))}
	var cert certificateStatus
	var status proxyStatus
	var certErr, statusErr error
	var wg sync.WaitGroup
	wg.Go(func() { cert, certErr = c.backends.certificate.answer(r.Context()) })
	wg.Go(func() { status, statusErr = c.backends.cameras.answer(r.Context()) })
	wg.Wait()
	v.CA = c.certificateFor(r)
	leaf, err := parseCertificate(cert.ChainPEM)
	if certErr != nil || err != nil {
		v.Problem = "system does not answer, or there is no certificate yet, so nothing is known of it. Look again in a moment."
	} else {
		v.Facts = certificateFacts(leaf, cert)
		v.Names = cert.Names
	}
	if statusErr != nil {
		v.Proxy = "proxy does not answer, so what connections use is not known."
	}
	v.Seen = tlsCounts(status.HTTPS.TLS)
	c.render(w, r, http.StatusOK, "certificate", page{Title: "Certificate", User: id, Body: v})
}

func certificateFacts(leaf *x509.Certificate, s certificateStatus) []fact {
	whole, _ := fingerprints(leaf)
	from := leaf.Issuer.String()
	if ca, err := parseCertificate(s.CAPEM); err == nil && leaf.CheckSignatureFrom(ca) == nil {
		from += ", this device’s own authority"
	}
	return []fact{
		{"Issued to", orDash(leaf.Subject.String())},
		{"Issued by", orDash(from)},
		{"Valid from", leaf.NotBefore.UTC().Format("2 January 2006, 15:04 UTC")},
		{"Valid until", leaf.NotAfter.UTC().Format("2 January 2006, 15:04 UTC")},
		{"Key", keyText(leaf)},
		{"Signature", leaf.SignatureAlgorithm.String()},
		{"Serial number", leaf.SerialNumber.Text(16)},
		{"SHA-256 fingerprint", whole},
	}
}

func orDash(s string) string { return cmp.Or(s, "–") }

// keyText describes a certificate's key: RSA, 2048 bits.
func keyText(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA, " + k.Curve.Params().Name
	}
	return c.PublicKeyAlgorithm.String()
}

// tlsCounts sorts what was negotiated, the most frequent first.
func tlsCounts(seen map[string]uint64) []tlsCount {
	var all uint64
	for _, n := range seen {
		all += n
	}
	var list []tlsCount
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		if n := seen[what]; n > 0 {
			list = append(list, tlsCount{what, n, int(n * 100 / all)})
		}
	}
	slices.SortStableFunc(list, func(a, b tlsCount) int { return cmp.Compare(b.Count, a.Count) })
	return list
}
