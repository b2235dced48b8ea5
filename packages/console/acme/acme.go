// Package acme gets certificates for public names from an ACME server (RFC 8555) and renews them in time.
//
// A Manager follows one set of Settings: it registers an account, proves the names (TLS-ALPN-01, HTTP-01, DNS-01), and
// hands a certificate with an ECDSA key, and one with an RSA key if wanted, to a Publisher. When to renew is the server's
// word (ARI, RFC 9773), else two thirds of the lifetime. What it did is kept by a Keeper, so that a restart goes on with
// the order that was under way, and no restart makes it ask more often than servers allow.
package acme

import (
	"context"
	"time"
)

// The names that the certificates are published under.
const (
	PairECDSA = "acme"
	PairRSA   = "acme-rsa"
)

// Directories of Let's Encrypt (letsencrypt.org/docs/acme-protocol-updates, letsencrypt.org/docs/staging-environment).
const (
	LetsEncrypt        = "https://acme-v02.api.letsencrypt.org/directory"
	LetsEncryptStaging = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

// Keeper keeps what must outlive a restart, private keys among it.
type Keeper interface {
	// Load returns the value of a key, nil when there is none.
	Load(ctx context.Context, key string) ([]byte, error)
	// Save changes all of the keys or none; a nil value removes its key.
	Save(ctx context.Context, changes map[string][]byte) error
}

// Publisher puts certificates in service.
type Publisher interface {
	// Publish replaces the pair of that name as a whole. why is for the audit log: "first certificate", "renewed".
	Publish(ctx context.Context, name string, chainPEM, keyPEM []byte, why string) error
	// Unpublish takes a pair out of service; one that is not there is no error.
	Unpublish(ctx context.Context, name, why string) error
	// Published returns the fingerprints of the leaves in service (certs.Fingerprint), by the pairs' names.
	Published(ctx context.Context) (map[string]string, error)
}

// The keys of what is kept.
const (
	keySettings = "settings"
	keyTries    = "tries"
	keyLedger   = "ledger"
)

func keyAccount(directory string) string { return "account " + directory }

func keyPair(name string) string { return "pair " + name }

func keyOrder(name string) string { return "order " + name }

// How long things may take.
const (
	// validateWithin bounds the wait for a server's look at one name.
	validateWithin = 3 * time.Minute
	// propagateWithin bounds the wait until a DNS record that was set can be seen.
	propagateWithin = 5 * time.Minute
	// issueWithin bounds the wait for a certificate once all names are proven.
	issueWithin = 5 * time.Minute
	// requestWithin bounds one HTTP request.
	requestWithin = 30 * time.Second
)
