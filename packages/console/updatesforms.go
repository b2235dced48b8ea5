package main

import (
	"errors"
	"io"
	"net/http"

	"porthole/packages/console/updates"
	"porthole/packages/internal/identity"
)

// updateForm takes a file without the help of a script.
func (c *console) updateForm(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, view, err := c.receiveForm(r, id)
	io.Copy(io.Discard, io.LimitReader(r.Body, maxUpdate)) //nolint:errcheck // as in updateWhole
	if err != nil {
		if !c.problemIn(&v.Error, &v, err) {
			c.failed(w, r, err)
			return
		}
		c.showUpdates(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	c.noteUpdate(r, id, "sent the update "+view.Target)
	c.back(w, r, "/settings/updates", view.Target+" has arrived.")
}

// problemIn puts what is wrong into the field; false if it is ours.
func (c *console) problemIn(field *string, v *updatesView, err error) bool {
	var p *updates.Problem
	switch {
	case errors.As(err, &p):
		*field, v.Older = p.Text, p.Code == updates.CodeOlder
	case brokeOff(err):
		*field = cameNotWhole
	default:
		return false
	}
	return true
}

// noFile is said to who sends a form without one.
var noFile = &updates.Problem{Status: http.StatusUnprocessableEntity, Text: "Choose an update file first; its name ends in .update."}

// receiveForm reads the form: the switches, then the file.
func (c *console) receiveForm(r *http.Request, id identity.Identity) (v updatesView, view updates.View, err error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return v, view, noFile
	}
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return v, view, noFile
		case err != nil:
			return v, view, errors.Join(errBody, err)
		case part.FormName() == "downgrade":
			v.Downgrade = true
		case part.FormName() == "install":
			v.Install = true
		case part.FormName() == "file":
			if part.FileName() == "" {
				return v, view, noFile
			}
			view, err = c.updates.Receive(r.Context(), by(r, id), clientBody{part}, updates.Wish{Downgrade: v.Downgrade, Install: v.Install})
			return v, view, err
		}
	}
}

func (c *console) updateURLForm(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	v := updatesView{URL: r.PostFormValue("url"), Downgrade: r.PostFormValue("downgrade") != "", Install: r.PostFormValue("install") != ""}
	if err := c.updates.Fetch(by(r, id), v.URL, updates.Wish{Downgrade: v.Downgrade, Install: v.Install}); err != nil {
		if !c.problemIn(&v.URLError, &v, err) {
			c.failed(w, r, err)
			return
		}
		c.showUpdates(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	c.noteUpdate(r, id, "had an update fetched from "+hostOf(v.URL))
	http.Redirect(w, r, "/settings/updates", http.StatusSeeOther)
}

func (c *console) updateInstallForm(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.updateOrderForm(w, r, id, "install")
}

func (c *console) updateBackForm(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.updateOrderForm(w, r, id, "back")
}

func (c *console) updateCancelForm(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.updateOrderForm(w, r, id, "cancel")
}

func (c *console) updateOrderForm(w http.ResponseWriter, r *http.Request, id identity.Identity, order string) {
	if _, err := c.orderUpdate(r, id, order); err != nil {
		var p *updates.Problem
		if !errors.As(err, &p) {
			c.failed(w, r, err)
			return
		}
		c.showUpdates(w, r, p.Status, id, updatesView{Error: p.Text})
		return
	}
	http.Redirect(w, r, "/settings/updates", http.StatusSeeOther)
}

func (c *console) updateBackPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	u, err := c.updates.View(r.Context())
	if err != nil || u.Other == "" || !u.Supported {
		c.sorry(w, r, http.StatusNotFound, "Not possible", "There is no former version on this device that could be started again.")
		return
	}
	v := sureView{
		Title: "Go back to " + printable(u.Other) + "?",
		Says: []string{
			"The device restarts: its screens go dark, cameras and this page are away for a minute or two.",
			"Then " + printable(u.Other) + " has to prove itself like an update; if it does not, the device comes back to " + printable(u.Version) + ".",
			"Your settings stay. What the newer version has stored in a new form may not be understood by the older one.",
		},
		Action: "/settings/updates/back", Button: "Restart and go back", Back: "/settings/updates", Keep: "Stay with " + printable(u.Version),
	}
	c.render(w, r, http.StatusOK, "sure", page{Title: v.Title, User: id, Body: v})
}
