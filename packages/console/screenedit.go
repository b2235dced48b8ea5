package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// The bounds of what a player logs in with, in bytes. Codes in the field have six characters and more.
const minQuickCode, maxQuickCode = 6, 200

// screenForm is the form of a screen, as it was typed.
type screenForm struct {
	signage.Player
	New bool
	// Paired is for a Porthole: it comes with TLS and edits nothing.
	Paired bool
	// Code is for a new screen, empty for one that is made.
	Code                            string
	Groups, Playlists, Orientations []choice
	Errors                          fieldErrors
}

func newScreenForm(p signage.Player) screenForm { return screenForm{Player: p} }

// choices fills in what there is to choose from.
func (f *screenForm) choices(s *screens) {
	f.Groups = groupChoices(s.groups, f.Group)
	f.Playlists = playlistChoices(s.playlists, f.Playlist, "its group’s, or the default one")
	f.Orientations = orientationChoices(f.Orientation)
}

// read takes what was typed; the rest stays.
func (f *screenForm) read(r *http.Request) {
	f.Errors = fieldErrors{}
	f.Name = strings.TrimSpace(r.PostFormValue("name"))
	f.Orientation = r.PostFormValue("orientation")
	for name, to := range map[string]*int64{"group": &f.Group, "playlist": &f.Playlist} {
		n, err := strconv.ParseInt(r.PostFormValue(name), 10, 64)
		if err != nil || n < 0 {
			f.Errors[name] = "choose one of the list"
		}
		*to = n
	}
	if f.Own {
		return
	}
	f.Hostname = strings.TrimSpace(r.PostFormValue("hostname"))
	if !f.Paired {
		f.MayEdit, f.PlainHTTP = r.PostFormValue("may_edit") != "", r.PostFormValue("plain_http") != ""
	}
	f.Enabled = f.New || r.PostFormValue("enabled") != ""
}

// take takes what the store says is wrong; it is false when that is no fault of the form.
func (f *screenForm) take(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, signage.ErrTaken):
		f.Errors["hostname"] = "another screen has this hostname already"
		return true
	}
	_, ok := asFieldError(err)
	f.Errors.add(err)
	return ok
}

// newQuickCode returns a code of 60 random bits that is easily read and typed: ABCD-EFGH-2345.
func newQuickCode() string {
	text := rand.Text()[:12] // base32: no 0, 1, 8 and 9 (crypto/rand)
	return text[:4] + "-" + text[4:8] + "-" + text[8:]
}

func checkQuickCode(code string) (reason string) {
	if len(code) < minQuickCode || len(code) > maxQuickCode {
		return fmt.Sprintf("use %d to %d characters, or leave it empty for one that is made for you", minQuickCode, maxQuickCode)
	}
	if strings.ContainsFunc(code, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "holds a character that cannot be typed"
	}
	return ""
}

func (c *console) newScreenPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	host := strings.TrimSpace(r.URL.Query().Get("hostname"))
	c.showNewScreen(w, r, http.StatusOK, id, screenForm{New: true, Player: signage.Player{Hostname: host, MayEdit: true, Orientation: "landscape"}})
}

func (c *console) showNewScreen(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, f screenForm) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	f.choices(s)
	c.render(w, r, status, "newscreen", page{Title: "Add a screen", User: id, Body: f})
}

// newScreen adds a screen with a quick-connect code, which the next page shows once.
func (c *console) newScreen(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	f := screenForm{New: true, Code: strings.TrimSpace(r.PostFormValue("code"))}
	f.read(r)
	code := f.Code
	if code == "" {
		code = newQuickCode()
	}
	if reason := checkQuickCode(code); reason != "" {
		f.Errors["code"] = reason
	}
	var p signage.Player
	if len(f.Errors) == 0 {
		hash, err := c.hasher.Hash(r.Context(), code)
		if err == nil {
			p, err = c.signage.CreatePlayer(r.Context(), f.Player)
		}
		if err == nil {
			err = c.signage.SetCode(r.Context(), p.ID, hash)
		}
		if !f.take(err) {
			c.failed(w, r, err)
			return
		}
	}
	if len(f.Errors) > 0 {
		c.showNewScreen(w, r, http.StatusUnprocessableEntity, id, f)
		return
	}
	c.log.Info("screen added", "screen", p.ID, "hostname", p.Hostname, "plain_http", p.PlainHTTP, "account", id.User)
	c.onceCodes.put(id.User, p.ID, code)
	c.back(w, r, "/screens/"+idText(p.ID), p.Name+" was added. Now connect the player.")
}

// editScreen takes the form of a screen.
func (c *console) editScreen(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	f := newScreenForm(p)
	f.read(r)
	if f.Name == "" {
		f.Name = f.Hostname
	}
	if len(f.Errors) == 0 {
		if err := c.signage.UpdatePlayer(r.Context(), f.Player); !f.take(err) {
			c.signageFailed(w, r, err)
			return
		}
	}
	if len(f.Errors) > 0 {
		c.showScreen(w, r, http.StatusUnprocessableEntity, id, p, screenView{Form: f})
		return
	}
	if p.Enabled && !f.Enabled || p.PlainHTTP && !f.PlainHTTP || p.Hostname != f.Hostname {
		// What it logged in with was perhaps read along, or belongs to another device from now on.
		if err := c.signage.DropAuthCodes(r.Context(), p.ID, time.Now().Add(time.Hour)); err != nil {
			c.failed(w, r, err)
			return
		}
	}
	c.log.Info("screen changed", "screen", p.ID, "hostname", f.Hostname, "plain_http", f.PlainHTTP, "enabled", f.Enabled, "account", id.User)
	c.back(w, r, "/screens/"+idText(p.ID), "Saved. Players of our own follow at once, others at their next poll.")
}

// newScreenCode gives a screen another quick-connect code, which the next page shows once.
func (c *console) newScreenCode(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok || c.isOwn(w, r, p) {
		return
	}
	code := newQuickCode()
	if err := c.setCode(r.Context(), p.ID, code); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("screen has a new quick-connect code", "screen", p.ID, "account", id.User)
	c.onceCodes.put(id.User, p.ID, code)
	http.Redirect(w, r, "/screens/"+idText(p.ID), http.StatusSeeOther)
}

func (c *console) setCode(ctx context.Context, id int64, code string) error {
	hash, err := c.hasher.Hash(ctx, code)
	if err != nil {
		return err
	}
	return c.signage.SetCode(ctx, id, hash)
}

// dropScreenCode takes the quick-connect code away, and ends the logins that came of it.
func (c *console) dropScreenCode(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok || c.isOwn(w, r, p) {
		return
	}
	err := c.signage.SetCode(r.Context(), p.ID, "")
	if err == nil {
		err = c.signage.DropAuthCodes(r.Context(), p.ID, time.Now().Add(time.Hour))
	}
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("screen has no quick-connect code any more", "screen", p.ID, "account", id.User)
	c.back(w, r, "/screens/"+idText(p.ID)+"#connect", "The code was taken away, and the player was logged out.")
}

// screenPassword sets or takes away a screen's password.
func (c *console) screenPassword(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok || c.isOwn(w, r, p) || !c.form(w, r) {
		return
	}
	password, drop := r.PostFormValue("password"), r.PostFormValue("drop") != ""
	text, hash := "The password was taken away.", ""
	if !drop {
		if reason := checkNewPassword(password); reason != "" {
			c.showScreen(w, r, http.StatusUnprocessableEntity, id, p, screenView{Form: newScreenForm(p), PasswordError: reason})
			return
		}
		var err error
		if hash, err = c.hasher.Hash(r.Context(), password); err != nil {
			c.failed(w, r, err)
			return
		}
		text = "The password was set."
	}
	if err := c.signage.SetPassword(r.Context(), p.ID, hash); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("screen's password changed", "screen", p.ID, "set", !drop, "account", id.User)
	c.back(w, r, "/screens/"+idText(p.ID)+"#connect", text)
}

func (c *console) dropScreen(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok || c.isOwn(w, r, p) {
		return
	}
	if err := c.signage.DeletePlayer(r.Context(), p.ID); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("screen deleted", "screen", p.ID, "account", id.User)
	c.back(w, r, "/screens", p.Name+" was deleted.")
}

// isOwn answers what cannot be done with the device's own screen.
func (c *console) isOwn(w http.ResponseWriter, r *http.Request, p signage.Player) bool {
	if p.Own {
		c.sorry(w, r, http.StatusUnprocessableEntity, "Not possible", "This is the device’s own screen: it needs no login and cannot be deleted.")
	}
	return p.Own
}
