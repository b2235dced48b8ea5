package settings

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The bounds of Live, and what zero stands for.
const (
	MaxViewers       = 500
	DefaultPerCamera = 10
	DefaultTotal     = 50
	MaxLiveMinutes   = 24 * 60
	MaxTURN          = 4
	maxSecret        = 256
)

// stunPort is the default of STUN and TURN (RFC 8489 section 18.6, RFC 8656 section 19).
const stunPort = "3478"

// dnsName is a name of one label or more (RFC 1123 section 2.1) that is no address.
var dnsName = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// Normalize returns l checked and completed, and everything that is wrong with it: an element that is wrong stays as it
// was. The fields are public_address, stun, turn_urls, turn_secret, per_camera, total and max_minutes.
func (l Live) Normalize() (Live, []*FieldError) {
	var wrong []*FieldError
	take := func(field string, to *string, check func(string) (string, string)) {
		v, reason := check(strings.TrimSpace(*to))
		if reason != "" {
			wrong = append(wrong, &FieldError{field, reason})
			return
		}
		*to = v
	}
	take("public_address", &l.PublicAddress, publicAddress)
	take("stun", &l.STUN, stunServer)
	var urls []string
	for _, u := range l.TURN.URLs {
		if u = strings.TrimSpace(u); u == "" {
			continue
		}
		before := len(wrong)
		take("turn_urls", &u, turnURL)
		urls = append(urls, u)
		if len(wrong) > before {
			break // one sentence is enough
		}
	}
	if len(urls) > MaxTURN {
		wrong = append(wrong, &FieldError{"turn_urls", fmt.Sprintf("use at most %d addresses", MaxTURN)})
	}
	l.TURN.URLs = urls
	switch s := l.TURN.Secret; {
	case len(urls) > 0 && s == "":
		wrong = append(wrong, &FieldError{"turn_secret", "is missing: the relay takes only credentials made with the secret it shares with this device (coturn: static-auth-secret)"})
	case len(s) > maxSecret || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }):
		wrong = append(wrong, &FieldError{"turn_secret", fmt.Sprintf("use 1 to %d letters a to z, digits and signs, without spaces", maxSecret)})
	}
	number := func(field string, n, most int, zero string) {
		if n < 0 || n > most {
			wrong = append(wrong, &FieldError{field, fmt.Sprintf("use 1 to %d, or 0 for %s", most, zero)})
		}
	}
	number("per_camera", l.PerCamera, MaxViewers, strconv.Itoa(DefaultPerCamera))
	number("total", l.Total, MaxViewers, strconv.Itoa(DefaultTotal))
	number("max_minutes", l.MaxMinutes, MaxLiveMinutes, "never")
	return l, wrong
}

// publicAddress takes what people paste, as https://home.example.org/.
func publicAddress(v string) (address, reason string) {
	host := strings.ToLower(v)
	for _, scheme := range []string{"https://", "http://", "wss://"} {
		host = strings.TrimPrefix(host, scheme)
	}
	host, _, _ = strings.Cut(host, "/")
	host = strings.TrimSuffix(host, ".")
	if host == "" {
		if v != "" {
			return "", "holds no name and no address"
		}
		return "", ""
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		if a = a.Unmap(); a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" {
			return "", "is no address at which the device can be reached from outside; give the one your router has on the internet"
		}
		return a.String(), ""
	}
	if strings.Contains(host, ":") {
		return "", "give the name or address alone, without a port: the router has to pass on the port that the device uses"
	}
	if !validName(host) {
		return "", "is neither an address (203.0.113.7) nor a DNS name (home.example.org)"
	}
	return host, ""
}

func validName(name string) bool { return len(name) <= 253 && dnsName.MatchString(name) }

// stunServer reads host:port, with or without the scheme of RFC 7064.
func stunServer(v string) (server, reason string) {
	rest := strings.ToLower(v)
	// A server may be called stun, too: stun:3478 is its port.
	if server, ok := strings.CutPrefix(rest, "stun:"); ok && strings.Trim(server, "0123456789") != "" {
		rest = server
	}
	if v == "" {
		return "", ""
	}
	const example = "; write it like stun.example.org:3478"
	if strings.HasPrefix(rest, "stuns:") || strings.HasPrefix(rest, "turn") {
		return "", "this is not a plain STUN server" + example
	}
	hostPort, ok := hostPort(rest, stunPort)
	if !ok {
		return "", "is no server" + example
	}
	return hostPort, ""
}

// hostPort completes and checks a server's name or address.
func hostPort(v, defaultPort string) (string, bool) {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(v, "["), "]"), defaultPort
		if a, err := netip.ParseAddr(host); strings.Contains(host, ":") && (err != nil || !a.Is6()) {
			return "", false
		}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" || a.IsUnspecified() {
			return "", false
		}
		host = a.String()
	} else if !validName(host) {
		return "", false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
		return "", false
	}
	return net.JoinHostPort(host, port), true
}

// turnURL reads a URI of RFC 7065 section 3.
func turnURL(v string) (uri, reason string) {
	const example = "; write it like turn:relay.example.org:3478 or turns:relay.example.org:443?transport=tcp"
	lower := strings.ToLower(v)
	scheme, rest, _ := strings.Cut(lower, ":")
	port := stunPort
	switch scheme {
	case "turn":
	case "turns":
		port = "5349" // RFC 8656 section 19
	default:
		return "", "must begin with turn: or turns:" + example
	}
	server, query, asked := strings.Cut(rest, "?")
	if strings.Contains(server, "@") {
		return "", "must not hold a user: the device makes credentials itself"
	}
	address, ok := hostPort(strings.TrimPrefix(server, "//"), port)
	if !ok {
		return "", "names no server" + example
	}
	uri = scheme + ":" + address
	switch {
	case !asked:
		return uri, ""
	case query != "transport=udp" && query != "transport=tcp":
		return "", "after the ? there may be transport=udp or transport=tcp only"
	}
	return uri + "?" + query, ""
}
