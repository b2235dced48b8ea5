package route

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// NearHeader is "1" on what comes from a network of the device's own.
const NearHeader = "Porthole-Near"

// maxHops bounds how many proxies a request may say it came through; those further out are not looked at.
const maxHops = 16

// origin is where a request comes from: what we tell the processes behind us, in place of all that the client says.
type origin struct {
	// client is the client's address, without port.
	client string
	// scheme is "https" or "http", host what the client's Host header held.
	scheme, host string
	// near means that the client is on a network of the device's own.
	near bool
}

type originKey struct{}

// originOf returns what withOrigin has found out.
func originOf(r *http.Request) origin {
	o, _ := r.Context().Value(originKey{}).(origin)
	return o
}

// withOrigin finds out where r comes from; scheme is what it came over.
func (cfg Config) withOrigin(r *http.Request, scheme string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), originKey{}, cfg.origin(r, scheme)))
}

func (cfg Config) origin(r *http.Request, scheme string) origin {
	o := origin{client: clientIP(r), scheme: scheme, host: r.Host}
	peer, err := netip.ParseAddr(o.client)
	if err != nil {
		return o
	}
	near := cfg.Near != nil && cfg.Near(peer)
	var trusted []netip.Prefix
	if cfg.Trusted != nil {
		trusted = cfg.Trusted()
	}
	if !contains(trusted, peer) {
		o.near = near
		return o
	}
	said := forwarded(r.Header, trusted)
	if said.client.IsValid() {
		o.client = said.client.String()
		// A proxy of the house may serve the internet, too, and one that is not of the house may say anything. What it calls
		// loopback is another proxy beside it.
		o.near = near && !said.client.IsLoopback() && !said.client.IsLinkLocalUnicast() && cfg.Near(said.client)
	}
	if said.scheme != "" {
		o.scheme = said.scheme
	}
	if said.host != "" {
		o.host = said.host
	}
	return o
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// claim is what a trusted proxy says of a request; what it does not say, or not plainly, is zero.
type claim struct {
	client netip.Addr
	// scheme is "http" or "https".
	scheme, host string
}

// forwarded reads X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239), of a request that a trusted proxy sent. Most
// proxies write one kind and hand on whatever the client has put into the other, so two that differ are both dropped.
func forwarded(h http.Header, trusted []netip.Prefix) claim {
	hasX, hasRFC := len(h["X-Forwarded-For"]) > 0, len(h["Forwarded"]) > 0
	x, rfc := claim{}, claim{}
	if hasX || !hasRFC {
		x = xForwarded(h, trusted)
	}
	if hasRFC {
		rfc = rfc7239(h["Forwarded"], trusted)
	}
	switch {
	case hasX && hasRFC && x.client != rfc.client:
		return claim{}
	case hasRFC && !hasX:
		return rfc
	}
	return x
}

// xForwarded reads the headers that came before RFC 7239: lists that each proxy continues on the right.
func xForwarded(h http.Header, trusted []netip.Prefix) claim {
	var c claim
	hops := listOf(h["X-Forwarded-For"])
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		a, ok := node(hops[i])
		if !ok {
			break
		}
		if !contains(trusted, a) {
			c.client = a
			break
		}
	}
	if list := listOf(h["X-Forwarded-Proto"]); len(list) > 0 {
		c.scheme = schemeOf(list[len(list)-1])
	}
	if list := listOf(h["X-Forwarded-Host"]); len(list) > 0 {
		c.host = hostOf(list[len(list)-1])
	}
	return c
}

// listOf splits the values of a header that is a list (RFC 9110 section 5.6.1).
func listOf(values []string) []string {
	var list []string
	for _, v := range values {
		for s := range strings.SplitSeq(v, ",") {
			list = append(list, strings.Trim(s, " \t"))
		}
	}
	return list
}

// rfc7239 reads Forwarded. The element that names the client was written by the outermost of the trusted proxies, so its
// proto and host are what the client used. A header that cannot be read is none.
func rfc7239(values []string, trusted []netip.Prefix) claim {
	elements, ok := parseForwarded(strings.Join(values, ","))
	if !ok {
		return claim{}
	}
	for i := len(elements) - 1; i >= max(0, len(elements)-maxHops); i-- {
		e := elements[i]
		a, ok := node(e["for"])
		if !ok {
			break
		}
		if !contains(trusted, a) {
			return claim{client: a, scheme: schemeOf(e["proto"]), host: hostOf(e["host"])}
		}
	}
	return claim{}
}

// parseForwarded splits Forwarded's value into elements and their pairs, names in lower case (RFC 7239 section 4).
func parseForwarded(v string) (elements []map[string]string, ok bool) {
	e := map[string]string{}
	for v = skip(v); v != ""; v = skip(v) {
		switch v[0] {
		case ',':
			elements, e, v = append(elements, e), map[string]string{}, v[1:]
			continue
		case ';':
			v = v[1:]
			continue
		}
		name, rest := token(v)
		if name == "" || !strings.HasPrefix(rest, "=") {
			return nil, false
		}
		value, rest, ok := word(rest[1:])
		if rest = skip(rest); !ok || rest != "" && rest[0] != ';' && rest[0] != ',' {
			return nil, false
		}
		name = strings.ToLower(name)
		if _, twice := e[name]; twice {
			return nil, false
		}
		e[name], v = value, rest
	}
	return append(elements, e), true
}

func skip(v string) string { return strings.TrimLeft(v, " \t") }

// token cuts a token off (RFC 9110 section 5.6.2).
func token(v string) (token, rest string) {
	i := strings.IndexFunc(v, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
	if i < 0 {
		return v, ""
	}
	return v[:i], v[i:]
}

// word cuts a token or a quoted string off (RFC 9110 section 5.6.4). Colons and brackets need quotes; some leave them out.
func word(v string) (value, rest string, ok bool) {
	if !strings.HasPrefix(v, `"`) {
		i := strings.IndexAny(v, ",; \t\"")
		if i < 0 {
			i = len(v)
		}
		return v[:i], v[i:], i > 0
	}
	var b strings.Builder
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '"':
			return b.String(), v[i+1:], true
		case '\\':
			if i++; i == len(v) {
				return "", "", false
			}
		}
		b.WriteByte(v[i])
	}
	return "", "", false
}

// node reads the address of a hop, with or without a port and brackets (RFC 7239 section 6; X-Forwarded-For has them bare).
func node(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			a = ap.Addr()
		} else if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			if a, err = netip.ParseAddr(strings.TrimSuffix(inner, "]")); err != nil || !a.Is6() {
				return netip.Addr{}, false
			}
		}
	}
	if !a.IsValid() || a.Zone() != "" || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// schemeOf is "http", "https", or "" for anything else.
func schemeOf(s string) string {
	if s = strings.ToLower(s); s == "http" || s == "https" {
		return s
	}
	return ""
}

// hostOf is s if it can be a Host header.
func hostOf(s string) string {
	if _, _, ok := splitHost(s); ok {
		return s
	}
	return ""
}
