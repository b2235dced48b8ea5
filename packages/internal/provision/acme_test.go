package provision_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
)

const acmeFile = `[acme]
names = "cam.example.org, *.example.org"
email = "me@example.org"
directory = "https://ca.example.org/acme/directory"
root = """
-----BEGIN CERTIFICATE-----
"""
provider = "rfc2136"
dns_server = "ns1.example.org"
dns_key_name = "porthole"
dns_key = "c2VjcmV0"
eab_key = "kid"
eab_mac = "bWFj"
rsa = false
agree_to_terms = true
`

func TestACME(t *testing.T) {
	yes, no := true, false
	want := provision.ACME{
		Names: []string{"cam.example.org", "*.example.org"}, Email: "me@example.org", Directory: "https://ca.example.org/acme/directory",
		Root: "-----BEGIN CERTIFICATE-----", Provider: "rfc2136", DNS: map[string]string{"server": "ns1.example.org", "key_name": "porthole", "key": "c2VjcmV0"},
		EABKey: "kid", EABMAC: "bWFj", RSA: &no, Agreed: &yes,
	}
	got, problems := provision.Parse([]byte(acmeFile))
	if d := cmp.Diff(want, got.ACME); d != "" || len(problems) > 0 {
		t.Errorf("%v\n%s", problems, d)
	}
	out, changed := provision.Redact([]byte(acmeFile))
	if !changed || strings.Contains(string(out), "c2VjcmV0") || strings.Contains(string(out), "bWFj") || !strings.Contains(string(out), "porthole") {
		t.Errorf("after Redact:\n%s", out)
	}
	if got, _ := provision.Parse([]byte("[acme]\nstaging = true\nproof = \"dns\"")); got.ACME.Empty() || !*got.ACME.Staging || got.ACME.Proof != "dns" {
		t.Errorf("%+v", got.ACME)
	}
	_, problems = provision.Parse([]byte("[acme]\nnames = \"\"\nemail = \"\"\nproof = \"magic\"\nrsa = \"yes\"\ndns_secret = \"x\""))
	said := ""
	for _, p := range problems {
		said += p.String() + "\n"
	}
	for _, line := range []string{"line 2: acme.names: must be names", "line 3: acme.email: must not be empty", "line 4: acme.proof: must be", "line 5: acme.rsa: must be true or false", "line 6: acme.dns_secret: unknown setting"} {
		if !strings.Contains(said, line) {
			t.Errorf("lacks %q:\n%s", line, said)
		}
	}
}
