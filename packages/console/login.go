package main

import (
	"net/http"
	"net/url"
	"strings"

	"porthole/packages/internal/identity"
)

type loginView struct {
	User, Next, Error string
	CA                *certificateView
}

// loginURL is where somebody without a session goes from r: to claim a new device, or to log in and come back.
func loginURL(r *http.Request, owned bool) string {
	if !owned {
		return "/claim"
	}
	if r.URL.Path == "/" || r.Method != http.MethodGet {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(r.URL.RequestURI())
}

// localPath returns the path that next asks for when it leads to this host, else "/". A browser takes a backslash for a
// slash, drops tabs and newlines, and reads "//host" as another host (URL Standard section 4.4).
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, func(r rune) bool { return r < ' ' || r == '\\' || r == '\x7f' }) {
		return "/"
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return next
}

// stranger lets h answer who is not logged in, on a device that is claimed or not as the page needs it; others go
// where they belong.
func (c *console) stranger(w http.ResponseWriter, r *http.Request, needClaimed bool) bool {
	_, in, err := c.auth.current(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return false
	}
	owned, err := claimed(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return false
	}
	switch {
	case in:
		http.Redirect(w, r, localPath(r.FormValue("next")), http.StatusSeeOther)
	case owned && !needClaimed:
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	case !owned && needClaimed:
		http.Redirect(w, r, "/claim", http.StatusSeeOther)
	default:
		return true
	}
	return false
}

// form bounds and reads a form; false when it was answered already.
func (c *console) form(w http.ResponseWriter, r *http.Request) bool { return c.formOf(w, r, maxBody) }

// formOf is form with another bound, in bytes.
func (c *console) formOf(w http.ResponseWriter, r *http.Request, limit int64) bool {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if err := r.ParseForm(); err != nil {
		c.sorry(w, r, http.StatusBadRequest, "Not understood", "The form did not arrive whole. Go back and send it again.")
		return false
	}
	return true
}

func (c *console) loginPage(w http.ResponseWriter, r *http.Request) {
	if c.form(w, r) && c.stranger(w, r, true) {
		c.showLogin(w, r, http.StatusOK, loginView{Next: localPath(r.FormValue("next"))})
	}
}

func (c *console) showLogin(w http.ResponseWriter, r *http.Request, status int, v loginView) {
	v.CA = c.certificateFor(r)
	c.render(w, r, status, "login", page{Title: "Log in", Body: v})
}

func (c *console) login(w http.ResponseWriter, r *http.Request) {
	if !c.form(w, r) || !c.stranger(w, r, true) {
		return
	}
	remote := remoteOf(r)
	v := loginView{User: strings.TrimSpace(r.PostFormValue("user")), Next: localPath(r.FormValue("next"))}
	acc, err := c.auth.password(r.Context(), v.User, r.PostFormValue("password"), visitorOf(r))
	if d, denied := asDenied(err); denied && d.wait > 0 {
		v.Error = busy(w, d.wait)
		c.showLogin(w, r, http.StatusTooManyRequests, v)
		return
	} else if denied {
		c.log.Warn("login refused", "remote", remote)
		v.Error = "User name or password is wrong."
		c.showLogin(w, r, http.StatusForbidden, v)
		return
	}
	if err == nil {
		err = c.logIn(w, r, acc)
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.note(r.Context(), byPerson(r, acc.identity(), auditAccounts, "logged in"))
	c.log.Info("logged in", "account", acc.name, "remote", remote)
	http.Redirect(w, r, v.Next, http.StatusSeeOther)
}

func (c *console) logout(w http.ResponseWriter, r *http.Request) {
	id, in, err := c.auth.current(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if in {
		c.note(r.Context(), byPerson(r, id, auditAccounts, "logged out"))
	}
	if err := c.sessions.Destroy(r.Context()); err != nil {
		c.failed(w, r, err)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// isAdmin is for templates' views.
func isAdmin(id identity.Identity) bool { return id.Role == identity.Admin }
