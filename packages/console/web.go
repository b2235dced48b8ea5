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

	"porthole/packages/internal/identity"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 64 << 10

// securityPolicy lets pages load and reach only what this host serves: no inline script or style, no other site's frame.
const securityPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// publicHandler serves console.sock: what proxy forwards.
func (c *console) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/", c.serveAsset)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/assets/porthole.svg", http.StatusFound)
	})
	mux.HandleFunc("GET /api/health", c.serveHealth)
	mux.HandleFunc("GET /api/certificate", c.serveAPICertificate)
	mux.HandleFunc("GET /ca.pem", c.serveCA)
	mux.Handle("/", c.sessions.LoadAndSave(c.pageHandler()))
	var h http.Handler = mux
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(c.crossOrigin))
	h = csrf.Handler(h)
	return c.recoverer(headers(forwarded(h)))
}

// pageHandler serves what knows of sessions.
func (c *console) pageHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /claim", c.claimPage)
	mux.HandleFunc("POST /claim", c.claim)
	mux.HandleFunc("GET /login", c.loginPage)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.logout)
	mux.HandleFunc("GET /{$}", c.user(c.home))
	mux.HandleFunc("GET /fragments/home", c.user(c.homeFragment))
	mux.HandleFunc("GET /settings/cameras/new", c.admin(c.newCameraPage))
	mux.HandleFunc("POST /settings/cameras/new", c.admin(c.newCamera))
	mux.HandleFunc("GET /settings/cameras/{id}", c.admin(c.editCameraPage))
	mux.HandleFunc("POST /settings/cameras/{id}", c.admin(c.editCamera))
	mux.HandleFunc("GET /settings/cameras/{id}/delete", c.admin(c.dropCameraPage))
	mux.HandleFunc("POST /settings/cameras/{id}/delete", c.admin(c.dropCamera))
	mux.HandleFunc("GET /camera/{id}", c.user(c.cameraPage))
	mux.HandleFunc("GET /fragments/camera/{id}", c.user(c.cameraPage))
	mux.HandleFunc("GET /camera/{id}/token/{stream}", c.admin(c.newTokenPage))
	mux.HandleFunc("POST /camera/{id}/token/{stream}", c.admin(c.newToken))
	mux.HandleFunc("GET /sessions", c.admin(c.sessionsPage))
	mux.HandleFunc("GET /fragments/sessions", c.admin(c.sessionsPage))
	mux.HandleFunc("POST /sessions/{session}/end", c.admin(c.endSession))
	mux.HandleFunc("GET /rtsp-log", c.admin(c.rtspLogPage))
	mux.HandleFunc("GET /fragments/rtsp-log", c.admin(c.rtspLogPage))
	mux.HandleFunc("GET /rtsp-log.txt", c.admin(c.rtspLogText))
	mux.HandleFunc("POST /rtsp-log/clear", c.admin(c.clearRTSPLog))
	mux.HandleFunc("GET /certificate", c.user(c.certificatePage))
	mux.HandleFunc("GET /settings/proxy", c.admin(c.proxyPage))
	mux.HandleFunc("POST /settings/proxy", c.admin(c.saveProxy))
	mux.HandleFunc("GET /settings/live", c.admin(c.livePage))
	mux.HandleFunc("POST /settings/live", c.admin(c.saveLive))
	mux.HandleFunc("POST /viewers/{viewer}/end", c.admin(c.endViewer))
	mux.HandleFunc("GET /settings/import", c.admin(c.importPage))
	mux.HandleFunc("POST /settings/import", c.admin(c.takeImport))
	mux.HandleFunc("POST /settings/proxy/accounts", c.admin(c.addAccount))
	mux.HandleFunc("GET /settings/proxy/accounts/{user}", c.admin(c.accountPage))
	mux.HandleFunc("POST /settings/proxy/accounts/{user}", c.admin(c.changeAccount))
	mux.HandleFunc("POST /settings/proxy/accounts/{user}/delete", c.admin(c.dropAccount))
	mux.HandleFunc("GET /screen.jpg", c.admin(c.screenShot))
	mux.HandleFunc("POST /screen", c.admin(c.chooseScreen))
	mux.HandleFunc("GET /logs/{process}", c.admin(c.logPage))
	mux.HandleFunc("GET /fragments/logs/{process}", c.admin(c.logPage))
	mux.HandleFunc("POST /processes/{process}/restart", c.admin(c.restartProcess))
	mux.HandleFunc("POST /notices/{notice}/dismiss", c.admin(c.dismiss))
	mux.HandleFunc("/", c.notFound)
	return mux
}

// forward is what proxy says of the client.
type forward struct {
	// remote is the client's address, empty when it is not known.
	remote string
}

type forwardKey struct{}

// forwarded takes proxy's word for who the client is and which host it asked for.
func forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var f forward
		if a, err := netip.ParseAddr(strings.TrimSpace(r.Header.Get("X-Forwarded-For"))); err == nil {
			f.remote = a.Unmap().String()
		}
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
			c.log.Error("bug in a handler", "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			http.Error(w, "This page has a bug; it was written to console's log.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

type userHandler func(http.ResponseWriter, *http.Request, identity.Identity)

// user lets in who is logged in; others are sent to the claim page of a new device, or to log in and come back.
func (c *console) user(h userHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok, err := c.auth.current(r.Context())
		if err != nil {
			c.failed(w, r, err)
			return
		}
		if ok {
			slide(r.Context(), c.sessions)
			h(w, r, id)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/fragments/") {
			c.sorry(w, r, http.StatusUnauthorized, "Logged out", "Log in to go on.")
			return
		}
		owned, err := claimed(r.Context(), c.store.r)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		http.Redirect(w, r, loginURL(r, owned), http.StatusSeeOther)
	}
}

// admin lets in administrators.
func (c *console) admin(h userHandler) http.HandlerFunc {
	return c.user(func(w http.ResponseWriter, r *http.Request, id identity.Identity) {
		if id.Role != identity.Admin {
			c.sorry(w, r, http.StatusForbidden, "Not allowed", "Only an administrator may do this. Log in as one.")
			return
		}
		h(w, r, id)
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
