package route

import (
	"net/http"
	"net/url"
	"strconv"
)

// httpsPort is the port people type https:// without.
const httpsPort = 443

// plainPaths are answered without TLS: who has yet to learn our certificate asks here.
var plainPaths = map[string]bool{"/api/health": true, "/api/certificate": true}

// Plain returns the handler of the port without TLS: what a client needs before it trusts our certificate goes to console,
// everything else to https on httpsPort (0: there is none).
func Plain(cfg Config, httpsPort int) http.Handler {
	console := newBackend(cfg.Log, "console", cfg.Console, "http")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, ok := splitHost(r.Host)
		switch {
		case !ok:
			badHost().send(w, r)
		case plainPaths[r.URL.Path] && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			// Nobody logs in without TLS.
			r.Header.Del("Cookie")
			r.Header.Del("Authorization")
			console.ServeHTTP(w, r)
		case httpsPort == 0:
			notice{Status: http.StatusServiceUnavailable, Title: "HTTPS is switched off",
				Text: "This device serves its pages over HTTPS only, and that is switched off. Start proxy with -https."}.send(w, r)
		default:
			redirect(w, r, withPort(host, httpsPort))
		}
	})
}

// WrongPort returns the handler for HTTP that came without TLS to the TLS port: the same address with https.
func WrongPort() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, ok := splitHost(r.Host)
		if !ok {
			badHost().send(w, r)
			return
		}
		// The client's own port, which a router in between may have changed.
		if n, err := strconv.Atoi(port); err == nil {
			host = withPort(host, n)
		}
		redirect(w, r, host)
	})
}

func withPort(host string, port int) string {
	if port == httpsPort {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}

// redirect sends the client to the same path over https. Not for ever: ports move.
func redirect(w http.ResponseWriter, r *http.Request, host string) {
	to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	status := http.StatusFound
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		// Keeps method and body (RFC 9110 section 15.4.9).
		status = http.StatusPermanentRedirect
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to.String(), status)
}
