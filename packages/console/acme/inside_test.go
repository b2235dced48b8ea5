package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3/acme"
)

// TestLedger replays the hardest day that somebody who presses "Try now" can make of it: Let's Encrypt's own limits are never
// reached.
func TestLedger(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for kind, within := range map[string]struct {
		of   time.Duration
		most int
	}{failedProof: {time.Hour, 5}, newOrder: {3 * time.Hour, 300}, issued: {7 * 24 * time.Hour, 5}} {
		var l ledger
		var done []time.Time
		for at := start; at.Before(start.Add(16 * 24 * time.Hour)); at = at.Add(3 * time.Minute) {
			e := event{At: at, Directory: LetsEncrypt, Kind: kind, What: "cam.example.org"}
			if next := l.free(at, true, e); next.After(at) {
				if next.Sub(at) > within.of {
					t.Fatalf("%s: the next one only after %v", kind, next.Sub(at))
				}
				continue
			}
			l.add(e)
			done = append(done, at)
			n := 0
			for _, d := range done {
				if at.Sub(d) < within.of {
					n++
				}
			}
			if n >= within.most {
				t.Fatalf("%s: %d within %v", kind, n, within.of)
			}
		}
		if len(done) < 8 || len(l.Events) > 20000 {
			t.Errorf("%s: %d were allowed, %d are kept", kind, len(done), len(l.Events))
		}
	}
	// A clock that was wrong counts for nothing.
	l := ledger{Events: []event{{At: start.Add(1000 * time.Hour), Directory: LetsEncrypt, Kind: failedProof, What: "x"}}}
	l.add(event{At: start, Directory: LetsEncrypt, Kind: newOrder})
	if len(l.Events) != 1 {
		t.Errorf("%+v", l.Events)
	}
}

func TestPauses(t *testing.T) {
	want := []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 24 * time.Hour}
	for i, d := range want {
		if got := pause(pauses[:], i+1); got != d {
			t.Errorf("after %d: %v", i+1, got)
		}
	}
}

func TestDue(t *testing.T) {
	leaf := &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(90*86400, 0)}
	day := func(n int64) time.Time { return time.Unix(n*86400, 0) }
	for name, c := range map[string]struct {
		r    renewal
		want time.Time
	}{
		"two thirds":             {renewal{}, day(60)},
		"the server's word":      {renewal{At: day(7)}, day(7)},
		"a word that comes late": {renewal{At: day(89)}, day(81)},
	} {
		if got := c.r.due(leaf); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Time{
		"": {}, "x": {}, "-5": {}, "120": now.Add(2 * time.Minute), "999999999": now.Add(7 * 24 * time.Hour),
		"Sun, 01 Nov 2026 00:10:00 GMT": now.Add(10 * time.Minute), "Fri, 01 Jan 2100 00:00:00 GMT": now.Add(7 * 24 * time.Hour),
	} {
		if got := retryAfter(v, now); !got.Equal(want) {
			t.Errorf("%q: %v", v, got)
		}
	}
}

// TestExplain: whatever goes wrong is said in a sentence that says what to do.
func TestExplain(t *testing.T) {
	m := New(Options{Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		if name == "gone.example.org" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9")}, nil
	}})
	said := func(kind, detail string) error {
		return fmt.Errorf("authorization failed: %w", acme.Problem{Type: acme.ProblemTypeNamespace + kind, Detail: detail, Status: 400})
	}
	dns := Settings{Proof: ByDNS, Provider: "cloudflare"}
	for name, c := range map[string]struct {
		s    Settings
		e    stepError
		want []string
	}{
		"refused": {Settings{}, stepError{step: proveName, name: "cam.example.org", way: "tls-alpn-01", err: said("connection", "203.0.113.9: Connection refused")},
			[]string{"Let’s Encrypt was refused at cam.example.org on port 443", "203.0.113.9 and 2001:db8::9", "router"}},
		"timeout": {Settings{}, stepError{step: proveName, name: "cam.example.org", way: "http-01", err: said("connection", "Timeout during connect (likely firewall problem)")},
			[]string{"got no answer from", "port 80"}},
		"no address":  {Settings{}, stepError{step: proveName, name: "gone.example.org", way: "tls-alpn-01", err: said("dns", "NXDOMAIN looking up A")}, []string{"finds no address", "NXDOMAIN", "A record"}},
		"other":       {Settings{}, stepError{step: proveName, name: "cam.example.org", way: "tls-alpn-01", err: said("unauthorized", "Cannot negotiate ALPN protocol")}, []string{"Something else than this device", "reverse proxy"}},
		"not known":   {Settings{}, stepError{step: proveName, name: "gone.example.org", way: "tls-alpn-01", err: said("connection", "no route")}, []string{"no address at all"}},
		"CAA":         {Settings{}, stepError{step: proveName, name: "cam.example.org", way: "dns-01", err: said("caa", "CAA record for cam.example.org prevents issuance")}, []string{"CAA record", "letsencrypt.org"}},
		"TXT":         {dns, stepError{step: proveName, name: "*.example.org", way: "dns-01", err: said("unauthorized", "Incorrect TXT record")}, []string{"_acme-challenge.example.org:", "Incorrect TXT record"}},
		"limits":      {Settings{}, stepError{step: makeOrder, err: said("rateLimited", "too many certificates, retry after 2026-11-22 03:00:00 UTC")}, []string{"enough requests", "retry after 2026-11-22"}},
		"rejected":    {Settings{}, stepError{step: makeOrder, err: said("rejectedIdentifier", "Policy forbids issuing for name")}, []string{"gives no certificate", "another name"}},
		"own limit":   {Settings{}, stepError{step: ownLimit, err: errors.New("x")}, []string{"only so many tries"}},
		"token":       {dns, stepError{step: setRecord, name: "*.example.org", way: "dns-01", err: errors.New("adding temporary record: got error status: HTTP 403: [Invalid access token]")}, []string{"Cloudflare refused to change the DNS of example.org", "token"}},
		"zone":        {dns, stepError{step: setRecord, name: "cam.example.org", err: errors.New("could not determine zone for domain")}, []string{"No zone"}},
		"propagation": {dns, stepError{step: setRecord, name: "cam.example.org", err: errors.New("timed out waiting for record to fully propagate")}, []string{"cannot be seen in DNS"}},
		"binding":     {Settings{Directory: "https://ca.example.org/d"}, stepError{step: register, err: errNeedsEAB}, []string{"ca.example.org", "key’s id"}},
		"offline":     {Settings{}, stepError{step: readDirectory, err: context.DeadlineExceeded}, []string{"does not answer", "internet"}},
		"not ACME":    {Settings{Directory: "https://ca.example.org/d"}, stepError{step: readDirectory, err: errors.New("HTTP 404: <script>secret</script>")}, []string{"not as an ACME server", "!secret"}},
		"publish":     {Settings{}, stepError{step: publish, err: errors.New("ask system: no")}, []string{"could not be put in service"}},
		"hostile":     {Settings{}, stepError{step: makeOrder, err: said("malformed", "a\x1b[31m\n"+strings.Repeat("x", 9000))}, []string{"refused", "!\x1b", "!\n", "…"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.explain(t.Context(), c.s, &c.e)
			for _, w := range c.want {
				part, not := strings.CutPrefix(w, "!")
				if strings.Contains(got, part) == not || len(got) > 1000 {
					t.Errorf("%q: %q", w, got)
				}
			}
			if !strings.HasSuffix(got, ".") && !strings.HasSuffix(got, "?") {
				t.Errorf("no sentence: %q", got)
			}
		})
	}
}

// TestHTTPDNS speaks with acme-dns and Duck DNS as their documents have it.
func TestHTTPDNS(t *testing.T) {
	var got []string
	answer, status := "OK", 200
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Api-User")+":"+r.Header.Get("X-Api-Key")+" "+string(body))
		w.WriteHeader(status)
		w.Write([]byte(answer))
	}))
	defer s.Close()
	rec := []libdns.Record{libdns.RR{Type: "TXT", Name: "_acme-challenge.cam.mine", Data: "proof"}}
	duck := &duckDNS{token: "secret-token", update: s.URL + "/update", http: s.Client()}
	joohoi := &acmeDNS{server: s.URL + "/", user: "u", password: "p", subdomain: "sub", http: s.Client()}
	for _, f := range []func(context.Context, string, []libdns.Record) ([]libdns.Record, error){duck.AppendRecords, duck.DeleteRecords, joohoi.AppendRecords, joohoi.DeleteRecords} {
		if _, err := f(t.Context(), "duckdns.org.", rec); err != nil {
			t.Error(err)
		}
	}
	if d := cmp.Diff([]string{
		"GET /update?domains=mine&token=secret-token&txt=proof : ", "GET /update?clear=true&domains=mine&token=secret-token&txt=proof : ",
		`POST /update u:p {"subdomain":"sub","txt":"proof"}`,
	}, got); d != "" {
		t.Error(d)
	}
	if _, err := duck.AppendRecords(t.Context(), "example.org.", rec); err == nil {
		t.Error("a name elsewhere was taken")
	}
	answer = "KO"
	if _, err := duck.AppendRecords(t.Context(), "duckdns.org.", rec); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	status = http.StatusUnauthorized
	if _, err := joohoi.AppendRecords(t.Context(), "duckdns.org.", rec); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	s.Close()
	if _, err := duck.AppendRecords(t.Context(), "duckdns.org.", rec); err == nil || strings.Contains(err.Error(), "secret-token") {
		t.Errorf("the token is in the error, or there is none: %v", err)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Nov 2026 00:10:00 GMT")
	f.Fuzz(func(t *testing.T, v string) {
		now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		if got := retryAfter(v, now); got.After(now.Add(7 * 24 * time.Hour)) {
			t.Errorf("%q: %v", v, got)
		}
		if said := clean(v); len(said) > maxDetail+3 || strings.ContainsAny(said, "\n\x00\x1b") {
			t.Errorf("%q", said)
		}
	})
}
