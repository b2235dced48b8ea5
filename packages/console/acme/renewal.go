package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// How often a server is asked when to renew (RFC 9773 section 4.3.2 gives the bounds).
const (
	renewalAskMin   = time.Minute
	renewalAskMax   = 24 * time.Hour
	renewalAskUsual = 6 * time.Hour
)

// renewal is what a server said of when to renew (ARI).
type renewal struct {
	// At lies within the window from Start to End; all are zero where the server says nothing.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
	At    time.Time `json:"at,omitzero"`
	// Ask is when to ask again.
	Ask time.Time `json:"ask,omitzero"`
	// Why is a page that explains an unusual window.
	Why string `json:"why,omitempty"`
}

// askRenewal asks the server when to renew. What it said before stays where it does not answer, or means the same window.
func (m *Manager) askRenewal(ctx context.Context, c *client, leaf *x509.Certificate, before renewal) renewal {
	now := m.now()
	before.Ask = now.Add(renewalAskUsual)
	info, err := c.GetRenewalInfo(ctx, leaf)
	if errors.Is(err, acme.ErrUnsupported) {
		return renewal{Ask: now.Add(renewalAskMax)}
	}
	if err != nil {
		if ctx.Err() == nil {
			m.o.Log.Info("the certificate server does not say when to renew", "err", err)
		}
		return before
	}
	next := now.Add(renewalAskUsual)
	if info.RetryAfter != nil {
		next = clampTime(*info.RetryAfter, now.Add(renewalAskMin), now.Add(renewalAskMax))
	}
	if info.SuggestedWindow.Start.Equal(before.Start) && info.SuggestedWindow.End.Equal(before.End) {
		before.Ask = next
		return before
	}
	return renewal{Start: info.SuggestedWindow.Start, End: info.SuggestedWindow.End, At: info.SelectedTime, Ask: next, Why: info.ExplanationURL}
}

func clampTime(t, least, most time.Time) time.Time {
	if t.Before(least) {
		return least
	}
	if t.After(most) {
		return most
	}
	return t
}

// due is when a certificate is to be renewed: at the server's time, else at two thirds of its lifetime; never later than with
// a tenth of it left.
func (r renewal) due(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	at := leaf.NotBefore.Add(life / 3 * 2)
	if !r.At.IsZero() {
		at = r.At
	}
	return clampTime(at, time.Time{}, leaf.NotAfter.Add(-life/10))
}
