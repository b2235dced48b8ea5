package route

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// splitHost checks a Host header and returns its host, an IPv6 address in brackets, and its port, which may be empty.
// We put it in addresses that we send to browsers, so anything that is not plainly a name or an address is refused.
func splitHost(header string) (host, port string, ok bool) {
	host = header
	if i := strings.LastIndexByte(header, ':'); i >= 0 && !strings.HasSuffix(header, "]") {
		host, port = header[:i], header[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", "", false
		}
	}
	if inner, cut := strings.CutPrefix(host, "["); cut {
		inner, cut = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return host, port, cut && err == nil && ip.Is6() && ip.Zone() == ""
	}
	return host, port, isName(host)
}

// isName reports whether s can be a name on a network: RFC 1123 section 2.1, and underscores, which some routers give out.
func isName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// clientIP is the client's address without port, for logs and rate limits.
func clientIP(r *http.Request) string {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().String()
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
