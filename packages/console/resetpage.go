package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"porthole/packages/internal/identity"
)

const (
	// resetWord is typed by who wants a factory reset, so that nobody does it by a slip of the finger.
	resetWord = "reset"
	// resetWithin bounds how long system may take to write down that it is to be done.
	resetWithin = 10 * time.Second
)

func (c *console) resetRoutes() []route {
	return []route{
		{"GET /settings/reset", admin, c.resetPage},
		{"POST /settings/reset", admin, c.reset},
	}
}

// resetView is the page of the factory reset.
type resetView struct {
	Word   string // what is to be typed
	Typed  string
	Errors fieldErrors
	// Failed says why nothing was begun; empty when all is well.
	Failed string
	// Begun says that the device restarts now.
	Begun bool
}

func (c *console) resetPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showReset(w, r, http.StatusOK, id, resetView{})
}

func (c *console) showReset(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v resetView) {
	v.Word = resetWord
	c.render(w, r, status, "reset", page{Title: "Factory reset", User: id, Body: v})
}

// reset takes the form: who asks for it must know the password, so that a browser somebody left open is not enough.
func (c *console) reset(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	v := resetView{Typed: strings.TrimSpace(r.PostFormValue("word")), Errors: fieldErrors{}}
	if !strings.EqualFold(v.Typed, resetWord) {
		v.Errors["word"] = "type the word " + resetWord + " here"
		c.showReset(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	_, status, reason, err := c.ownPassword(w, r, id, r.PostFormValue("password"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if reason != "" {
		v.Errors["password"] = reason
		c.showReset(w, r, status, id, v)
		return
	}
	// It stays in the log only if the reset fails; then somebody will want to know.
	c.note(r.Context(), byPerson(r, id, auditDevice, "ordered a factory reset"))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), resetWithin)
	defer cancel()
	if _, err := c.backends.system.Call(ctx, http.MethodPost, "/factory-reset", map[string]string{"who": id.User}, nil); err != nil {
		c.log.Error("the factory reset cannot be ordered", "err", err, "account", id.User)
		v.Failed = "Nothing was reset: the storage or the process system does not do as it should. Try again; or put an empty file named factory-reset.txt on the card, on a computer."
		c.showReset(w, r, http.StatusBadGateway, id, v)
		return
	}
	c.log.Warn("factory reset", "account", id.User, "remote", remoteOf(r))
	c.showReset(w, r, http.StatusAccepted, id, resetView{Begun: true})
}
