package main

import (
	"net/http"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

func (c *console) accountRoutes() []route {
	return []route{
		{"GET /account", user, c.ownAccountPage},
		{"POST /account/password", user, c.changeOwnPassword},
		{"POST /account/logout", user, c.logOutElsewhere},
		{"POST /account/logins/{login}/end", user, c.endOwnLogin},
		{"POST /account/tokens", user, c.addOwnToken},
		{"POST /account/tokens/{token}/revoke", user, c.dropOwnToken},
		{"GET /settings/people", admin, c.peoplePage},
		{"POST /settings/people", admin, c.addPerson},
		{"GET /settings/people/{name}", admin, c.personPage},
		{"POST /settings/people/{name}", admin, c.changePerson},
		{"POST /settings/people/{name}/delete", admin, c.dropPerson},
		{"POST /settings/people/{name}/logout", admin, c.endPersonLogins},
		{"POST /settings/people/{name}/tokens/{token}/revoke", admin, c.dropPersonToken},
		{"GET /settings/audit", admin, c.auditPage},
		{"GET /settings/audit.txt", admin, c.auditText},
	}
}

// ownAccountView is everybody's page about their own account.
type ownAccountView struct {
	Name, Role, Sees string
	MinPassword      int
	Logins           []loginRow
	Tokens           []tokenRow
	// Secret is a token that was just made, NewToken its name.
	Secret, NewToken string
	Form             tokenForm
	Errors           fieldErrors
}

// loginRow is a session.
type loginRow struct {
	ID, Browser, Remote, Since, Used string
	Here                             bool
}

func (c *console) ownAccountPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showAccountAsIs(w, r, http.StatusOK, id, nil)
}

// showAccountAsIs shows the page before a token is typed.
func (c *console) showAccountAsIs(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, errs fieldErrors) {
	c.showAccount(w, r, status, id, apiToken{scopes: []identity.Scope{identity.ScopeView}}, "90", errs)
}

// showAccount shows the page with the token that was typed.
func (c *console) showAccount(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, typed apiToken, days string, errs fieldErrors) {
	ctx := r.Context()
	a, ok, err := c.store.account(ctx, id.User)
	if err == nil && !ok {
		err = errNobody
	}
	var cameras []settings.Camera
	if err == nil {
		cameras, err = c.cameras(ctx, c.store.r)
	}
	var logins []login
	if err == nil {
		logins, err = c.store.logins(ctx, a.name, c.sessions.Token(ctx))
	}
	var tokens []apiToken
	if err == nil {
		tokens, err = c.store.apiTokens(ctx, a.name)
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := ownAccountView{
		Name: a.name, Role: roleName(a.role), MinPassword: minPassword, Logins: loginRows(logins), Tokens: tokenRows(tokens, cameras), Errors: errs,
		Form: newTokenForm(a, visible(a, cameras), typed, days),
	}
	v.Form.See.Error = errs["cameras"]
	if a.role == identity.Viewer {
		v.Sees = camerasText(cameras, a.cameras)
	}
	if r.Method == http.MethodGet && len(tokens) > 0 {
		v.Secret, v.NewToken = c.onceTokens.take(a.name, tokens[0].id), tokens[0].name
	}
	c.render(w, r, status, "ownaccount", page{Title: "Your account", User: id, Body: v})
}

func loginRows(logins []login) []loginRow {
	var rows []loginRow
	for _, l := range logins {
		row := loginRow{ID: l.id, Browser: browserName(printable(l.agent)), Remote: l.remote, Since: dayText(l.since), Used: agoText(l.used), Here: l.current}
		if row.Browser == "" {
			row.Browser = "A program"
		}
		rows = append(rows, row)
	}
	return rows
}

// dayText says a day; empty for no time.
func dayText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006")
}

// agoText says how long ago something known to the hour was.
func agoText(t time.Time) string {
	if d := time.Since(t); d >= 2*time.Hour {
		return durationText(d.Truncate(time.Hour)) + " ago"
	}
	return "in the last hours"
}

// ownPassword checks that who sent r knows the password of id's account: an open browser is not enough for what must not
// happen by mistake or behind somebody's back. Otherwise reason is what to say beside the field, and status the answer's.
func (c *console) ownPassword(w http.ResponseWriter, r *http.Request, id identity.Identity, typed string) (a account, status int, reason string, err error) {
	a, err = c.auth.password(r.Context(), id.User, typed, visitorOf(r))
	switch d, denied := asDenied(err); {
	case denied && d.wait > 0:
		return a, http.StatusTooManyRequests, busy(w, d.wait), nil
	case denied:
		return a, http.StatusForbidden, "this is not your password", nil
	}
	return a, http.StatusOK, "", err
}

// changeOwnPassword takes a new password from who knows the old one: an open browser is not enough to take an account over.
func (c *console) changeOwnPassword(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	errs := fieldErrors{}
	password := r.PostFormValue("password")
	if reason := checkNewPassword(password); reason != "" {
		errs["password"] = reason
	} else if password != r.PostFormValue("confirm") {
		errs["confirm"] = "the two passwords differ: type the same one twice"
	}
	status := http.StatusUnprocessableEntity
	var a account
	if len(errs) == 0 {
		var reason string
		var err error
		if a, status, reason, err = c.ownPassword(w, r, id, r.PostFormValue("old")); err != nil {
			c.failed(w, r, err)
			return
		}
		if reason != "" {
			errs["old"] = reason
		}
	}
	if len(errs) > 0 {
		c.showAccountAsIs(w, r, status, id, errs)
		return
	}
	hash, err := c.hasher.Hash(r.Context(), password)
	if err == nil {
		a.hash = hash
		err = c.store.changePerson(r.Context(), a, byPerson(r, id, auditAccounts, "set another own password"))
	}
	if err == nil {
		err = c.logIn(w, r, a)
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.endViews(r.Context(), a.name, noCamera)
	c.log.Info("own password changed", "account", id.User)
	c.back(w, r, "/account", "The new password counts from now on. You are logged out everywhere but here.")
}

// logOutElsewhere ends all sessions but this one, which gets a new token.
func (c *console) logOutElsewhere(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	a, ok, err := c.store.account(r.Context(), id.User)
	if err == nil && !ok {
		err = errNobody
	}
	if err == nil {
		err = c.store.endAllLogins(r.Context(), a.name, byPerson(r, id, auditAccounts, "logged out everywhere else"))
	}
	if err == nil {
		err = c.logIn(w, r, a)
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.endViews(r.Context(), a.name, noCamera)
	c.back(w, r, "/account", "You are logged out everywhere but here.")
}

// endOwnLogin ends one of the own sessions.
func (c *console) endOwnLogin(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	login := r.PathValue("login")
	if login == loginID(c.sessions.Token(r.Context())) {
		c.logout(w, r)
		return
	}
	ended, err := c.store.endLogin(r.Context(), id.User, login, byPerson(r, id, auditAccounts, "ended an own session"))
	switch {
	case err != nil:
		c.failed(w, r, err)
	case !ended:
		c.back(w, r, "/account", "That session had ended already.")
	default:
		c.back(w, r, "/account", "The session was ended.")
	}
}
