package web

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"porthole/packages/internal/identity"
)

// door is a way requests come in by.
type door struct {
	// proxied: from proxy, which vouches for identity and addresses in headers.
	proxied bool
}

// identify says who sent a request. identity.ErrDenied: nobody we know.
func (s *Server) identify(d door, r *http.Request) (identity.Identity, error) {
	if d.proxied {
		return identity.Of(r.Header)
	}
	return s.cfg.Ask(r.Context(), identity.FromRequest(r, d.remote(r)))
}

// host returns the name and port the client used.
func (d door) host(r *http.Request) string {
	if h := r.Header.Get("X-Forwarded-Host"); d.proxied && h != "" {
		return h
	}
	return r.Host
}

// remote returns the client's address without port.
func (d door) remote(r *http.Request) string {
	if d.proxied {
		// proxy replaces what the client sent; the last is the nearest.
		all := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		return strings.TrimSpace(all[len(all)-1])
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// https reports whether the client speaks TLS.
func (d door) https(r *http.Request) bool {
	return !d.proxied && r.TLS != nil || d.proxied && r.Header.Get("X-Forwarded-Proto") == "https"
}

// sameHost reports whether a browser's request comes from a page of this device, on whatever port. No Origin means that
// it was no browser's (RFC 6455 section 10.2).
func sameHost(origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	return u.Hostname() != "" && strings.EqualFold(u.Hostname(), hostname(host))
}

// hostname cuts the port off.
func hostname(host string) string {
	return (&url.URL{Host: host}).Hostname()
}

// denied reports whether err means missing or wrong credentials, in contrast to a console that cannot be asked.
func denied(err error) bool { return errors.Is(err, identity.ErrDenied) }
