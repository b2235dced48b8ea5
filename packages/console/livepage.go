package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// livePage is the page of the live view: how browsers reach it, and what it may cost.
type livePage struct {
	// What follows is as typed.
	Address, STUN, TURN, PerCamera, Total, Minutes string
	// HasSecret says that a secret is kept; it is never shown.
	HasSecret bool
	Errors    fieldErrors
	// PublicName stands in for an address.
	PublicName string
	// Away says why it is not known who watches, or is empty.
	Away    string
	Now     []string
	Refused []refusal
}

// viewerRefusals are signaling's counters in words, in the order in which they are shown.
var viewerRefusals = []struct{ key, text string }{
	{"busy", "Too many viewers at once"},
	{"no-path", "No way through the network was found"},
	{"no-codec", "The browser knows none of the camera’s formats"},
	{"camera-offline", "The camera was offline"},
	{"camera-unknown", "No such camera"},
	{"bad-offer", "The browser’s offer could not be read"},
	{"failed", "An error of Porthole’s own; signaling’s log says more"},
}

func (c *console) livePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	l, err := readLive(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	c.showLive(w, r, http.StatusOK, id, livePage{
		Address: l.PublicAddress, STUN: l.STUN, TURN: strings.Join(l.TURN.URLs, "\n"),
		PerCamera: number(l.PerCamera), Total: number(l.Total), Minutes: number(l.MaxMinutes),
	})
}

func (c *console) showLive(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v livePage) {
	saved, err := readLive(r.Context(), c.store.r)
	if err == nil {
		v.PublicName, err = setting(r.Context(), c.store.r, "public_name")
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.HasSecret = saved.TURN.Secret != ""
	now, err := c.backends.viewers.answer(r.Context())
	if err != nil {
		v.Away = "signaling does not answer, so who watches is not known. It may be restarting."
	} else {
		v.Now = append(v.Now, watching(now))
	}
	if a := saved.PublicAddress; a != "" {
		v.Now = append(v.Now, "Browsers outside are sent to "+a+".")
	} else if v.PublicName != "" {
		v.Now = append(v.Now, "Browsers outside are sent to "+v.PublicName+", the public name.")
	} else if saved.STUN == "" {
		v.Now = append(v.Now, "Browsers outside are not told where the device is: give a public address or a STUN server, or a public name on the page Proxy.")
	}
	for _, t := range viewerRefusals {
		if n := now.Refused[t.key] + now.Ended[t.key]; n > 0 {
			v.Refused = append(v.Refused, refusal{t.text, n})
		}
	}
	c.render(w, r, status, "live", page{Title: "Live view", User: id, Body: v})
}

// watching says how many of the places are taken.
func watching(s viewerList) string {
	n := len(s.Viewers)
	switch n {
	case 0:
		return fmt.Sprintf("Nobody watches in a browser now; there are %d places, and %d at a camera.", s.Limits.Total, s.Limits.PerCamera)
	case 1:
		return fmt.Sprintf("One browser watches now; there are %d places, and %d at a camera.", s.Limits.Total, s.Limits.PerCamera)
	}
	return fmt.Sprintf("%d browsers watch now; there are %d places, and %d at a camera.", n, s.Limits.Total, s.Limits.PerCamera)
}

// saveLive takes the form; everything that is wrong is said at once.
func (c *console) saveLive(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	get := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	v := livePage{
		Address: get("public_address"), STUN: get("stun"), TURN: get("turn_urls"),
		PerCamera: get("per_camera"), Total: get("total"), Minutes: get("max_minutes"), Errors: fieldErrors{},
	}
	l := settings.Live{PublicAddress: v.Address, STUN: v.STUN, TURN: settings.TURN{URLs: fields(v.TURN), Secret: r.PostFormValue("turn_secret")}}
	for _, n := range []struct {
		field, typed string
		to           *int
	}{{"per_camera", v.PerCamera, &l.PerCamera}, {"total", v.Total, &l.Total}, {"max_minutes", v.Minutes, &l.MaxMinutes}} {
		var err error
		if *n.to, err = strconv.Atoi(n.typed); err != nil && n.typed != "" {
			v.Errors[n.field] = "give a whole number, or leave it empty"
		}
	}
	saved, err := readLive(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	// The page never has the secret: an empty field keeps it as long as there is a relay.
	if l.TURN.Secret == "" {
		l.TURN.Secret = saved.TURN.Secret
	}
	if len(l.TURN.URLs) == 0 {
		l.TURN.Secret = ""
	}
	l, wrong := l.Normalize()
	for _, e := range wrong {
		v.Errors.add(e)
	}
	if len(v.Errors) > 0 {
		c.showLive(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	if err := c.store.change(r.Context(), func(tx *sql.Tx) error { return putLive(r.Context(), tx, l) }); err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("live view settings changed", "account", id.User, "address", l.PublicAddress, "stun", l.STUN, "relays", len(l.TURN.URLs),
		"per_camera", l.PerCamera, "total", l.Total, "max_minutes", l.MaxMinutes)
	c.back(w, r, "/settings/live", "Saved. It holds from now on; whoever watches goes on watching.")
}

// The defaults and bounds, for the template.

// DefaultPerCamera is settings'.
func (livePage) DefaultPerCamera() int { return settings.DefaultPerCamera }

// DefaultTotal is settings'.
func (livePage) DefaultTotal() int { return settings.DefaultTotal }

// MaxViewers is settings'.
func (livePage) MaxViewers() int { return settings.MaxViewers }
