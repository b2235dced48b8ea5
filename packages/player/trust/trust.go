// Package trust decides whether a server is the one that was meant, from the certificates of its TLS handshake: public CAs,
// a preset pin, or the pin of the first connection. Every decision is written down.
package trust

import "time"

// Decision is a line of the audit log.
type Decision struct {
	Time   time.Time `json:"time"`
	Server string    `json:"server"`
	// Action is "pinned", "preset", "refused", "approved", "forgotten" or "public".
	Action string `json:"action"`
	// Fingerprint is the certificate's SHA-256 in hex with colons; Detail a sentence.
	Fingerprint string `json:"fingerprint,omitempty"`
	Detail      string `json:"detail"`
}
