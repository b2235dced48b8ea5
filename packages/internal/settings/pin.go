package settings

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

// The bounds of a pin in PEM: the certificates of one server, and bytes.
const (
	MaxPinCertificates = 8
	MaxPinSize         = 32 << 10
)

// checkPin returns a pin as it is kept: a SHA-256 in uppercase hex with colons, or certificates in PEM.
func checkPin(v string) (pin, reason string) {
	switch {
	case v == "":
		return "", ""
	case len(v) > MaxPinSize:
		return "", fmt.Sprintf("has more than %d KiB: give the server's certificate alone", MaxPinSize>>10)
	case strings.Contains(v, "-----BEGIN"):
		return pinnedPEM(v)
	}
	digits := strings.ToLower(v)
	for _, before := range []string{"sha256 fingerprint=", "sha-256", "sha256"} {
		digits = strings.TrimPrefix(digits, before)
	}
	digits = strings.NewReplacer(":", "", " ", "", "\t", "", "\n", "", "\r", "").Replace(digits)
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != 32 {
		return "", "is neither a SHA-256 fingerprint (64 digits 0 to 9 and a to f, with or without colons) nor a certificate in PEM (-----BEGIN CERTIFICATE-----)"
	}
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"), ""
}

// pinnedPEM returns the certificates in v and nothing else.
func pinnedPEM(v string) (pin, reason string) {
	var out strings.Builder
	n := 0
	rest := []byte(v)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		switch {
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return "", "holds a private key, which belongs on the server alone: give the certificate, and make the server a new key, as this one has been elsewhere"
		case block.Type != "CERTIFICATE":
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", "holds a certificate that cannot be read; copy it once more, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
		}
		if n++; n > MaxPinCertificates {
			return "", fmt.Sprintf("holds more than %d certificates: give those of the server alone, not everything that a system trusts", MaxPinCertificates)
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))
	}
	if n == 0 || strings.Contains(string(rest), "-----BEGIN") {
		return "", "cannot be read to its end; copy it once more, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
	}
	return out.String(), ""
}
