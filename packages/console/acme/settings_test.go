package acme_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/acme"
)

func TestNormalize(t *testing.T) {
	good := acme.Settings{Names: []string{"cam.example.org"}, Agreed: true, Proof: acme.Automatic}
	for name, c := range map[string]struct {
		change func(*acme.Settings)
		names  []string
		wrong  []string // FIELD: a part of the reason
	}{
		"plain":          {func(s *acme.Settings) { s.Names = []string{" CAM.Example.org. ", "", "cam.example.org"} }, []string{"cam.example.org"}, nil},
		"pasted address": {func(s *acme.Settings) { s.Names = []string{"https://cam.example.org/"} }, []string{"cam.example.org"}, nil},
		"umlaut":         {func(s *acme.Settings) { s.Names = []string{"küche.example.org"} }, []string{"xn--kche-0ra.example.org"}, nil},
		"addresses":      {func(s *acme.Settings) { s.Names = []string{"203.0.113.7", "[2001:DB8::1]"} }, []string{"203.0.113.7", "2001:db8::1"}, nil},
		"at home":        {func(s *acme.Settings) { s.Names = []string{"192.168.1.5"} }, nil, []string{"names: inside your own network"}},
		"own authority": {func(s *acme.Settings) {
			s.Names = []string{"192.168.1.5", "tv.lan", "tv"}
			s.Directory = "https://ca.lan/acme"
		}, []string{"192.168.1.5", "tv.lan", "tv"}, nil},
		"local":     {func(s *acme.Settings) { s.Names = []string{"porthole.local"} }, nil, []string{"names: own network only"}},
		"one label": {func(s *acme.Settings) { s.Names = []string{"porthole"} }, nil, []string{"names: a public name has a dot"}},
		"port":      {func(s *acme.Settings) { s.Names = []string{"cam.example.org:8443"} }, nil, []string{"names: not a DNS name"}},
		"eleven": {func(s *acme.Settings) {
			s.Names = strings.Split("a.b.c.d.e.f.g.h.i.j.k", ".")
			s.Directory = "https://ca/"
			s.RSA = true
		}, nil, []string{"names: at most 10"}},
		"inner wildcard": {func(s *acme.Settings) { s.Names = []string{"a.*.example.org"} }, nil, []string{"names: not a DNS name"}},
		"wildcard":       {func(s *acme.Settings) { s.Names = []string{"*.example.org"} }, nil, []string{"proof: by DNS only"}},
		"terms":          {func(s *acme.Settings) { s.Agreed = false }, nil, []string{"agreed: without this"}},
		"none":           {func(s *acme.Settings) { s.Names = nil; s.Agreed = false }, []string{}, nil},
		"email":          {func(s *acme.Settings) { s.Email = "Me <me@example.org>" }, nil, []string{"email: name@example.org"}},
		"http":           {func(s *acme.Settings) { s.Directory = "http://ca.example.org/" }, nil, []string{"directory: https://"}},
		"credentials":    {func(s *acme.Settings) { s.Directory = "https://a:b@ca.example.org/" }, nil, []string{"directory: write it as"}},
		"root": {func(s *acme.Settings) {
			s.Directory = "https://ca.lan/"
			s.RootPEM = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"
		}, nil, []string{"root_pem: private key"}},
		"half a binding": {func(s *acme.Settings) { s.EABKey = "kid" }, nil, []string{"eab_key: belong together"}},
		"bad binding":    {func(s *acme.Settings) { s.EABKey, s.EABMAC = "kid", "a+b" }, nil, []string{"eab_mac: base64url"}},
		"no provider":    {func(s *acme.Settings) { s.Proof = acme.ByDNS }, nil, []string{"provider: choose"}},
		"provider's gaps": {func(s *acme.Settings) {
			s.Proof, s.Provider = acme.ByDNS, "rfc2136"
			s.Fields = map[string]string{"server": "ns1:x", "key": "!"}
		}, nil, []string{"field_server: write it as", "field_key_name: missing", "field_key: base64"}},
		"Duck DNS": {func(s *acme.Settings) {
			s.Proof, s.Provider = acme.ByDNS, "duckdns"
			s.Fields = map[string]string{"token": "x"}
		}, nil, []string{"names: not a name at duckdns.org"}},
		"other proof": {func(s *acme.Settings) { s.Proof = "magic" }, nil, []string{"proof: choose"}},
		"acme-dns": {func(s *acme.Settings) {
			s.Proof, s.Provider = acme.ByDNS, "acmedns"
			s.Fields = map[string]string{"server": "http://x", "username": "u", "password": "p", "subdomain": "s"}
		}, nil, []string{"field_server: https://"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			c.change(&s)
			got, wrong := s.Normalize()
			if len(wrong) != len(c.wrong) {
				t.Fatalf("wrong: %v, want %q", wrong, c.wrong)
			}
			for i, w := range wrong {
				field, reason, _ := strings.Cut(c.wrong[i], ": ")
				if w.Field != field || !strings.Contains(w.Reason, reason) {
					t.Errorf("%v, want %q", w, c.wrong[i])
				}
			}
			if c.names != nil && !slices.Equal(got.Names, c.names) {
				t.Errorf("names %q, want %q", got.Names, c.names)
			}
		})
	}
}

// TestSecrets: what is shown holds none; an empty field keeps one, but not for another server.
func TestSecrets(t *testing.T) {
	kept := acme.Settings{Names: []string{"a.example.org"}, Provider: "acmedns", EABKey: "kid", EABMAC: "bWFj", Fields: map[string]string{
		"server": "https://one.example.org", "username": "u", "password": "hunter2", "subdomain": "s"}}
	if shown := kept.WithoutSecrets(); shown.EABMAC != "" || shown.Fields["password"] != "" || shown.Fields["username"] != "u" || kept.Fields["password"] != "hunter2" {
		t.Errorf("shown %+v, kept %+v", shown, kept)
	}
	if d := cmp.Diff(kept, kept.WithoutSecrets().KeepSecrets(kept)); d != "" {
		t.Error(d)
	}
	elsewhere := kept.WithoutSecrets()
	elsewhere.Fields["server"], elsewhere.Directory = "https://two.example.org", "https://ca.example.org/"
	if got := elsewhere.KeepSecrets(kept); got.Fields["password"] != "" || got.EABMAC != "" {
		t.Errorf("secrets for another server: %+v", got)
	}
}

// FuzzNormalize: what is taken stays as it is when it is taken again, and names are those of certificates.
func FuzzNormalize(f *testing.F) {
	f.Add("cam.example.org *.example.org 203.0.113.7", "https://ca.example.org/dir", "", "rfc2136", "ns1.example.org:53", "a2V5")
	f.Add("küche.example.org [::1] a..b", "", "-----BEGIN CERTIFICATE-----", "duckdns", "::1", "")
	f.Fuzz(func(t *testing.T, names, directory, root, provider, server, key string) {
		s, wrong := acme.Settings{
			Names: strings.Fields(names), Directory: directory, RootPEM: root, Proof: acme.ByDNS, Provider: provider, Agreed: true,
			Fields: map[string]string{"server": server, "key": key, "key_name": "k", "token": key, "api_token": key, "username": "u", "password": key, "subdomain": "s"},
		}.Normalize()
		if len(wrong) > 0 {
			return
		}
		if again, wrong := s.Normalize(); len(wrong) > 0 || !cmp.Equal(again, s) {
			t.Errorf("%+v\nagain %+v, %v", s, again, wrong)
		}
		for _, n := range s.Names {
			if len(n) > 255 || strings.ContainsAny(n, " /\\@\x00") || n != strings.ToLower(n) {
				t.Errorf("name %q", n)
			}
		}
	})
}
