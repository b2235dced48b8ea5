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
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/identity"
)

// certificatePage is the page of the certificates and of what connections really use.
type certificatePage struct {
	Admin bool
	CA    *certificateView
	// Problem says why nothing is known of the certificates, or is empty.
	Problem, Proxy string
	Served         []servedCard
	// Yours is what the connection of who looks negotiated; empty without TLS.
	Yours string
	Seen  []tlsCount
}

// servedCard tells of the certificates in service for the same names: one for each kind of key.
type servedCard struct {
	// ID is part of an element's id.
	ID, Title string
	State     state
	// Uses says who gets them.
	Uses  string
	Names []string
	Certs []servedCert
	// Change is the page on which they are changed; empty for the device's own, and for who is no administrator.
	Change string
}

type servedCert struct {
	Title string
	Facts []fact
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
	v := certificatePage{Admin: isAdmin(id), Yours: printable(r.Header.Get(tlsHeader))}
	var cert certificateStatus
	var status proxyStatus
	var certErr, statusErr error
	var wg sync.WaitGroup
	wg.Go(func() { cert, certErr = c.backends.certificate.answer(r.Context()) })
	wg.Go(func() { status, statusErr = c.backends.cameras.answer(r.Context()) })
	wg.Wait()
	v.CA, v.Served = c.certificateFor(r), servedCards(cert, v.Admin, time.Now())
	if certErr != nil || len(v.Served) == 0 {
		v.Problem = "system does not answer, or there is no certificate yet, so nothing is known of it. Look again in a moment."
	}
	if statusErr != nil {
		v.Proxy = "proxy does not answer, so what connections use is not known."
	}
	v.Seen = tlsCounts(status.HTTPS.TLS)
	c.render(w, r, http.StatusOK, "certificate", page{Title: "Certificate", User: id, Body: v})
}

// endsSoon is when a certificate's end begins to be told: it should have been renewed long before.
const endsSoon = 14 * 24 * time.Hour

// servedCards puts the pairs in service together by what they are for.
func servedCards(s certificateStatus, admin bool, now time.Time) []servedCard {
	var cards []servedCard
	for _, p := range s.Certificates {
		chain := p.chain()
		if chain == nil {
			continue
		}
		cert := servedCert{p.Algorithm, certificateFacts(chain[0], s)}
		card := newServedCard(p, admin, now)
		i := slices.IndexFunc(cards, func(o servedCard) bool { return o.Title == card.Title && slices.Equal(o.Names, card.Names) })
		if i < 0 {
			card.Certs = []servedCert{cert}
			cards = append(cards, card)
			continue
		}
		cards[i].Certs = append(cards[i].Certs, cert)
		if cards[i].State.Tone == toneGood {
			cards[i].State = card.State // the worse one
		}
	}
	return cards
}

func newServedCard(p servedPair, admin bool, now time.Time) servedCard {
	kind := strings.TrimSuffix(p.Name, "-rsa")
	card := servedCard{ID: p.Name, Names: p.Names, State: state{"good for " + durationText(p.NotAfter.Sub(now)), toneGood}}
	expired := now.After(p.NotAfter)
	switch {
	case expired:
		card.State = state{"expired on " + dayText(p.NotAfter), toneBad}
	case p.NotAfter.Sub(now) < endsSoon && p.NotAfter.Sub(now) < p.NotAfter.Sub(p.NotBefore)/3:
		card.State = state{"ends in " + durationText(p.NotAfter.Sub(now)), toneBusy}
	}
	switch {
	case !p.Public:
		card.Title, card.Uses = "Made by this device", "Serves the device’s addresses and .local names, and every name that none of the others has."
		return card
	case kind == "acme":
		card.Title = "From " + p.Issuer
		card.Change = "/settings/certificate"
	default:
		card.Title = "Your own, from " + p.Issuer
		card.Change = ownCertificatePath
	}
	if !admin {
		card.Change = ""
	}
	card.Uses = "Serves the names below, and clients that name no server, as an Echo does."
	if expired {
		card.Uses = "It has expired, so the one made by this device is served in its place."
	}
	return card
}

func certificateFacts(leaf *x509.Certificate, s certificateStatus) []fact {
	whole := certs.Fingerprint(leaf)
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
