package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/testkit"
)

// FuzzPin: whatever somebody sets as a pin is taken or refused, and what is taken can be compared with.
func FuzzPin(f *testing.F) {
	c := testkit.WritePair(f, f.TempDir(), "x", 0o600)
	f.Add(certs.Fingerprint(c))
	f.Add("sha256:00")
	f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	f.Fuzz(func(t *testing.T, s string) {
		pins, err := parsePin(s)
		if err != nil && len(pins) > 0 {
			t.Errorf("%d pins and %v", len(pins), err)
		}
		for _, p := range pins {
			if len(p.SHA256) != 64 {
				t.Errorf("pin %+v", p)
			}
			p.match("x", append(chainOf(c), c))
		}
	})
}

// FuzzKept: whatever stands in the files is read or refused, and what is read is written and read the same.
func FuzzKept(f *testing.F) {
	c := testkit.WritePair(f, f.TempDir(), "x", 0o600)
	good := kept{Servers: []record{{
		Server: "a:443", Pins: (&Trust{cfg: Config{Now: time.Now}}).pinsOf(append(chainOf(c), c), byFirstUse), Pending: newPending(chainOf(c), &RefusedError{Fingerprint: certs.Fingerprint(c)}, time.Now()),
	}}}
	b, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"servers":[{"server":"a:443","pins":[{"kind":"ca","sha256":""}]}]}`))
	f.Add([]byte(`{"servers":[{"server":"a:443","pins":[{"kind":"name","names":["*.a"]}]}]}`))
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","action":"pinned"}` + "\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range parseAudit(b) {
			if d.Action == "" {
				t.Error("a decision without an action")
			}
		}
		k, err := parseKept(b)
		if err != nil {
			return
		}
		for _, r := range k.Servers {
			for _, p := range r.Pins {
				p.match("x", chainOf(c))
			}
		}
		once, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseKept(once)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s\n%s, %v", once, twice, err)
		}
	})
}

func chainOf(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c} }
