package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// tokenRow is an API token.
type tokenRow struct {
	ID                           int64
	Name, Good, Made, Ends, Used string
	Over                         bool
}

// tokenForm makes an API token.
type tokenForm struct {
	Name   string
	Scopes []choice
	See    listedCameras
	Lasts  []choice
}

// scopeTexts are the scopes in words.
var scopeTexts = []struct {
	scope identity.Scope
	text  string
}{
	{identity.ScopeView, "watch cameras: live view and pictures"},
	{identity.ScopeMetrics, "read the metrics (Prometheus)"},
	{identity.ScopeUpload, "put media into the library"},
	{identity.ScopeUpdate, "update this device"},
}

// lifetimes are how long a token may last, in days; 0 is for ever.
var lifetimes = []struct {
	days int
	text string
}{{30, "30 days"}, {90, "90 days"}, {365, "a year"}, {0, "until it is revoked"}}

// visible are the cameras that the account may see.
func visible(a account, cameras []settings.Camera) []settings.Camera {
	id := a.identity()
	return slices.DeleteFunc(slices.Clone(cameras), func(cam settings.Camera) bool { return !id.MaySee(cam.ID) })
}

func newTokenForm(a account, cameras []settings.Camera, typed apiToken, days string) tokenForm {
	f := tokenForm{Name: typed.name, See: cameraChoices(cameras, typed.cameras)}
	for _, s := range scopeTexts {
		if slices.Contains(a.mayGrant(), s.scope) {
			f.Scopes = append(f.Scopes, choice{Value: string(s.scope), Text: s.text, Chosen: slices.Contains(typed.scopes, s.scope)})
		}
	}
	for _, l := range lifetimes {
		f.Lasts = append(f.Lasts, choice{Value: strconv.Itoa(l.days), Text: l.text, Chosen: strconv.Itoa(l.days) == days})
	}
	return f
}

func tokenRows(tokens []apiToken, cameras []settings.Camera) []tokenRow {
	var rows []tokenRow
	now := time.Now()
	for _, t := range tokens {
		row := tokenRow{ID: t.id, Name: t.name, Made: dayText(t.created), Ends: "never", Used: "never", Over: t.over(now)}
		if !t.expires.IsZero() {
			row.Ends = dayText(t.expires)
		}
		if !t.used.IsZero() {
			row.Used = agoText(t.used)
		}
		var good []string
		for _, s := range t.scopes {
			text := string(s)
			switch {
			case s == identity.ScopeView && t.cameras == nil:
				text += " every camera of the account"
			case s == identity.ScopeView:
				text += " " + camerasText(cameras, t.cameras)
			}
			good = append(good, text)
		}
		row.Good = strings.Join(good, "; ")
		rows = append(rows, row)
	}
	return rows
}

// addOwnToken makes an API token.
func (c *console) addOwnToken(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	t, days, errs, err := c.typedToken(r, id)
	if err == nil && len(errs) == 0 {
		var number int64
		var secret string
		number, secret, err = c.store.addAPIToken(r.Context(), t, byPerson(r, id, auditAccounts, "made the API token "+t.name))
		if errs.add(err); err == nil {
			c.onceTokens.put(id.User, number, secret)
		} else if len(errs) > 0 {
			err = nil
		}
	}
	switch {
	case err != nil:
		c.failed(w, r, err)
	case len(errs) > 0:
		c.showAccount(w, r, http.StatusUnprocessableEntity, id, t, days, errs)
	default:
		c.log.Info("API token made", "account", id.User)
		http.Redirect(w, r, "/account#tokens", http.StatusSeeOther)
	}
}

// typedToken reads the form; the error is ours.
func (c *console) typedToken(r *http.Request, id identity.Identity) (t apiToken, days string, errs fieldErrors, err error) {
	errs = fieldErrors{}
	a, ok, err := c.store.account(r.Context(), id.User)
	if err == nil && !ok {
		err = errNobody
	}
	var cameras []settings.Camera
	if err == nil {
		cameras, err = c.cameras(r.Context(), c.store.r)
	}
	if err != nil {
		return t, "", errs, err
	}
	t = apiToken{account: a.name, name: strings.Join(strings.Fields(printable(r.PostFormValue("name"))), " ")}
	if t.name == "" || len(t.name) > maxTokenName {
		errs["name"] = "say in a few words what will use it"
	}
	for _, s := range a.mayGrant() {
		if slices.Contains(r.PostForm["scope"], string(s)) {
			t.scopes = append(t.scopes, s)
		}
	}
	if len(t.scopes) == 0 {
		errs["scopes"] = "choose what it is good for"
	}
	if slices.Contains(t.scopes, identity.ScopeView) {
		t.cameras = chosenCameras(r, visible(a, cameras), errs)
	}
	days = r.PostFormValue("days")
	errs["days"] = "choose one of the list"
	for _, l := range lifetimes {
		if strconv.Itoa(l.days) != days {
			continue
		}
		delete(errs, "days")
		if l.days > 0 {
			t.expires = time.Now().AddDate(0, 0, l.days)
		}
	}
	return t, days, errs, nil
}

func (c *console) dropOwnToken(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.dropToken(w, r, id, id.User, "/account")
}

// dropToken revokes the token that the path names, of the account.
func (c *console) dropToken(w http.ResponseWriter, r *http.Request, id identity.Identity, account, back string) {
	number, err := strconv.ParseInt(r.PathValue("token"), 10, 64)
	if err == nil {
		err = c.store.dropAPIToken(r.Context(), account, number, func(name string) auditEntry {
			text := "revoked the API token " + name
			if account != id.User {
				text += " of " + account
			}
			return byPerson(r, id, auditAccounts, text)
		})
	} else {
		err = errNoToken
	}
	switch {
	case errors.Is(err, errNoToken):
		c.back(w, r, back, "There is no such token (any more).")
	case err != nil:
		c.failed(w, r, err)
	default:
		c.endViews(r.Context(), account, noCamera)
		c.back(w, r, back, "The token was revoked and opens nothing any more.")
	}
}
