package acme

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"porthole/packages/internal/settings"
)

// MaxNames bounds the names of a certificate.
const MaxNames = 10

// The bounds of the other fields, in bytes.
const (
	maxText = 500
	maxRoot = 64 << 10
)

// Proof is how names are proven.
type Proof string

// Automatic is TLS-ALPN-01, then HTTP-01 where port 80 is open; ByDNS is DNS-01.
const (
	Automatic Proof = "automatic"
	ByDNS     Proof = "dns"
)

// Settings say which certificate to get, and from whom.
type Settings struct {
	// Names are what the certificate is for: DNS names in ASCII, lowercase, wildcards (*.example.org) among them, and IP
	// addresses; at most MaxNames. None: there is nothing to do.
	Names []string `json:"names"`
	// Email is told to the server; may be empty.
	Email string `json:"email,omitempty"`
	// Directory is the server's https address; empty means Let's Encrypt. RootPEM are the certificates it is trusted by where
	// those of the system are not enough, and below which its certificates are.
	Directory string `json:"directory,omitempty"`
	RootPEM   string `json:"root_pem,omitempty"`
	// Staging means Let's Encrypt's test server, whose certificates nobody trusts.
	Staging bool  `json:"staging,omitempty"`
	Proof   Proof `json:"proof"`
	// Provider is the DNS provider (Providers) and Fields what it needs.
	Provider string            `json:"provider,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
	// EABKey and EABMAC bind the account to one at the server (RFC 8555 section 7.3.4); EABMAC is base64url.
	EABKey string `json:"eab_key,omitempty"`
	EABMAC string `json:"eab_mac,omitempty"`
	// RSA asks for a second certificate with an RSA key, for Echo and older devices.
	RSA bool `json:"rsa"`
	// Agreed says that somebody agreed to the server's terms.
	Agreed bool `json:"agreed"`
}

// Empty reports whether no certificate is wanted.
func (s Settings) Empty() bool { return len(s.Names) == 0 }

// public reports whether the server is one that everybody trusts.
func (s Settings) public() bool { return s.Directory == "" }

// label is a label of a DNS name (RFC 1123 section 2.1).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// private are the ends of names that mean something at home only (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal).
var private = []string{"local", "localhost", "internal", "lan", "home", "home.arpa", "test", "invalid", "example", "onion"}

// Normalize returns s checked and completed, and everything that is wrong with it. The fields are names, email, directory,
// root_pem, proof, provider, eab_key, eab_mac, agreed and those of the provider, with "field_" before them.
func (s Settings) Normalize() (Settings, []*settings.FieldError) {
	var wrong []*settings.FieldError
	say := func(field, reason string) {
		if reason != "" {
			wrong = append(wrong, &settings.FieldError{Field: field, Reason: reason})
		}
	}
	s.Email, s.Directory, s.RootPEM = strings.TrimSpace(s.Email), strings.TrimSpace(s.Directory), strings.TrimSpace(s.RootPEM)
	if s.Proof == "" {
		s.Proof = Automatic
	}
	say("directory", s.checkDirectory())
	if s.RootPEM != "" {
		if s.public() {
			s.RootPEM = ""
		} else if _, err := ParseRoots(s.RootPEM); err != nil {
			say("root_pem", err.Error())
		}
	}
	var reason string
	s.Names, reason = s.cleanNames()
	say("names", reason)
	say("email", checkEmail(s.Email))
	switch s.Proof {
	case Automatic:
		s.Provider, s.Fields = "", nil
		if slices.ContainsFunc(s.Names, isWildcard) {
			say("proof", "a name with * can be proven by DNS only; choose that, or list the names one by one")
		}
	case ByDNS:
		for _, w := range s.checkProvider() {
			say(w.Field, w.Reason)
		}
	default:
		say("proof", "choose one of the list")
	}
	s.EABKey, s.EABMAC = strings.TrimSpace(s.EABKey), strings.TrimRight(strings.TrimSpace(s.EABMAC), "=")
	say("eab_key", checkText(s.EABKey))
	if _, err := base64.RawURLEncoding.DecodeString(s.EABMAC); err != nil || len(s.EABMAC) > maxText {
		say("eab_mac", "this is not a key as servers give it out (base64url: letters, digits, - and _)")
	}
	if (s.EABKey == "") != (s.EABMAC == "") {
		say("eab_key", "the key’s id and the key belong together: fill in both or none")
	}
	if !s.Agreed && !s.Empty() {
		say("agreed", "without this no server gives out certificates")
	}
	return s, wrong
}

func (s Settings) checkDirectory() (reason string) {
	if s.public() {
		return ""
	}
	u, err := url.Parse(s.Directory)
	switch {
	case len(s.Directory) > maxText:
		return fmt.Sprintf("use at most %d characters", maxText)
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return "write it as https://ca.example.org/acme/directory"
	case u.Scheme != "https":
		return "it has to begin with https://: ACME is not spoken without TLS"
	}
	return ""
}

// ParseRoots reads PEM certificates.
func ParseRoots(text string) ([]*x509.Certificate, error) {
	if len(text) > maxRoot {
		return nil, fmt.Errorf("use at most %d kB", maxRoot>>10)
	}
	var list []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %s in it: paste certificates only", strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("one of the certificates cannot be read; paste it again as a whole")
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, errors.New("there is no certificate in it; it begins with -----BEGIN CERTIFICATE-----")
	}
	return list, nil
}

func checkText(v string) (reason string) {
	if len(v) > maxText || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Sprintf("use at most %d characters, without line breaks", maxText)
	}
	return ""
}

func checkEmail(v string) (reason string) {
	if v == "" {
		return ""
	}
	if a, err := mail.ParseAddress(v); err != nil || a.Address != v || len(v) > 200 || !strings.Contains(v, ".") {
		return "write it as name@example.org, or leave it empty"
	}
	return ""
}

func isWildcard(name string) bool { return strings.HasPrefix(name, "*.") }

// isAddress reports whether a name is an IP address.
func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// cleanNames returns the names as certificates have them, without doubles; reason says what is wrong with one.
func (s Settings) cleanNames() (list []string, reason string) {
	for _, typed := range s.Names {
		name, why := s.cleanName(typed)
		if why != "" {
			return s.Names, why
		}
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if len(list) > MaxNames {
		return s.Names, fmt.Sprintf("use at most %d names", MaxNames)
	}
	return list, ""
}

func (s Settings) cleanName(typed string) (name, reason string) {
	name = strings.ToLower(strings.TrimSpace(typed))
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "/"), ".")
	if name == "" {
		return "", ""
	}
	if a, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return s.cleanAddress(a)
	}
	host := strings.TrimPrefix(name, "*.")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil || len(ascii) > 253 {
		return name, quote(typed) + " is not a DNS name"
	}
	labels := strings.Split(ascii, ".")
	if slices.ContainsFunc(labels, func(l string) bool { return !label.MatchString(l) }) {
		return name, quote(typed) + " is not a DNS name; write it as cam.example.org, without a port or a path"
	}
	if s.public() {
		if len(labels) < 2 {
			return name, quote(typed) + " is a name for your own network; a public name has a dot, as cam.example.org"
		}
		for _, end := range private {
			if ascii == end || strings.HasSuffix(ascii, "."+end) {
				return name, quote(typed) + " means something in your own network only. No public authority gives a certificate for it; this device’s own certificate covers it"
			}
		}
	}
	if isWildcard(name) {
		ascii = "*." + ascii
	}
	return ascii, ""
}

func quote(typed string) string { return "“" + clean(typed) + "”" }

func (s Settings) cleanAddress(a netip.Addr) (name, reason string) {
	a = a.Unmap()
	name = a.WithZone("").String()
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a.Zone() != "":
		return name, name + " is no address of a device"
	case s.public() && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()):
		return name, name + " is an address inside your own network. No public authority gives a certificate for it; this device’s own certificate covers it"
	}
	return name, ""
}
