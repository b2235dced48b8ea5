package certstore_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"testing"
	"time"

	"porthole/packages/internal/testkit"
)

var (
	inside  = from{local: "192.168.1.5:443", remote: "192.168.1.20:5000"}
	abroad  = from{local: "192.168.1.5:443", remote: "198.51.100.9:5000"}
	carrier = from{local: "192.168.1.5:443", remote: "100.64.3.4:5000"}
	direct  = from{local: "203.0.113.7:443", remote: "192.168.1.20:5000"}
)

// rsaOnly is a client that can use nothing but RSA.
func rsaOnly() *tls.Config {
	return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
}

func ecdsaOnly() *tls.Config {
	return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
}

func naming(c *tls.Config, name string, alpn ...string) *tls.Config {
	c.ServerName, c.NextProtos = name, alpn
	return c
}

// anyClient is a modern one.
func anyClient() *tls.Config { return &tls.Config{} }

// old is c without TLS 1.3, as an Echo has it.
func old(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MaxVersion = tls.VersionTLS12
	return c
}

// TestChoose is who gets which pair.
func TestChoose(t *testing.T) {
	ip := []net.IP{net.IPv4(203, 0, 113, 7)}
	pairs := map[string]testkit.Leaf{
		"device-rsa": {Names: []string{"porthole.local"}, RSA: true},
		"acme":       {Names: []string{"cam.example.org", "*.wild.example.org"}},
		"acme-rsa":   {Names: []string{"cam.example.org", "*.wild.example.org"}, RSA: true},
		"own":        {Names: []string{"cam.example.org"}},
		"own-rsa":    {Names: []string{"own.example.org"}, RSA: true},
		"address":    {IPs: ip},
	}
	over := pairs["acme"]
	over.NotAfter = time.Now().Add(-time.Minute)
	h2 := []string{"h2", "http/1.1"}
	for _, c := range []struct {
		name   string
		with   []string // beside device
		over   bool     // acme is over
		client *tls.Config
		see    from
		want   string
	}{
		{"a browser, by name", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(anyClient(), "cam.example.org", h2...), abroad, "acme"},
		{"in capitals", []string{"acme"}, false, naming(anyClient(), "CAM.Example.ORG", h2...), abroad, "acme"},
		{"what a wildcard covers", []string{"acme"}, false, naming(anyClient(), "a.wild.example.org", h2...), abroad, "acme"},
		{"what it does not", []string{"acme"}, false, naming(anyClient(), "a.b.wild.example.org", h2...), abroad, "device"},
		{"RSA only, by name", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(rsaOnly(), "cam.example.org"), abroad, "acme-rsa"},
		{"RSA only, and that name has ECDSA only", []string{"device-rsa", "acme"}, false, naming(rsaOnly(), "cam.example.org"), abroad, "device-rsa"},
		{"ECDSA only, by a name that has RSA only", []string{"device-rsa", "own-rsa"}, false, naming(ecdsaOnly(), "own.example.org"), abroad, "device"},
		{"ECDSA before what a person put there", []string{"acme", "own-rsa"}, false, naming(anyClient(), "own.example.org", h2...), abroad, "own-rsa"},
		{"what a person put there before what came by itself", []string{"acme", "own"}, false, naming(anyClient(), "cam.example.org", h2...), abroad, "own"},
		{"a public pair that is over", []string{"acme", "acme-rsa"}, true, naming(anyClient(), "cam.example.org", h2...), abroad, "acme-rsa"},
		{"nothing but it", []string{"acme"}, true, naming(anyClient(), "cam.example.org", h2...), abroad, "device"},
		{"the local name", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(anyClient(), "porthole.local", h2...), inside, "device"},
		{"the local name, RSA only", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(rsaOnly(), "porthole.local"), inside, "device-rsa"},
		{"a name that is nobody's", []string{"device-rsa", "acme"}, false, naming(anyClient(), "else.example", h2...), inside, "device"},
		{"nobody's, RSA only", []string{"device-rsa", "acme"}, false, naming(rsaOnly(), "else.example"), inside, "device-rsa"},

		{"a browser, by address", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(anyClient(), "", h2...), inside, "device"},
		{"by address, RSA only", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(rsaOnly(), "", h2...), inside, "device-rsa"},
		{"by address from abroad, no pair for addresses", []string{"acme"}, false, naming(anyClient(), "", h2...), abroad, "device"},
		{"by address from abroad", []string{"acme", "address"}, false, naming(anyClient(), "", h2...), abroad, "address"},
		{"by address, RSA only, from abroad", []string{"device-rsa", "address"}, false, naming(rsaOnly(), "", h2...), abroad, "device-rsa"},
		{"by address from inside", []string{"acme", "address"}, false, naming(anyClient(), "", h2...), inside, "device"},
		{"by address from behind the provider's own", []string{"acme", "address"}, false, naming(anyClient(), "", h2...), carrier, "device"},
		{"by the very address", []string{"acme", "address"}, false, naming(anyClient(), "", h2...), direct, "address"},

		{"a program by address", []string{"device-rsa", "acme", "acme-rsa"}, false, anyClient(), inside, "device"},
		{"a program by address from abroad", []string{"acme", "address"}, false, anyClient(), abroad, "address"},

		{"an Echo", []string{"device-rsa", "acme", "acme-rsa"}, false, old(anyClient()), inside, "acme-rsa"},
		{"an Echo, ECDSA only", []string{"device-rsa", "acme", "acme-rsa"}, false, old(ecdsaOnly()), inside, "acme"},
		{"an Echo that names the host", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(old(anyClient()), "cam.example.org"), inside, "acme-rsa"},
		{"an Echo that names the host, ECDSA only", []string{"device-rsa", "acme", "acme-rsa"}, false, naming(old(ecdsaOnly()), "cam.example.org"), inside, "acme"},
		{"an Echo that names the host, and there is no RSA", []string{"device-rsa", "acme"}, false, naming(old(anyClient()), "cam.example.org"), inside, "acme"},
		{"an Echo, and nobody public", []string{"device-rsa"}, false, old(anyClient()), inside, "device"},
		{"an Echo, RSA only, and nobody public", []string{"device-rsa"}, false, old(rsaOnly()), inside, "device-rsa"},
		{"an Echo takes what anybody trusts", []string{"acme", "own-rsa"}, false, old(anyClient()), inside, "acme"},
		{"an Echo, and only a private authority's", []string{"own", "own-rsa"}, false, old(anyClient()), inside, "own-rsa"},
		{"an Echo, and it is over", []string{"acme"}, true, old(anyClient()), inside, "device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := begin(t, func(b *bench) {
				for _, name := range c.with {
					by, leaf := everybody, pairs[name]
					if slices.Contains([]string{"device-rsa", "own", "own-rsa"}, name) {
						by = b.private
					}
					if c.over && name == "acme" {
						leaf = over
					}
					b.publish(t, name, by, leaf)
				}
			})
			c.client.InsecureSkipVerify = true
			s, err := b.shake(t, c.client, func(conn net.Conn) net.Conn { return from{conn, c.see.local, c.see.remote} })
			if err != nil {
				t.Fatal(err)
			}
			if got := s.PeerCertificates[0].Subject.CommonName; got != c.want {
				t.Errorf("gets %s, want %s", got, c.want)
			}
		})
	}
}

// TestNothingInCommon: who cannot use any pair is refused, not left hanging.
func TestNothingInCommon(t *testing.T) {
	b := begin(t, nil)
	if _, err := b.shake(t, rsaOnly(), nil); err == nil {
		t.Error("a handshake")
	}
}

// TestConfig: old TLS and CBC ciphers get nothing.
func TestConfig(t *testing.T) {
	b := begin(t, nil)
	for name, c := range map[string]struct {
		min, max uint16
		ciphers  []uint16
		ok       bool
	}{
		"1.3":        {tls.VersionTLS13, tls.VersionTLS13, nil, true},
		"1.2":        {tls.VersionTLS12, tls.VersionTLS12, nil, true},
		"1.1":        {tls.VersionTLS10, tls.VersionTLS11, nil, false},
		"1.2 in CBC": {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
	} {
		// The question is whether a handshake happens at all.
		_, err := b.shake(t, &tls.Config{MinVersion: c.min, MaxVersion: c.max, CipherSuites: c.ciphers, InsecureSkipVerify: true, NextProtos: []string{"h2"}}, nil)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSessions: a session is resumed, but not over a change of certificates: who comes then sees the new one.
func TestSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			b := begin(t, nil)
			cfg := b.Config("http/1.1")
			client := &tls.Config{
				ServerName: "porthole.local", RootCAs: b.private.Pool(), MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1), NextProtos: []string{"http/1.1"},
			}
			told := 0
			visit := func() (bool, *x509.Certificate) {
				t.Helper()
				s, err := b.shakeWith(t, cfg, client, func(c net.Conn) net.Conn { return informed{c, &told} })
				if err != nil {
					t.Fatal(err)
				}
				return s.DidResume, s.PeerCertificates[0]
			}
			visit()
			if resumed, _ := visit(); !resumed {
				t.Error("not resumed")
			}
			if told < 2 {
				t.Error("the connection of a resumed session is not told whose it is")
			}
			p := b.publish(t, "device", b.private, testkit.Leaf{Names: []string{"porthole.local"}})
			until(t, "the new one is in service", func() bool { return b.Certificates()[0].Leaf.Equal(p.Leaf) })
			if resumed, leaf := visit(); resumed || !leaf.Equal(p.Leaf) {
				t.Error("resumed with the former certificate")
			}
			if resumed, leaf := visit(); !resumed || !leaf.Equal(p.Leaf) {
				t.Error("not resumed with the new one")
			}
		})
	}
}
