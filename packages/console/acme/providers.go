package acme

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/cloudflare"
	"github.com/libdns/desec"
	"github.com/libdns/rfc2136"
	"github.com/miekg/dns"

	"porthole/packages/internal/settings"
)

// Field is something that a DNS provider needs to know.
type Field struct {
	// Key is its name in Settings.Fields, Label and Hint are for people.
	Key, Label, Hint, Placeholder string
	// Secret is not shown again; Optional may be empty.
	Secret, Optional bool

	check func(v string) (reason string)
}

// Provider is a DNS provider whose records can be set by program.
type Provider struct {
	ID, Name string
	Fields   []Field

	build func(v map[string]string, c *http.Client) certmagic.DNSProvider
}

// tsigAlgorithms are those of RFC 8945 section 6 that are not broken, the usual one first.
var tsigAlgorithms = []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"}

// Providers are all that are known, in the order to show them.
func Providers() []Provider {
	return []Provider{
		{ID: "rfc2136", Name: "Own name server (RFC 2136)", Fields: []Field{
			{Key: "server", Label: "Name server", Hint: "Where updates go: the primary server of the zone.", Placeholder: "ns1.example.org", check: checkServer},
			{Key: "key_name", Label: "Key’s name", Hint: "The TSIG key that may change the zone.", Placeholder: "porthole", check: checkKeyName},
			{Key: "key_alg", Label: "Key’s algorithm", Hint: "Empty: hmac-sha256. Also: hmac-sha384, hmac-sha512.", Placeholder: "hmac-sha256", Optional: true, check: checkAlgorithm},
			{Key: "key", Label: "Key", Hint: "As tsig-keygen writes it (base64).", Secret: true, check: checkTSIG},
		}, build: func(v map[string]string, _ *http.Client) certmagic.DNSProvider {
			alg := v["key_alg"]
			if alg == "" {
				alg = tsigAlgorithms[0]
			}
			return &rfc2136.Provider{Server: withPort(v["server"]), KeyName: v["key_name"], KeyAlg: alg, Key: v["key"]}
		}},
		{ID: "acmedns", Name: "acme-dns", Fields: []Field{
			{Key: "server", Label: "Server", Hint: "Set a CNAME from _acme-challenge.YOUR-NAME to the full domain that it gave you.", Placeholder: "https://auth.acme-dns.io", check: checkHTTPS},
			{Key: "username", Label: "User name", check: checkText},
			{Key: "password", Label: "Password", Secret: true, check: checkText},
			{Key: "subdomain", Label: "Subdomain", check: checkText},
		}, build: func(v map[string]string, c *http.Client) certmagic.DNSProvider {
			return &acmeDNS{server: v["server"], user: v["username"], password: v["password"], subdomain: v["subdomain"], http: c}
		}},
		{ID: "cloudflare", Name: "Cloudflare", Fields: []Field{
			{Key: "api_token", Label: "API token", Hint: "One with the permissions Zone / DNS / Edit and Zone / Zone / Read, not the global key.", Secret: true, check: checkText},
		}, build: func(v map[string]string, c *http.Client) certmagic.DNSProvider {
			return &cloudflare.Provider{APIToken: v["api_token"], HTTPClient: c}
		}},
		{ID: "desec", Name: "deSEC", Fields: []Field{
			{Key: "token", Label: "Token", Hint: "Made at desec.io under Token Management.", Secret: true, check: checkText},
		}, build: func(v map[string]string, _ *http.Client) certmagic.DNSProvider {
			return &desec.Provider{Token: v["token"]}
		}},
		{ID: "duckdns", Name: "Duck DNS", Fields: []Field{
			{Key: "token", Label: "Token", Hint: "Shown at duckdns.org once you are logged in.", Secret: true, check: checkText},
		}, build: func(v map[string]string, c *http.Client) certmagic.DNSProvider {
			return &duckDNS{token: v["token"], update: "https://www.duckdns.org/update", http: c}
		}},
	}
}

// ProviderByID finds a provider.
func ProviderByID(id string) (Provider, bool) {
	list := Providers()
	i := slices.IndexFunc(list, func(p Provider) bool { return p.ID == id })
	if i < 0 {
		return Provider{}, false
	}
	return list[i], true
}

// checkProvider completes what the provider needs.
func (s *Settings) checkProvider() (wrong []*settings.FieldError) {
	p, ok := ProviderByID(s.Provider)
	if !ok {
		return []*settings.FieldError{{Field: "provider", Reason: "choose who answers for the name in DNS"}}
	}
	given := s.Fields
	s.Fields = map[string]string{}
	for _, f := range p.Fields {
		v := strings.TrimSpace(given[f.Key])
		reason := ""
		switch {
		case v != "":
			reason = f.check(v)
		case !f.Optional:
			reason = "is missing"
		}
		if reason != "" {
			wrong = append(wrong, &settings.FieldError{Field: "field_" + f.Key, Reason: reason})
		}
		s.Fields[f.Key] = v
	}
	if p.ID == "duckdns" {
		for _, n := range s.Names {
			if !isAddress(n) && !strings.HasSuffix(n, ".duckdns.org") {
				wrong = append(wrong, &settings.FieldError{Field: "names", Reason: n + " is not a name at duckdns.org, so Duck DNS cannot prove it"})
			}
		}
	}
	return wrong
}

// WithoutSecrets returns the settings as they may be shown.
func (s Settings) WithoutSecrets() Settings {
	s.EABMAC = ""
	s.Fields = maps.Clone(s.Fields)
	if p, ok := ProviderByID(s.Provider); ok {
		for _, f := range p.Fields {
			if f.Secret {
				delete(s.Fields, f.Key)
			}
		}
	}
	return s
}

// KeepSecrets takes the secrets that are empty in s from old, where both mean the same provider or server.
func (s Settings) KeepSecrets(old Settings) Settings {
	if s.EABMAC == "" && s.EABKey == old.EABKey && s.Directory == old.Directory {
		s.EABMAC = old.EABMAC
	}
	p, ok := ProviderByID(s.Provider)
	if !ok || s.Provider != old.Provider {
		return s
	}
	fields := maps.Clone(s.Fields)
	for _, f := range p.Fields {
		// Who changes where a secret goes has to know it.
		if f.Secret && fields[f.Key] == "" && strings.TrimSpace(fields["server"]) == old.Fields["server"] {
			if fields == nil {
				fields = map[string]string{}
			}
			fields[f.Key] = old.Fields[f.Key]
		}
	}
	s.Fields = fields
	return s
}

// withPort adds the port of name servers where there is none.
func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

func checkServer(v string) (reason string) {
	host, port, err := net.SplitHostPort(withPort(v))
	n, portErr := strconv.ParseUint(port, 10, 16)
	_, isName := dns.IsDomainName(host)
	if err != nil || portErr != nil || n == 0 || len(v) > maxText || !isAddress(host) && (!isName || strings.ContainsAny(host, "/:@ \\")) {
		return "write it as ns1.example.org, or as 192.0.2.1:5353 with a port"
	}
	return ""
}

func checkKeyName(v string) (reason string) {
	if _, ok := dns.IsDomainName(v); !ok || strings.ContainsAny(v, " \"\\") {
		return "use the name that the name server knows the key by"
	}
	return ""
}

func checkAlgorithm(v string) (reason string) {
	if !slices.Contains(tsigAlgorithms, v) {
		return "use one of " + strings.Join(tsigAlgorithms, ", ")
	}
	return ""
}

func checkTSIG(v string) (reason string) {
	if len(v) > maxText || !base64Text(v) {
		return "this is not a key: it is written in base64, as in secret \"…\";"
	}
	return ""
}

func checkHTTPS(v string) (reason string) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || len(v) > maxText {
		return "write it as https://auth.example.org"
	}
	return ""
}

// dnsProvider makes the provider that the settings name. client is for those that speak HTTP.
func (s Settings) dnsProvider(client *http.Client) (certmagic.DNSProvider, error) {
	p, ok := ProviderByID(s.Provider)
	if !ok {
		return nil, fmt.Errorf("there is no DNS provider %q", s.Provider)
	}
	return p.build(s.Fields, client), nil
}
