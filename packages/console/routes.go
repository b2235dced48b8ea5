package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"porthole/packages/internal/identity"
)

// userHandler answers a request of id, who is nobody on pages for anyone.
type userHandler func(http.ResponseWriter, *http.Request, identity.Identity)

// access is who may see a page. Its zero value is nobody's: a page without one keeps console from starting.
type access int

const (
	anyone access = iota + 1
	user          // whoever is logged in
	editor        // who may change what screens show, and administrators
	admin
)

// route is a page. The patterns are those of net/http.
type route struct {
	pattern string
	who     access
	handler userHandler
}

// plainRoute is served without a session: to everybody, or to whom its handler itself lets in.
type plainRoute struct {
	pattern string
	handler http.HandlerFunc
}

// plainRoutes is the one list of what knows of no session.
func (c *console) plainRoutes() []plainRoute {
	var downloads []plainRoute
	for _, f := range caFiles() {
		downloads = append(downloads, plainRoute{"GET " + f.path, c.serveCA(f)})
	}
	return slices.Concat(
		[]plainRoute{
			{"GET /assets/", c.serveAsset},
			{"GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/assets/porthole.svg", http.StatusFound)
			}},
			{playersPath, c.servePlayers},
			{"GET /.well-known/acme-challenge/{token}", c.serveChallenge},
		},
		downloads,
	)
}

// routes is the one list of pages. Each area has its own part, in its own file.
func (c *console) routes() []route {
	return slices.Concat(
		c.doorRoutes(),
		c.homeRoutes(),
		c.cameraRoutes(),
		c.proxyRoutes(),
		c.deviceRoutes(),
		c.resetRoutes(),
		c.updateRoutes(),
		c.licenceRoutes(),
		c.uploadRoutes(),
		c.mediaRoutes(),
		c.playlistRoutes(),
		c.scheduleRoutes(),
		c.screenRoutes(),
		c.ownRoutes(),
		c.signageSettingsRoutes(),
		c.acmeRoutes(),
		c.accountRoutes(),
	)
}

func (c *console) doorRoutes() []route {
	return []route{
		{"GET /claim", anyone, public(c.claimPage)},
		{"POST /claim", anyone, public(c.claim)},
		{"GET /login", anyone, public(c.loginPage)},
		{"POST /login", anyone, public(c.login)},
		{"POST /logout", anyone, public(c.logout)},
		{"GET /trust", anyone, public(c.trustPage)},
		{"/", anyone, public(c.notFound)},
	}
}

func (c *console) homeRoutes() []route {
	return []route{
		{"GET /{$}", user, c.home},
		{"GET /fragments/home", user, c.homeFragment},
		{"GET /camera/{id}", user, c.cameraPage},
		{"GET /fragments/camera/{id}", user, c.cameraPage},
		{"GET /certificate", user, c.certificatePage},
		{"GET /settings/certificate/own", admin, c.ownCertificatePage},
		{"POST /settings/certificate/own", admin, c.takeOwnCertificate},
		{"GET /settings/certificate/own/{name}/remove", admin, c.removeOwnCertificatePage},
		{"POST /settings/certificate/own/{name}/remove", admin, c.removeOwnCertificate},
		{"POST /notices/{notice}/dismiss", admin, c.dismiss},
	}
}

func (c *console) cameraRoutes() []route {
	return []route{
		{"GET /settings/cameras/new", admin, c.newCameraPage},
		{"POST /settings/cameras/new", admin, c.newCamera},
		{"GET /settings/cameras/{id}", admin, c.editCameraPage},
		{"POST /settings/cameras/{id}", admin, c.editCamera},
		{"GET /settings/cameras/{id}/delete", admin, c.dropCameraPage},
		{"POST /settings/cameras/{id}/delete", admin, c.dropCamera},
		{"GET /camera/{id}/token/{stream}", admin, c.newTokenPage},
		{"POST /camera/{id}/token/{stream}", admin, c.newToken},
		{"GET /settings/import", admin, c.importPage},
		{"POST /settings/import", admin, c.takeImport},
	}
}

func (c *console) proxyRoutes() []route {
	return []route{
		{"GET /sessions", admin, c.sessionsPage},
		{"GET /fragments/sessions", admin, c.sessionsPage},
		{"POST /sessions/{session}/end", admin, c.endSession},
		{"POST /viewers/{viewer}/end", admin, c.endViewer},
		{"GET /rtsp-log", admin, c.rtspLogPage},
		{"GET /fragments/rtsp-log", admin, c.rtspLogPage},
		{"GET /rtsp-log.txt", admin, c.rtspLogText},
		{"POST /rtsp-log/clear", admin, c.clearRTSPLog},
		{"GET /settings/proxy", admin, c.proxyPage},
		{"POST /settings/proxy", admin, c.saveProxy},
		{"POST /settings/proxy/accounts", admin, c.addAccount},
		{"GET /settings/proxy/accounts/{user}", admin, c.accountPage},
		{"POST /settings/proxy/accounts/{user}", admin, c.changeAccount},
		{"POST /settings/proxy/accounts/{user}/delete", admin, c.dropAccount},
		{"GET /settings/live", admin, c.livePage},
		{"POST /settings/live", admin, c.saveLive},
	}
}

func (c *console) deviceRoutes() []route {
	return []route{
		{"GET /settings", admin, c.settingsPage},
		{"GET /logs/{process}", admin, c.logPage},
		{"GET /fragments/logs/{process}", admin, c.logPage},
		{"POST /processes/{process}/restart", admin, c.restartProcess},
	}
}

// public makes a page of what needs to know of nobody.
func public(h http.HandlerFunc) userHandler {
	return func(w http.ResponseWriter, r *http.Request, _ identity.Identity) { h(w, r) }
}

// checkRoutes reports a page that does not say who may see it.
func checkRoutes(routes []route) error {
	for _, r := range routes {
		if r.who < anyone || r.who > admin || r.handler == nil {
			return fmt.Errorf("page %q does not say who may see it, or has no handler", r.pattern)
		}
	}
	return nil
}

// pageHandler serves what knows of sessions.
func (c *console) pageHandler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range c.routes() {
		mux.HandleFunc(r.pattern, c.guard(r.who, r.handler))
	}
	return mux
}

// guard lets in whom who says. Others are sent to the claim page of a new device, or to log in and come back.
func (c *console) guard(who access, h userHandler) http.HandlerFunc {
	if who == anyone {
		return func(w http.ResponseWriter, r *http.Request) { h(w, r, identity.Identity{}) }
	}
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok, err := c.auth.current(r.Context())
		switch {
		case err != nil:
			c.failed(w, r, err)
		case !ok && scopeFor(r) != "" && r.Header.Get("Authorization") != "":
			c.tokenCame(w, r, h)
		case !ok:
			c.strangerCame(w, r)
		case !may(id.Role, who):
			slide(r.Context(), c.sessions)
			text := "Only an administrator may do this. Log in as one."
			if who == editor {
				text = "Only an editor or an administrator may do this. Log in as one."
			}
			c.sorry(w, r, http.StatusForbidden, "Not allowed", text)
		default:
			if err := c.rotate(r.Context(), string(id.Role)); err != nil {
				c.failed(w, r, err)
				return
			}
			slide(r.Context(), c.sessions)
			c.noted(who, h)(w, r, id)
		}
	}
}

// may reports whether the role reaches as far as who; a role that is not known reaches nowhere.
func may(role identity.Role, who access) bool {
	switch who {
	case anyone:
		return true
	case user:
		return role == identity.Viewer || role == identity.Editor || role == identity.Admin
	case editor:
		return role == identity.Editor || role == identity.Admin
	case admin:
		return role == identity.Admin
	}
	return false
}

// strangerCame answers who is not logged in.
func (c *console) strangerCame(w http.ResponseWriter, r *http.Request) {
	// What scripts ask for is no place to send a person to.
	if strings.HasPrefix(r.URL.Path, "/fragments/") || scopeFor(r) != "" {
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

// scopeFor returns what a token must be for to be let in where the request goes; empty where no token is.
func scopeFor(r *http.Request) identity.Scope {
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, "/uploads/") || p == "/media/status":
		return identity.ScopeUpload
	case p == updateAPI || strings.HasPrefix(p, updateAPI+"/"):
		return identity.ScopeUpdate
	}
	return ""
}

// tokenCame lets in who has a token for what the request is about.
func (c *console) tokenCame(w http.ResponseWriter, r *http.Request, h userHandler) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		c.strangerCame(w, r)
		return
	}
	id, err := c.auth.byToken(r.Context(), strings.TrimSpace(secret))
	switch _, denied := asDenied(err); {
	case denied:
		c.strangerCame(w, r)
	case err != nil:
		c.failed(w, r, err)
	case !id.Has(scopeFor(r)):
		what := "uploads"
		if scopeFor(r) == identity.ScopeUpdate {
			what = "updates"
		}
		c.sorry(w, r, http.StatusForbidden, "Not allowed", "This token is not for "+what+". Make one that is.")
	default:
		h(w, r, id)
	}
}
