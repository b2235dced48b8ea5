package provision

import (
	"maps"
	"slices"
	"strings"
)

// ACME asks for a certificate from an ACME server, as far as the file says anything; console checks it.
type ACME struct {
	Names     []string `json:"names,omitempty"`
	Email     string   `json:"email,omitempty"`
	Directory string   `json:"directory,omitempty"`
	// Root are PEM certificates.
	Root     string `json:"root,omitempty"`
	Proof    string `json:"proof,omitempty"`
	Provider string `json:"provider,omitempty"`
	// DNS are the provider's fields, without the dns_ that they have in the file. Secrets among them are missing in a file
	// whose secrets were taken over.
	DNS    map[string]string `json:"dns,omitempty"`
	EABKey string            `json:"eab_key,omitempty"`
	EABMAC string            `json:"eab_mac,omitempty"`
	// Staging, RSA and Agreed are nil where the file says nothing.
	Staging *bool `json:"staging,omitempty"`
	RSA     *bool `json:"rsa,omitempty"`
	Agreed  *bool `json:"agreed,omitempty"`
}

// Empty reports whether the file says nothing of it.
func (a ACME) Empty() bool {
	return len(a.Names) == 0 && len(a.DNS) == 0 && a.Email+a.Directory+a.Root+a.Proof+a.Provider+a.EABKey+a.EABMAC == "" && a.Staging == nil && a.RSA == nil && a.Agreed == nil
}

// acmeSecrets are the settings of [acme] that Redact takes out.
var acmeSecrets = []string{"acme.dns_key", "acme.dns_password", "acme.dns_api_token", "acme.dns_token", "acme.eab_mac"}

// maxACME bounds a text of [acme], maxACMERoot its certificates, in bytes; console has the same.
const (
	maxACME     = 500
	maxACMERoot = 64 << 10
)

// acmeSetters are those of [acme].
func acmeSetters() map[string]func(f *File, v string) (reason string) {
	type set = func(*File, string) string
	text := func(to func(*ACME) *string, most int) set {
		return func(f *File, v string) string {
			v = strings.TrimSpace(v)
			if v == "" || len(v) > most {
				return "must not be empty, nor that long; put a # in front of the line to leave it off"
			}
			*to(&f.ACME) = v
			return ""
		}
	}
	toggle := func(to func(*ACME) **bool) set {
		return func(f *File, v string) string {
			*to(&f.ACME) = new(v == "true")
			return ""
		}
	}
	all := map[string]set{
		"acme.names": func(f *File, v string) string {
			if f.ACME.Names = words(strings.ToLower(v)); len(f.ACME.Names) == 0 || len(v) > 3000 {
				f.ACME.Names = nil
				return "must be names with spaces between, like \"cam.example.org home.example.org\""
			}
			return ""
		},
		"acme.email":     text(func(a *ACME) *string { return &a.Email }, maxACME),
		"acme.directory": text(func(a *ACME) *string { return &a.Directory }, maxACME),
		"acme.root":      text(func(a *ACME) *string { return &a.Root }, maxACMERoot),
		"acme.proof": func(f *File, v string) string {
			if v != "automatic" && v != "dns" {
				return "must be \"automatic\" or \"dns\""
			}
			f.ACME.Proof = v
			return ""
		},
		"acme.provider":       text(func(a *ACME) *string { return &a.Provider }, maxACME),
		"acme.eab_key":        text(func(a *ACME) *string { return &a.EABKey }, maxACME),
		"acme.eab_mac":        text(func(a *ACME) *string { return &a.EABMAC }, maxACME),
		"acme.staging":        toggle(func(a *ACME) **bool { return &a.Staging }),
		"acme.rsa":            toggle(func(a *ACME) **bool { return &a.RSA }),
		"acme.agree_to_terms": toggle(func(a *ACME) **bool { return &a.Agreed }),
	}
	for _, key := range []string{"server", "key_name", "key_alg", "key", "username", "password", "subdomain", "api_token", "token"} {
		all["acme.dns_"+key] = func(f *File, v string) string {
			got := ""
			if reason := text(func(*ACME) *string { return &got }, maxACME)(f, v); reason != "" {
				return reason
			}
			f.ACME.DNS = maps.Clone(f.ACME.DNS)
			if f.ACME.DNS == nil {
				f.ACME.DNS = map[string]string{}
			}
			f.ACME.DNS[key] = got
			return ""
		}
	}
	return all
}

// secret reports whether Redact takes the setting out.
func secret(full string) bool {
	return full == "admin.password" || full == "certificate.password" || full == "player.quickconnect_code" || full == "live.turn_secret" || slices.Contains(acmeSecrets, full)
}
