package main

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/keypair"
	"porthole/packages/internal/unixsock"
)

// publishWithin bounds how long system may take to write a pair and have it synced: cards are slow.
const publishWithin = 30 * time.Second

// servedPair is a pair in service, as system lists it.
type servedPair struct {
	Name      string    `json:"name"`
	Algorithm string    `json:"algorithm"`
	ChainPEM  string    `json:"chain_pem"`
	SHA256    string    `json:"sha256"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Issuer    string    `json:"issuer"`
	// Public pairs are for names of the world's; the others are signed by the device's own authority.
	Public bool `json:"public"`
}

// chain parses the pair's chain; nil when it is not one.
func (p servedPair) chain() []*x509.Certificate {
	certs, err := parseCertificates(p.ChainPEM)
	if err != nil {
		return nil
	}
	return certs
}

// publish puts a pair into service as name (acme, acme-rsa, own, own-rsa) and writes it into the audit log with who and why,
// which follows on a semicolon: "ordered by the settings". A *keypair.Refusal tells people why system refused it.
func (c *console) publish(ctx context.Context, name string, p keypair.Pair, who, why string) error {
	err := c.tellSystem(ctx, http.MethodPut, name, map[string]string{
		"chain_pem": string(p.ChainPEM()), "key_pem": string(p.KeyPEM()), "who": who, "why": why,
	})
	if err != nil {
		return fmt.Errorf("publish certificate %s: %w", name, err)
	}
	// The root is no part of what is served, but of what clients save to trust it.
	if err := c.keepRoot(ctx, name, p.Root); err != nil {
		return err
	}
	c.log.Info("certificate published", "certificate", name, "names", p.Names(), "algorithm", p.Algorithm(), "not_after", p.Leaf().NotAfter, "account", who)
	c.note(ctx, auditEntry{Who: who, Area: auditCertificates, What: fmt.Sprintf("put a certificate for %s into service (%s, issued by %s, until %s); %s",
		strings.Join(p.Names(), ", "), p.Algorithm(), certs.Issuer(p.Leaf()), dayText(p.Leaf().NotAfter), why)})
	return nil
}

// unpublish takes the pair name out of service; that there is none is no error.
func (c *console) unpublish(ctx context.Context, name, who, why string) error {
	err := c.tellSystem(ctx, http.MethodDelete, name, map[string]string{"who": who, "why": why})
	if status, ok := errors.AsType[*unixsock.StatusError](err); ok && status.Status == http.StatusNotFound {
		return c.keepRoot(ctx, name, nil)
	}
	if err != nil {
		return fmt.Errorf("remove certificate %s: %w", name, err)
	}
	c.log.Info("certificate removed", "certificate", name, "account", who)
	c.note(ctx, auditEntry{Who: who, Area: auditCertificates, What: "took the certificate “" + name + "” out of service; " + why})
	return c.keepRoot(ctx, name, nil)
}

func (c *console) tellSystem(ctx context.Context, method, name string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	defer c.backends.certificate.forget()
	_, err := c.backends.system.Call(ctx, method, "/certificates/"+name, body, nil)
	if status, ok := errors.AsType[*unixsock.StatusError](err); ok && status.Status == http.StatusUnprocessableEntity {
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal([]byte(status.Body), &said) == nil && said.Error != "" {
			return &keypair.Refusal{Reason: said.Error}
		}
	}
	if err != nil {
		return fmt.Errorf("ask system: %w", err)
	}
	return nil
}

// rootSetting is where the root of a pair is kept that came with it.
func rootSetting(name string) string { return "certificate_root." + name }

func (c *console) keepRoot(ctx context.Context, name string, root *x509.Certificate) error {
	text := ""
	if root != nil {
		text = string(certs.EncodePEM(root))
	}
	return c.store.write(context.WithoutCancel(ctx), func(tx *sql.Tx) error { return setSetting(ctx, tx, rootSetting(name), text) })
}

// keptRoot returns the root that came with the pair name; nil when there was none.
func (c *console) keptRoot(ctx context.Context, name string) (*x509.Certificate, error) {
	text, err := setting(ctx, c.store.r, rootSetting(name))
	if err != nil || text == "" {
		return nil, err
	}
	root, err := parseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("read the root kept for certificate %s: %w", name, err)
	}
	return root, nil
}
