package main

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// peopleView is the page of who may log in.
type peopleView struct {
	People []personRow
	// What follows is as typed.
	Name        string
	Roles       []choice
	See         listedCameras
	Errors      fieldErrors
	MinPassword int
}

type personRow struct {
	Name, Role string
	// Sees are the cameras of a viewer, in words.
	Sees string
	You  bool
}

func (c *console) peoplePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showPeople(w, r, http.StatusOK, id, account{role: identity.Editor}, nil)
}

// showPeople shows the page with what was typed.
func (c *console) showPeople(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, typed account, errs fieldErrors) {
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := peopleView{Name: typed.name, Roles: roleChoices(typed.role), See: cameraChoices(cameras, typed.cameras), Errors: errs}
	v.See.Error = errs["cameras"]
	list, err := c.store.accounts(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	for _, a := range list {
		row := personRow{Name: a.name, Role: roleName(a.role), You: a.name == id.User}
		if a.role == identity.Viewer {
			row.Sees = camerasText(cameras, a.cameras)
		}
		v.People = append(v.People, row)
	}
	v.MinPassword = minPassword
	c.render(w, r, status, "people", page{Title: "People", User: id, Body: v})
}

// addPerson takes the form for an account.
func (c *console) addPerson(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	a, errs := typedAccount(r, cameras)
	a.name = strings.Join(strings.Fields(r.PostFormValue("name")), " ")
	if !personName.MatchString(a.name) {
		errs["name"] = "use 1 to 40 letters, digits, spaces and . _ @ + -, beginning with a letter or digit"
	}
	if reason := checkNewPassword(r.PostFormValue("password")); reason != "" {
		errs["password"] = reason
	}
	if len(errs) == 0 {
		if a.hash, err = c.hasher.Hash(r.Context(), r.PostFormValue("password")); err == nil {
			err = c.store.addPerson(r.Context(), a, byPerson(r, id, auditAccounts, "added the account "+a.name+" as "+a.text(cameras)))
		}
		if errs.add(err); err != nil && len(errs) == 0 {
			c.failed(w, r, err)
			return
		}
	}
	if len(errs) > 0 {
		c.showPeople(w, r, http.StatusUnprocessableEntity, id, a, errs)
		return
	}
	c.log.Info("account added", "name", a.name, "role", a.role, "account", id.User)
	c.back(w, r, "/settings/people", a.name+" can log in now, as "+a.text(cameras)+".")
}

// typedAccount reads role and cameras of a form.
func typedAccount(r *http.Request, cameras []settings.Camera) (account, fieldErrors) {
	a, errs := account{role: identity.Role(r.PostFormValue("role"))}, fieldErrors{}
	errs.role(a.role)
	if a.role == identity.Viewer {
		a.cameras = chosenCameras(r, cameras, errs)
	}
	return a, errs
}

// text says what the account may, after "as".
func (a account) text(cameras []settings.Camera) string {
	text := strings.ToLower(roleName(a.role))
	if a.role == identity.Viewer {
		text += " of " + camerasText(cameras, a.cameras)
	}
	return text
}

func (e fieldErrors) role(r identity.Role) {
	if !slices.ContainsFunc(roleChoices(r), func(o choice) bool { return o.Chosen }) {
		e["role"] = "choose one of the list"
	}
}

// personView is the page that changes or deletes an account.
type personView struct {
	Name        string
	You         bool
	Roles       []choice
	See         listedCameras
	Errors      fieldErrors
	MinPassword int
	// Tokens are those of programs, Logins how many browsers are logged in.
	Tokens []tokenRow
	Logins int
}

// person returns the account the path names; false when it was answered that there is none.
func (c *console) person(w http.ResponseWriter, r *http.Request) (account, bool) {
	a, ok, err := c.store.account(r.Context(), r.PathValue("name"))
	if err != nil {
		c.failed(w, r, err)
		return a, false
	}
	if !ok {
		c.sorry(w, r, http.StatusNotFound, "Not found", "There is no such account. Somebody may have deleted it.")
	}
	return a, ok
}

func (c *console) personPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if a, ok := c.person(w, r); ok {
		c.showPerson(w, r, http.StatusOK, id, a, nil)
	}
}

// showPerson shows the page with what was typed.
func (c *console) showPerson(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, typed account, errs fieldErrors) {
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := personView{
		Name: typed.name, You: typed.name == id.User, Roles: roleChoices(typed.role), See: cameraChoices(cameras, typed.cameras), Errors: errs, MinPassword: minPassword,
	}
	v.See.Error = errs["cameras"]
	tokens, err := c.store.apiTokens(r.Context(), typed.name)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	logins, err := c.store.logins(r.Context(), typed.name, "")
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.Tokens, v.Logins = tokenRows(tokens, cameras), len(logins)
	c.render(w, r, status, "person", page{Title: typed.name, User: id, Body: v})
}

// changePerson takes another role, other cameras and, if one was typed, another password.
func (c *console) changePerson(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	a, ok := c.person(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	typed, errs := typedAccount(r, cameras)
	typed.name = a.name
	password := r.PostFormValue("password")
	if password != "" {
		if reason := checkNewPassword(password); reason != "" {
			errs["password"] = reason
		}
	}
	if len(errs) == 0 {
		if password != "" {
			typed.hash, err = c.hasher.Hash(r.Context(), password)
		}
		if err == nil {
			err = c.store.changePerson(r.Context(), typed, byPerson(r, id, auditAccounts, changeText(a, typed, cameras)))
		}
		switch {
		case errors.Is(err, errLastAdmin):
			errs["role"] = "somebody has to administrate this device: make another account an administrator first"
		case errors.Is(err, errNobody):
			c.person(w, r)
			return
		case err != nil:
			c.failed(w, r, err)
			return
		}
	}
	if len(errs) > 0 {
		c.showPerson(w, r, http.StatusUnprocessableEntity, id, typed, errs)
		return
	}
	c.personChanged(w, r, id, typed, cameras)
}

// changeText says what becomes of an account, for the audit log.
func changeText(before, after account, cameras []settings.Camera) string {
	text := "made " + after.name + " " + after.text(cameras)
	if before.text(cameras) == after.text(cameras) {
		text = "changed the account " + after.name
	}
	if after.hash != "" {
		text += " and set another password"
	}
	return text
}

// personChanged does what follows from a change, and says so.
func (c *console) personChanged(w http.ResponseWriter, r *http.Request, id identity.Identity, a account, cameras []settings.Camera) {
	if a.name == id.User && a.hash != "" {
		// Who changes the own password stays logged in here, and nowhere else.
		if err := c.logIn(w, r, a); err != nil {
			c.failed(w, r, err)
			return
		}
	}
	keep := a.identity().MaySee
	if a.hash != "" {
		keep = noCamera
	}
	c.endViews(r.Context(), a.name, keep)
	c.log.Info("account changed", "name", a.name, "role", a.role, "password", a.hash != "", "account", id.User)
	text := a.name + " is " + a.text(cameras) + " from now on."
	if a.hash != "" {
		text += " The new password counts at once: everybody who is logged in with the old one is logged out."
	}
	c.back(w, r, "/settings/people", text)
}

// endPersonLogins logs somebody out everywhere.
func (c *console) endPersonLogins(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	a, ok := c.person(w, r)
	if !ok {
		return
	}
	if err := c.store.endAllLogins(r.Context(), a.name, byPerson(r, id, auditAccounts, "logged "+a.name+" out everywhere")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.endViews(r.Context(), a.name, noCamera)
	c.back(w, r, "/settings/people/"+url.PathEscape(a.name), a.name+" is logged out everywhere.")
}

// dropPersonToken revokes somebody's token.
func (c *console) dropPersonToken(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if a, ok := c.person(w, r); ok {
		c.dropToken(w, r, id, a.name, "/settings/people/"+url.PathEscape(a.name))
	}
}

func (c *console) dropPerson(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	a, ok := c.person(w, r)
	if !ok {
		return
	}
	switch err := c.store.dropPerson(r.Context(), a.name, byPerson(r, id, auditAccounts, "deleted the account "+a.name)); {
	case errors.Is(err, errLastAdmin):
		c.sorry(w, r, http.StatusForbidden, "Not possible", "Somebody has to administrate this device: make another account an administrator first.")
	case errors.Is(err, errNobody):
		c.person(w, r)
	case err != nil:
		c.failed(w, r, err)
	default:
		c.endViews(r.Context(), a.name, noCamera)
		c.log.Info("account deleted", "name", a.name, "account", id.User)
		c.back(w, r, "/settings/people", a.name+" was deleted and cannot log in any more.")
	}
}
