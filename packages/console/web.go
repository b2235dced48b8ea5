package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 64 << 10

// securityPolicy lets pages load and reach only what this host serves: no inline script or style, no other site's frame.
const securityPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// publicHandler serves console.sock: what proxy forwards.
func (c *console) publicHandler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range c.plainRoutes() {
		mux.HandleFunc(r.pattern, r.handler)
	}
	pages := c.sessions.LoadAndSave(c.pageHandler())
	mux.Handle("/", pages)
	// Below the players' API, where other sites may ask, lies our own, where they may not.
	mux.Handle(ownAPI, c.guardOrigin().Handler(pages))
	var h http.Handler = mux
	csrf := c.guardOrigin()
	// Any site's script may ask for what players ask for: no cookie lets anybody in there, so there is nothing to forge.
	csrf.AddInsecureBypassPattern(playersPath)
	h = csrf.Handler(h)
	return c.recoverer(headers(forwarded(h)))
}

// ownAPI is above our own REST API.
const ownAPI = "/api/v1/"

// guardOrigin refuses what pages of other sites send.
func (c *console) guardOrigin() *http.CrossOriginProtection {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(c.crossOrigin))
	return csrf
}

// forward is what proxy says of the client.
type forward struct {
	// remote is the client's address, empty when it is not known.
	remote string
	// near says that the client is on a network of the device's own.
	near bool
}

type forwardKey struct{}

// forwarded takes proxy's word for who the client is and which host it asked for.
func forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var f forward
		if a, err := netip.ParseAddr(strings.TrimSpace(r.Header.Get("X-Forwarded-For"))); err == nil {
			f.remote = a.Unmap().String()
		}
		f.near = r.Header.Get("Porthole-Near") == "1"
		r = r.WithContext(context.WithValue(r.Context(), forwardKey{}, f))
		if h := r.Header.Get("X-Forwarded-Host"); h != "" {
			r.Host = h
		}
		next.ServeHTTP(w, r)
	})
}

func remoteOf(r *http.Request) string {
	f, _ := r.Context().Value(forwardKey{}).(forward)
	return f.remote
}

func nearOf(r *http.Request) bool {
	f, _ := r.Context().Value(forwardKey{}).(forward)
	return f.near
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", securityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// recoverer keeps a bug in one handler from being silent: it is logged with its stack and answered.
func (c *console) recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) //nolint:forbidigo // net/http's own way to end a connection goes on to net/http
			}
			c.log.Error("bug in a handler", "path", logPath(r.URL.Path), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			http.Error(w, "This page has a bug; it was written to console's log.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

func (c *console) crossOrigin(w http.ResponseWriter, r *http.Request) {
	c.log.Warn("request from another site refused", "path", r.URL.Path, "remote", remoteOf(r))
	c.sorry(w, r, http.StatusForbidden, "Refused",
		"This request came from another site. Open Porthole's page yourself and try again there.")
}

func (c *console) notFound(w http.ResponseWriter, r *http.Request) {
	c.sorry(w, r, http.StatusNotFound, "Not found", "There is no such page.")
}

// failed logs an error of ours and says that something is wrong here, without saying what to strangers.
func (c *console) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	c.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	c.sorry(w, r, http.StatusInternalServerError, "Something is wrong here",
		"Porthole could not do this. Try again; if it stays, console's log says why.")
}

// sessionFailed is failed where there is no session: the page shows nobody as logged in.
func (c *console) sessionFailed(w http.ResponseWriter, r *http.Request, err error) {
	c.failed(w, r, fmt.Errorf("load or keep session: %w", err))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}
