package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// personName is what somebody logs in with. Basic authentication knows no colon in it (RFC 7617 section 2).
var personName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._@+-]{0,39}$`)

var (
	// errNobody means that there is no account of that name.
	errNobody = errors.New("no such account")
	// errLastAdmin keeps a device from belonging to nobody.
	errLastAdmin = errors.New("this is the last administrator")
)

// roleTexts are the roles in words, the usual one first.
var roleTexts = []struct {
	role       identity.Role
	name, text string
}{
	{identity.Editor, "Editor", "changes what screens show: media, playlists, schedule, interruptions"},
	{identity.Admin, "Administrator", "changes everything"},
	{identity.Viewer, "Viewer", "watches the cameras"},
}

// roleChoices are the roles for a form.
func roleChoices(chosen identity.Role) []choice {
	var list []choice
	for _, t := range roleTexts {
		list = append(list, choice{Value: string(t.role), Text: t.name + ": " + t.text, Chosen: t.role == chosen})
	}
	return list
}

func roleName(r identity.Role) string {
	for _, t := range roleTexts {
		if t.role == r {
			return t.name
		}
	}
	return string(r)
}

// accounts returns everybody who may log in, by name.
func (s *store) accounts(ctx context.Context, q querier) ([]account, error) {
	rows, err := q.QueryContext(ctx, accountQuery+" ORDER BY name COLLATE NOCASE")
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	defer rows.Close()
	var list []account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return list, nil
}

// addPerson makes an account; a *settings.FieldError when the name is somebody's.
func (s *store) addPerson(ctx context.Context, a account) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		have, err := s.accounts(ctx, tx)
		if err != nil {
			return err
		}
		stream, err := s.streamAccount(ctx, tx)
		if err != nil {
			return err
		}
		taken := stream.user == a.name || slices.ContainsFunc(have, func(o account) bool { return strings.EqualFold(o.name, a.name) })
		if taken {
			return &settings.FieldError{Field: "name", Reason: "there is an account of that name already"}
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO accounts (name, hash, role, created) VALUES (?, ?, ?, ?)", a.name, a.hash, string(a.role), time.Now().Unix())
		if err != nil {
			return fmt.Errorf("add account: %w", err)
		}
		return nil
	})
}

// changePerson gives the account another role, which counts at the next click, and another password where hash is not
// empty, which ends its sessions. It is errNobody or errLastAdmin.
func (s *store) changePerson(ctx context.Context, name, hash string, role identity.Role) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if role != identity.Admin {
			if err := s.adminsBesides(ctx, tx, name); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, "UPDATE accounts SET role = ?2, hash = CASE ?3 WHEN '' THEN hash ELSE ?3 END WHERE name = ?1", name, string(role), hash)
		return one(res, err)
	})
}

// dropPerson deletes the account, which ends its sessions. It is errNobody or errLastAdmin.
func (s *store) dropPerson(ctx context.Context, name string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := s.adminsBesides(ctx, tx, name); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, "DELETE FROM accounts WHERE name = ?", name)
		return one(res, err)
	})
}

func one(res sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("change account: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errNobody, err)
	}
	return nil
}

// adminsBesides is errLastAdmin when nobody else administrates.
func (s *store) adminsBesides(ctx context.Context, q querier, name string) error {
	var n int
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM accounts WHERE role = 'admin' AND name <> ?", name).Scan(&n); err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if n == 0 {
		return errLastAdmin
	}
	return nil
}

// peopleView is the page of who may log in.
type peopleView struct {
	People []personRow
	// What follows is as typed.
	Name        string
	Roles       []choice
	Errors      fieldErrors
	MinPassword int
}

type personRow struct {
	Name, Role string
	You        bool
}

func (c *console) peoplePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showPeople(w, r, http.StatusOK, id, peopleView{Roles: roleChoices(identity.Editor)})
}

func (c *console) showPeople(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v peopleView) {
	list, err := c.store.accounts(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	for _, a := range list {
		v.People = append(v.People, personRow{a.name, roleName(a.role), a.name == id.User})
	}
	v.MinPassword = minPassword
	c.render(w, r, status, "people", page{Title: "People", User: id, Body: v})
}

// addPerson takes the form for an account.
func (c *console) addPerson(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	a := account{name: strings.Join(strings.Fields(r.PostFormValue("name")), " "), role: identity.Role(r.PostFormValue("role"))}
	v := peopleView{Name: a.name, Roles: roleChoices(a.role), Errors: fieldErrors{}}
	if !personName.MatchString(a.name) {
		v.Errors["name"] = "use 1 to 40 letters, digits, spaces and . _ @ + -, beginning with a letter or digit"
	}
	v.Errors.role(a.role)
	if reason := checkNewPassword(r.PostFormValue("password")); reason != "" {
		v.Errors["password"] = reason
	}
	if len(v.Errors) == 0 {
		var err error
		if a.hash, err = c.hasher.Hash(r.Context(), r.PostFormValue("password")); err == nil {
			err = c.store.addPerson(r.Context(), a)
		}
		if v.Errors.add(err); err != nil && len(v.Errors) == 0 {
			c.failed(w, r, err)
			return
		}
	}
	if len(v.Errors) > 0 {
		c.showPeople(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	c.log.Info("account added", "name", a.name, "role", a.role, "account", id.User)
	c.back(w, r, "/settings/people", a.name+" can log in now, as "+strings.ToLower(roleName(a.role))+".")
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
	Errors      fieldErrors
	MinPassword int
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
		c.showPerson(w, r, http.StatusOK, id, personView{Name: a.name, Roles: roleChoices(a.role)})
	}
}

func (c *console) showPerson(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v personView) {
	v.You, v.MinPassword = v.Name == id.User, minPassword
	c.render(w, r, status, "person", page{Title: v.Name, User: id, Body: v})
}

// changePerson takes another role and, if one was typed, another password.
func (c *console) changePerson(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	a, ok := c.person(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	role, password := identity.Role(r.PostFormValue("role")), r.PostFormValue("password")
	v := personView{Name: a.name, Roles: roleChoices(role), Errors: fieldErrors{}}
	v.Errors.role(role)
	hash := ""
	if password != "" {
		if reason := checkNewPassword(password); reason != "" {
			v.Errors["password"] = reason
		}
	}
	if len(v.Errors) == 0 {
		var err error
		if password != "" {
			hash, err = c.hasher.Hash(r.Context(), password)
		}
		if err == nil {
			err = c.store.changePerson(r.Context(), a.name, hash, role)
		}
		switch {
		case errors.Is(err, errLastAdmin):
			v.Errors["role"] = "somebody has to administrate this device: make another account an administrator first"
		case errors.Is(err, errNobody):
			c.person(w, r)
			return
		case err != nil:
			c.failed(w, r, err)
			return
		}
	}
	if len(v.Errors) > 0 {
		c.showPerson(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	if a.name == id.User {
		// Who changes the own account stays logged in here, and nowhere else.
		if now, ok, err := c.store.account(r.Context(), a.name); err == nil && ok {
			if err := c.logIn(r.Context(), now); err != nil {
				c.failed(w, r, err)
				return
			}
		}
	}
	c.log.Info("account changed", "name", a.name, "role", role, "password", password != "", "account", id.User)
	text := a.name + " is " + strings.ToLower(roleName(role)) + " from now on."
	if password != "" {
		text += " The new password counts at once: everybody who is logged in with the old one is logged out."
	}
	c.back(w, r, "/settings/people", text)
}

func (c *console) dropPerson(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	a, ok := c.person(w, r)
	if !ok {
		return
	}
	switch err := c.store.dropPerson(r.Context(), a.name); {
	case errors.Is(err, errLastAdmin):
		c.sorry(w, r, http.StatusForbidden, "Not possible", "Somebody has to administrate this device: make another account an administrator first.")
	case errors.Is(err, errNobody):
		c.person(w, r)
	case err != nil:
		c.failed(w, r, err)
	default:
		c.log.Info("account deleted", "name", a.name, "account", id.User)
		c.back(w, r, "/settings/people", a.name+" was deleted and cannot log in any more.")
	}
}
