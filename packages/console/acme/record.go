package acme

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// setRecord sets the TXT record of DNS-01 (RFC 8555 section 8.4) and waits until it can be seen.
func (m *Manager) setRecord(ctx context.Context, c *client, s Settings, ch acme.Challenge) (remove func(), err error) {
	plain := &http.Client{Transport: c.pace.next, Timeout: requestWithin}
	provider, err := s.dnsProvider(plain)
	if err != nil {
		return nil, err
	}
	solver := &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: provider, TTL: time.Minute, PropagationTimeout: propagateWithin, Resolvers: m.o.Resolvers,
	}}
	ctx, cancel := context.WithTimeout(ctx, propagateWithin+time.Minute)
	defer cancel()
	if err := solver.Present(ctx, ch); err != nil {
		return nil, fmt.Errorf("set record %s: %w", ch.DNS01TXTRecordName(), err)
	}
	remove = func() {
		// It ends by a time of its own even where the process is told to end: a record left behind helps nobody.
		if err := solver.CleanUp(context.WithoutCancel(ctx), ch); err != nil {
			m.o.Log.Warn("cannot remove a DNS record", "name", ch.DNS01TXTRecordName(), "provider", s.Provider, "err", err)
		}
	}
	if err := solver.Wait(ctx, ch); err != nil {
		remove()
		return nil, fmt.Errorf("wait for record %s: %w", ch.DNS01TXTRecordName(), err)
	}
	return remove, nil
}
