// Package route forwards HTTP requests to the processes that answer them, over their unix sockets, and says so when one
// of them does not.
package route

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"porthole/packages/internal/identity"
)

// Asker says who is behind a request: identity.ErrDenied when nobody, another error when that cannot be found out.
type Asker interface {
	Ask(context.Context, identity.Credentials) (identity.Identity, error)
}

// Config is what the handlers need.
type Config struct {
	Log *slog.Logger
	// Console and Signaling reach the processes' sockets.
	Console, Signaling http.RoundTripper
	Asker              Asker
	// Near reports whether an address is of a network of the device's own; nil: none is.
	Near func(netip.Addr) bool
	// Trusted lists the proxies whose word on who the client is counts; nil: there are none.
	Trusted func() []netip.Prefix
	// Stall is how long a client may pause in what it sends; zero: a minute.
	Stall time.Duration
	// Metrics answers /metrics for anybody whom console knows; nil leaves the path to console.
	Metrics http.Handler
}

// askTimeout bounds the question who somebody is.
const askTimeout = 10 * time.Second

// Public returns the handler of the TLS port.
func Public(cfg Config) http.Handler {
	console := compressed(cfg.newBackend("console", cfg.Console))
	signaling := cfg.newBackend("signaling", cfg.Signaling)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strict(w, r)
		if _, _, ok := splitHost(r.Host); !ok {
			badHost().send(w, r)
			return
		}
		r = cfg.withOrigin(r, "https")
		switch {
		case r.Method == http.MethodConnect:
			w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			notice{Status: http.StatusMethodNotAllowed, Title: "Not a web proxy", Text: "This device does not relay connections."}.send(w, r)
		case r.URL.Path == "/metrics" && cfg.Metrics != nil:
			onlyKnown(cfg.Asker, w, r, cfg.Metrics)
		case isLive(r.URL.Path):
			withWho(cfg.Asker, w, r, signaling)
		default:
			console.ServeHTTP(w, r)
		}
	})
}

// isLive reports whether a path is signaling's (docs/architecture.md, "HTTP routes").
func isLive(path string) bool {
	return path == "/ws" || path == "/live" || strings.HasPrefix(path, "/livestream/") || strings.HasPrefix(path, "/cameras/")
}

// credentials are what a request carries, and from where it comes.
func credentials(r *http.Request) identity.Credentials {
	from := originOf(r)
	c := identity.FromRequest(r, from.client)
	c.Near = from.near
	return c
}

// onlyKnown gives r to the handler if somebody is behind it who may read the metrics.
func onlyKnown(asker Asker, w http.ResponseWriter, r *http.Request, to http.Handler) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	id, err := asker.Ask(ctx, credentials(r))
	switch {
	case err == nil && id.MayMeasure():
		to.ServeHTTP(w, r)
	case err == nil:
		notice{Status: http.StatusForbidden, Title: "Not allowed",
			Text: "The metrics name every camera. Use an account that may see all of them, or a token made for metrics."}.send(w, r)
	case errors.Is(err, identity.ErrDenied):
		w.Header().Set("WWW-Authenticate", `Basic realm="Porthole", charset="UTF-8"`)
		notice{Status: http.StatusUnauthorized, Title: "Log in first",
			Text: "Log in, or send an account (Basic) or a token (Bearer) along."}.send(w, r)
	default:
		unknownWho().send(w, r)
	}
}

// unknownWho is the notice while console cannot say who somebody is.
func unknownWho() notice {
	return notice{Status: http.StatusServiceUnavailable, Process: "console", RetrySeconds: retrySeconds,
		Title: "The console is restarting",
		Text:  "The console is restarting and cannot say yet who you are."}
}

// withWho forwards r with the identity behind it, if there is one: what strangers may see is for the process to decide.
func withWho(asker Asker, w http.ResponseWriter, r *http.Request, to http.Handler) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	id, err := asker.Ask(ctx, credentials(r))
	switch {
	case err == nil:
		to.ServeHTTP(w, withIdentity(r, id))
	case errors.Is(err, identity.ErrDenied):
		to.ServeHTTP(w, r)
	default:
		unknownWho().send(w, r)
	}
}
