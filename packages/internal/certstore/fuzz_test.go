package certstore_test

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"testing"

	"porthole/packages/internal/certstore"
	"porthole/packages/internal/testkit"
)

// FuzzParse: whatever lies in a folder, it is a pair or an error.
func FuzzParse(f *testing.F) {
	a := testkit.NewAuthority(f, "x")
	for _, rsa := range []bool{false, true} {
		p := a.Issue(f, testkit.Leaf{Names: []string{"cam.example.org"}, RSA: rsa})
		f.Add(p.Chain, p.Key)
		f.Add(p.Key, p.Chain)
		f.Add(p.Chain[:len(p.Chain)/2], p.Key)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		c, err := certstore.Parse(chain, key)
		if err == nil && (c.Leaf == nil || c.Algorithm == "") {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzChoose: whatever a client says, it gets a pair, and by name a public one for that name only.
func FuzzChoose(f *testing.F) {
	dir := f.TempDir()
	a := testkit.NewAuthority(f, "x")
	for name, l := range map[string]testkit.Leaf{
		"device": {Names: []string{"porthole.local"}}, "device-rsa": {Names: []string{"porthole.local"}, RSA: true},
		"acme": {Names: []string{"cam.example.org", "*.wild.example.org"}, IPs: []net.IP{net.IPv4(203, 0, 113, 7)}},
	} {
		a.Issue(f, l).Publish(f, dir, name)
	}
	s, err := certstore.Open(f.Context(), slog.New(slog.DiscardHandler), dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"", "cam.example.org", "CAM.EXAMPLE.ORG.", "a.wild.example.org", "*.wild.example.org", "203.0.113.7", "[203.0.113.7]", "..", "\x00", "xn--", strings.Repeat("a.", 200)} {
		f.Add(name, "h2", uint16(tls.VersionTLS13), tls.TLS_AES_128_GCM_SHA256, uint16(tls.ECDSAWithP256AndSHA256))
		f.Add(name, "", uint16(tls.VersionTLS12), tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, uint16(tls.PSSWithSHA256))
	}
	f.Fuzz(func(t *testing.T, name, alpn string, version, suite, scheme uint16) {
		hello := &tls.ClientHelloInfo{
			ServerName: name, SupportedVersions: []uint16{version}, CipherSuites: []uint16{suite}, SignatureSchemes: []tls.SignatureScheme{tls.SignatureScheme(scheme)},
			SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256}, SupportedPoints: []uint8{0},
		}
		if alpn != "" {
			hello.SupportedProtos = []string{alpn}
		}
		c := s.Choose(hello)
		if c.Leaf == nil || name != "" && c.Public && c.Leaf.VerifyHostname(name) != nil || name == "" && alpn != "" && c.Public {
			t.Errorf("%q, %q: %s", name, alpn, c.Name)
		}
	})
}
