package acmetest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

var errNotReady = errors.New("not ready")

// Zone is the zone that a BIND of StartBIND answers for. All names in it have the address 127.0.0.1.
const Zone = "porthole-test.org"

// BIND is a running BIND 9 with one zone that takes updates signed by a key (RFC 2136, RFC 8945).
type BIND struct {
	// Address is HOST:PORT; KeyName and Key are the TSIG key, of hmac-sha256.
	Address, KeyName, Key string

	log *lockedBuffer
}

// StartBIND starts one, which ends with the test.
func StartBIND(t testing.TB) *BIND {
	t.Helper()
	program, err := exec.LookPath("named")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/named"); err != nil {
			t.Fatal("this test needs BIND: apt-get install bind9")
		}
	}
	dir := t.TempDir()
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	b := &BIND{Address: fmt.Sprintf("127.0.0.1:%d", port), KeyName: "porthole", Key: base64.StdEncoding.EncodeToString(secret), log: &lockedBuffer{}}
	config := fmt.Sprintf(`options {
	directory %q; pid-file none; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
	recursion no; allow-transfer { none; }; dnssec-validation no; session-keyfile none; managed-keys-directory %q;
};
controls { };
key %q { algorithm hmac-sha256; secret %q; };
zone %q { type primary; file "zone"; allow-update { key %q; }; };
`, dir, port, dir, b.KeyName, b.Key, Zone, b.KeyName)
	zone := fmt.Sprintf(`$ORIGIN %s.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
@ IN A 127.0.0.1
* IN A 127.0.0.1
ns IN A 127.0.0.1
_acme-challenge IN TXT "kept"
`, Zone)
	for name, text := range map[string]string{"named.conf": config, "zone": zone} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	cmd.Stdout, cmd.Stderr = b.log, b.log
	start(t, cmd)
	Until(t, readyWithin, func() error {
		q := new(dns.Msg).SetQuestion("cam."+Zone+".", dns.TypeA)
		in, err := dns.Exchange(q, b.Address)
		if err != nil || len(in.Answer) != 1 {
			return fmt.Errorf("answers %v: %w\n%s", in, errors.Join(err, errNotReady), b.log)
		}
		return nil
	})
	return b
}

// TXT returns the texts that a name has now.
func (b *BIND) TXT(t testing.TB, name string) (texts []string) {
	t.Helper()
	in, err := dns.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeTXT), b.Address)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range in.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, txt.Txt...)
		}
	}
	return texts
}
