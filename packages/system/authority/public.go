package authority

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/system/pairs"
)

// Public is what anybody may know of the device's certificate.
type Public struct {
	CAPEM    string `json:"ca_pem"`
	ChainPEM string `json:"chain_pem"`
	// CASHA256 and LeafSHA256 are fingerprints in upper-case hex with colons.
	CASHA256   string    `json:"ca_sha256"`
	LeafSHA256 string    `json:"leaf_sha256"`
	Names      []string  `json:"names"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	// Problem says, for the owner, what is not well and what to do; empty if all is.
	Problem string `json:"problem,omitempty"`
}

// Public returns the certificate's public parts, as far as there are any.
func (d *Device) Public() Public {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := Public{Names: []string{}, Problem: d.problem()}
	if d.issuer != nil {
		p.CAPEM, p.CASHA256 = string(certs.EncodePEM(d.issuer)), certs.Fingerprint(d.issuer)
	}
	if d.leaf != nil {
		p.ChainPEM, p.LeafSHA256 = string(certs.EncodePEM(d.leaf))+p.CAPEM, certs.Fingerprint(d.leaf)
		p.NotBefore, p.NotAfter = d.leaf.NotBefore, d.leaf.NotAfter
		p.Names = certs.Names(d.leaf)
	}
	return p
}

// problem says what is not well; the caller holds mu.
func (d *Device) problem() string {
	if d.err == nil {
		return ""
	}
	until := "Until then there is no certificate, and nobody can connect."
	if d.leaf != nil {
		until = "Until then the present certificate stays in use; it ends on " + d.leaf.NotAfter.UTC().Format("2 January 2006") + "."
	}
	if errors.Is(d.err, ErrDamaged) {
		return fmt.Sprintf("The device's certificate authority is damaged or lost. Restore %s from a backup, or delete the folders %s and %s "+
			"and restart: then a new one is made, which every browser and every other client has to trust anew. %s",
			filepath.Join(d.cfg.CADir, caFile), d.cfg.CADir, d.cfg.Pairs.Path(pairs.Device), until)
	}
	what := "The device's certificate cannot be renewed: "
	if d.leaf == nil {
		what = "The device's certificate cannot be made: "
	}
	return what + words(d.err) + ". " + until
}

// words says to the owner why something cannot be kept; the log has the error itself.
func words(err error) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "the storage is missing or cannot be written to"
	case errors.Is(err, syscall.ENOSPC):
		return "the storage is full"
	case errors.Is(err, syscall.EIO):
		return "the storage does not work; the card may be worn out"
	}
	return "something unexpected is in the way, which system's log tells"
}
