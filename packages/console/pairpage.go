package main

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/console/credential"
	"porthole/packages/console/signage"
	"porthole/packages/console/signage/playerapi"
	"porthole/packages/internal/identity"
)

// pairView is the page that lets a screen in by the code it shows.
type pairView struct {
	Code, Error string
	// Found says that the code is a screen's; Facts is what that says of itself.
	Found bool
	// Known is the name of the screen whose place it takes, empty for a new one.
	Known   string
	Facts   []fact
	Form    screenForm
	Waiting []waitingRow
}

type waitingRow struct{ Name, Detail string }

func (c *console) pairPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v := pairView{Code: strings.TrimSpace(r.URL.Query().Get("code"))}
	if v.Code == "" || isFragment(r) {
		c.showPair(w, r, http.StatusOK, id, v)
		return
	}
	p, ok := c.findPairing(w, r, id, &v)
	if !ok {
		return
	}
	v.found(p)
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.Form = screenForm{New: true, Paired: true, Player: signage.Player{Name: p.Name, Hostname: p.Hostname, Orientation: "landscape"}}
	// A screen that is known pairs again: what was decided for it stays.
	for _, have := range s.players {
		if !have.Own && have.Hostname == p.Hostname && p.Hostname != "" {
			v.Form = screenForm{New: true, Paired: true, Player: have}
			v.Known = have.Name
		}
	}
	c.showPair(w, r, http.StatusOK, id, v)
}

// findPairing looks the code up; false when it was answered that there is none. Wrong codes are limited, so that nobody
// with a session guesses one.
func (c *console) findPairing(w http.ResponseWriter, r *http.Request, id identity.Identity, v *pairView) (playerapi.Pairing, bool) {
	remote := remoteOf(r)
	try := credential.Try{Remote: remote, Near: nearOf(r), Account: id.User, Known: true}
	if verdict := c.pairTries.Try(try); verdict.Wait > 0 {
		v.Error = busy(w, verdict.Wait)
		c.showPair(w, r, http.StatusTooManyRequests, id, *v)
		return playerapi.Pairing{}, false
	}
	want := credential.PlainCode(v.Code)
	for _, p := range c.players.Pairings() {
		if credential.PlainCode(p.UserCode) == want {
			c.pairTries.Forgive(try)
			v.Code = p.UserCode
			return p, true
		}
	}
	v.Error = "No screen shows this code now. Codes are good for some minutes; look at the screen again."
	c.showPair(w, r, http.StatusNotFound, id, *v)
	return playerapi.Pairing{}, false
}

// found fills in what a screen says of itself.
func (v *pairView) found(p playerapi.Pairing) {
	v.Found = true
	for _, f := range []fact{{"Calls itself", p.Name}, {"Hostname", p.Hostname}, {"Address", p.Address}, {"Software", p.Agent}} {
		if f.Value != "" {
			v.Facts = append(v.Facts, fact{f.Name, printable(f.Value)})
		}
	}
}

func (c *console) showPair(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v pairView) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	for _, p := range c.players.Pairings() {
		row := waitingRow{Name: printable(cmp.Or(p.Name, p.Hostname, "A screen without a name")), Detail: "asked " + s.ago(p.Since)}
		for _, d := range []string{p.Address, p.Agent} {
			if d != "" {
				row.Detail += " · " + printable(d)
			}
		}
		v.Waiting = append(v.Waiting, row)
	}
	if isFragment(r) {
		c.renderPart(w, r, "pair", "waiting", v)
		return
	}
	v.Form.choices(s)
	c.render(w, r, status, "pair", page{Title: "Pair a screen", User: id, Body: v})
}

// approve lets the screen with that code be p, which is changed first if it is known already.
func (c *console) approve(r *http.Request, code string, p signage.Player) (signage.Player, error) {
	if p.ID != 0 {
		if err := c.signage.UpdatePlayer(r.Context(), p); err != nil {
			return p, err
		}
	}
	return c.players.Approve(r.Context(), code, p)
}

// pairScreen lets a screen in, or refuses it.
func (c *console) pairScreen(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	v := pairView{Code: strings.TrimSpace(r.PostFormValue("code"))}
	p, ok := c.findPairing(w, r, id, &v)
	if !ok {
		return
	}
	if r.PostFormValue("do") == "refuse" {
		if err := c.players.Refuse(p.UserCode); err != nil && !errors.Is(err, playerapi.ErrNoPairing) {
			c.failed(w, r, err)
			return
		}
		c.log.Info("pairing refused", "hostname", p.Hostname, "address", p.Address, "account", id.User)
		c.back(w, r, "/screens/pair", "It was refused, and is told so.")
		return
	}
	v.found(p)
	v.Form = screenForm{New: true, Paired: true}
	if known, err := strconv.ParseInt(r.PostFormValue("known"), 10, 64); err == nil && known != 0 {
		have, err := c.signage.Player(r.Context(), known)
		if err != nil || have.Own {
			c.signageFailed(w, r, cmp.Or(err, signage.ErrNotFound))
			return
		}
		v.Form.Player, v.Known = have, have.Name
	}
	v.Form.read(r)
	var made signage.Player
	if len(v.Form.Errors) == 0 {
		var err error
		made, err = c.approve(r, p.UserCode, v.Form.Player)
		if errors.Is(err, playerapi.ErrNoPairing) {
			v.Found, v.Error = false, "The code is over. The screen shows another one by now."
			c.showPair(w, r, http.StatusNotFound, id, v)
			return
		}
		if !v.Form.take(err) {
			c.failed(w, r, err)
			return
		}
	}
	if len(v.Form.Errors) > 0 {
		c.showPair(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	c.log.Info("screen paired", "screen", made.ID, "hostname", made.Hostname, "address", p.Address, "account", id.User)
	c.back(w, r, "/screens/"+idText(made.ID), made.Name+" is paired. It begins within seconds.")
}
