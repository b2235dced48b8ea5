package route

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// httpsPort is the port people type https:// without.
const httpsPort = 443

// apiPath is above what programs ask for: who has yet to learn our certificate, and players that speak no TLS.
const apiPath = "/api/"

// anonymous are the calls for which nobody needs to say who he is.
var anonymous = map[string]bool{apiPath + "health": true, apiPath + "certificate": true}

// maxPlainBody bounds what is taken without TLS, in bytes: a picture that a player has edited.
const maxPlainBody = 64 << 20

// public are the pages for who has yet to learn our certificate, and what they show.
var public = map[string]bool{
	"/trust": true, "/ca.pem": true, "/ca.der": true, "/ca.crt": true, "/ca.cer": true, "/ca.mobileconfig": true,
	"/assets/porthole.css": true, "/assets/porthole.svg": true,
}

// Plain returns the handler of the port without TLS: the API goes to console, which decides who may use it this way, and so do
// an authority's questions whether a name is ours and the few pages that are public; everything else to https on httpsPort (0: there is none).
func Plain(cfg Config, httpsPort int) http.Handler {
	console := cfg.newBackend("console", cfg.Console)
	console.httpsPort = httpsPort
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, ok := splitHost(r.Host)
		if !ok {
			badHost().send(w, r)
			return
		}
		r = cfg.withOrigin(r, "http")
		switch {
		case isAPI(r.URL.Path) || isPublic(r):
			// No session is used without TLS.
			r.Header.Del("Cookie")
			if public[r.URL.Path] || anonymous[r.URL.Path] {
				r.Header.Del("Authorization")
			}
			if r.ContentLength > maxPlainBody {
				tooLarge(maxPlainBody).send(w, r)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxPlainBody)
			console.ServeHTTP(w, r)
		case isChallenge(r):
			r.Header.Del("Cookie")
			r.Header.Del("Authorization")
			console.ServeHTTP(w, r)
		case httpsPort == 0:
			notice{Status: http.StatusServiceUnavailable, Title: "HTTPS is switched off",
				Text: "This device serves its pages over HTTPS only, and that is switched off. Start proxy with -https."}.send(w, r)
		case originOf(r).scheme == "https":
			// A redirect would lead the client back here for ever.
			notice{Status: http.StatusMisdirectedRequest, Title: "The proxy in front asks the wrong port",
				Text: "This device’s pages come over HTTPS only: let the reverse proxy in front of it ask https:// and not http://."}.send(w, r)
		default:
			redirect(w, r, withPort(host, httpsPort))
		}
	})
}

// isAPI reports whether a path is below /api/, whoever reads it and however.
func isAPI(p string) bool {
	return strings.HasPrefix(p, apiPath) && strings.HasPrefix(path.Clean(p)+"/", apiPath)
}

// challengePath is above what an authority asks for (RFC 8555 section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// isChallenge reports whether a request asks for the answer to an HTTP-01 challenge: a token in base64url, whichever way the
// path is written.
func isChallenge(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.URL.EscapedPath(), challengePath)
	if !ok || token == "" || len(token) > maxToken || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return !strings.ContainsFunc(token, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// maxToken bounds a challenge's token, in bytes; authorities' have 43.
const maxToken = 128

// isPublic reports whether r only reads what is public.
func isPublic(r *http.Request) bool {
	return public[r.URL.Path] && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

func tooLarge(limit int64) notice {
	return notice{Status: http.StatusRequestEntityTooLarge, Title: "Too large",
		Text: fmt.Sprintf("What was sent is larger than %d MB. Send it over https.", limit>>20)}
}

// WrongPort returns the handler for HTTP that came without TLS to the TLS port: the same address with https. Programs are
// told so, as players in the field do not follow redirects; people are redirected.
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
		if isAPI(r.URL.Path) {
			// RFC 2817 section 4.2, RFC 9110 section 15.5.22.
			w.Header().Set("Upgrade", "TLS/1.2, HTTP/1.1")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			notice{Status: http.StatusUpgradeRequired, HTTPSURL: httpsURL(r, host),
				Text: "This port speaks HTTPS only. Write https:// instead of http:// in the server’s address."}.send(w, r)
			return
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
	status := http.StatusFound
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		// Keeps method and body (RFC 9110 section 15.4.9).
		status = http.StatusPermanentRedirect
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Redirect(w, r, httpsURL(r, host), status)
}

// httpsURL is r's address over https. A secret that stands in the query is the client's own, and goes to nobody else.
func httpsURL(r *http.Request, host string) string {
	to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	return to.String()
}
