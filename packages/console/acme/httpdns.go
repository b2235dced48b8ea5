package acme

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/libdns/libdns"
)

// errRefused means that a DNS provider did not take the credentials or the change.
var errRefused = errors.New("the DNS provider refused")

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

func base64Text(v string) bool {
	b, err := base64.StdEncoding.DecodeString(v)
	return err == nil && len(b) > 0
}

// acmeDNS sets TXT records at an acme-dns server, which keeps the last two for a name of its own that a CNAME leads to. The
// library for it leaves each connection open and passes the context over.
type acmeDNS struct {
	server, user, password, subdomain string
	http                              *http.Client
}

// AppendRecords sets TXT records (github.com/joohoi/acme-dns, "Update endpoint").
func (p *acmeDNS) AppendRecords(ctx context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	for _, rec := range recs {
		body, err := json.Marshal(map[string]string{"subdomain": p.subdomain, "txt": rec.RR().Data})
		if err != nil {
			return nil, fmt.Errorf("encode update for acme-dns: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.server, "/")+"/update", bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("make update for acme-dns: %w", err)
		}
		req.Header.Set("X-Api-User", p.user)
		req.Header.Set("X-Api-Key", p.password)
		req.Header.Set("Content-Type", "application/json")
		if _, err := call(p.http, req); err != nil {
			return nil, fmt.Errorf("update acme-dns: %w", err)
		}
	}
	return recs, nil
}

// DeleteRecords does nothing: newer records push the older out.
func (p *acmeDNS) DeleteRecords(_ context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, nil
}

// duckDNS sets the one TXT record of a name at duckdns.org (www.duckdns.org/spec.jsp). The library for it does not build
// with today's libdns.
type duckDNS struct {
	token, update string
	http          *http.Client
}

// AppendRecords sets the record; the last one counts.
func (p *duckDNS) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, p.change(ctx, zone, recs, false)
}

// DeleteRecords clears it.
func (p *duckDNS) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, p.change(ctx, zone, recs, true)
}

func (p *duckDNS) change(ctx context.Context, zone string, recs []libdns.Record, clear bool) error {
	for _, rec := range recs {
		// Of a.b.NAME.duckdns.org only NAME can be changed, and that answers for all below.
		full := strings.TrimSuffix(libdns.AbsoluteName(rec.RR().Name, zone), ".")
		below, ok := strings.CutSuffix(strings.ToLower(full), ".duckdns.org")
		if !ok {
			return fmt.Errorf("%s is not a name at duckdns.org", full)
		}
		q := url.Values{"domains": {below[strings.LastIndex(below, ".")+1:]}, "token": {p.token}, "txt": {rec.RR().Data}}
		if clear {
			q.Set("clear", "true")
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.update+"?"+q.Encode(), nil)
		if err != nil {
			return fmt.Errorf("make update for Duck DNS: %w", withoutURL(err))
		}
		said, err := call(p.http, req)
		if err != nil {
			return fmt.Errorf("update Duck DNS: %w", err)
		}
		if !strings.HasPrefix(said, "OK") {
			return fmt.Errorf("update Duck DNS: %w", errRefused)
		}
	}
	return nil
}

// call sends a request and returns the text of its answer. Errors hold no URL: there may be a token in it.
func call(c *http.Client, req *http.Request) (text string, err error) {
	res, err := c.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("read answer: %w", withoutURL(err))
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return "", errRefused
	case res.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the server said %d", res.StatusCode)
	}
	return string(b), nil
}

func withoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
