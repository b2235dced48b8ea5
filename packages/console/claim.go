package main

import (
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"porthole/packages/console/credential"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/uptime"
)

// minPassword is the least a password may have, in characters: short ones are guessed.
const minPassword = 10

// claimWindow is how long a device can be claimed after power-on: later nobody stands before it and reads its code, and
// whoever tries to guess it has that long.
const claimWindow = 30 * time.Minute

// uptimeClock returns how long the device has been on. On a developer's machine that is as long as the program runs.
func uptimeClock(singleUser bool) func() time.Duration {
	if !singleUser {
		return uptime.Now
	}
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// claimLeft is how long the device can still be claimed; not positive: no more until it is started again.
func (c *console) claimLeft() time.Duration { return c.claimWindow - c.uptime() }

// restartWords say how to start the device again, as the end of a sentence.
func (c *console) restartWords() string {
	if c.env.SingleUser {
		return "stop Porthole and start it again"
	}
	return "unplug it and plug it in again"
}

var (
	errClaimed   = errors.New("somebody claimed this device already")
	errWrongCode = errors.New("wrong claim code")
)

type claimView struct {
	User, Code string
	// The errors stand beside their fields; Error is the whole form's.
	CodeError, PasswordError, ConfirmError, Error string
	MinPassword                                   int
	// Restart says how to open the time for claiming again, where it is over.
	Restart string
	CA      *certificateView
}

func (c *console) claimPage(w http.ResponseWriter, r *http.Request) {
	if c.stranger(w, r, false) {
		c.showClaim(w, r, http.StatusOK, claimView{})
	}
}

func (c *console) showClaim(w http.ResponseWriter, r *http.Request, status int, v claimView) {
	v.User, v.MinPassword, v.CA = adminName, minPassword, c.certificateFor(r)
	if c.claimLeft() <= 0 {
		v.Restart = c.restartWords()
	}
	c.render(w, r, status, "claim", page{Title: "Welcome", Body: v})
}

func (c *console) claim(w http.ResponseWriter, r *http.Request) {
	if !c.form(w, r) || !c.stranger(w, r, false) {
		return
	}
	if c.claimLeft() <= 0 {
		c.showClaim(w, r, http.StatusForbidden, claimView{})
		return
	}
	v := claimView{Code: r.PostFormValue("code")}
	password := r.PostFormValue("password")
	v.PasswordError = checkNewPassword(password)
	if v.PasswordError == "" && password != r.PostFormValue("confirm") {
		v.ConfirmError = "The two passwords differ. Type the same one twice."
	}
	if v.PasswordError != "" || v.ConfirmError != "" {
		// The code was not looked at: this is no try.
		c.showClaim(w, r, http.StatusUnprocessableEntity, v)
		return
	}
	remote := remoteOf(r)
	try := credential.Try{Remote: remote, Near: nearOf(r), Known: true}
	if verdict := c.claims.Try(try); verdict.Wait > 0 {
		v.Error = busy(w, verdict.Wait)
		c.showClaim(w, r, http.StatusTooManyRequests, v)
		return
	}
	switch err := c.claimWith(w, r, v.Code, password); {
	case errors.Is(err, errWrongCode):
		c.log.Warn("wrong claim code", "remote", remote)
		v.CodeError = "This is not the code of this device. It looks like BCDF-2345."
		c.showClaim(w, r, http.StatusForbidden, v)
	case errors.Is(err, errClaimed):
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	case err != nil:
		c.failed(w, r, err)
	default:
		c.claims.Forgive(try)
		c.log.Info("claimed", "remote", remote)
		c.ownersZone(r.Context(), r.PostFormValue("timezone"))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// checkNewPassword says what is wrong with a password somebody chose, or nothing.
func checkNewPassword(p string) string {
	switch {
	case utf8.RuneCountInString(p) < minPassword:
		return fmt.Sprintf("Use at least %d characters. Three or four words are easy to keep in mind.", minPassword)
	case len(p) > credential.MaxPassword:
		return fmt.Sprintf("Use at most %d bytes.", credential.MaxPassword)
	}
	return ""
}

// claimWith makes the admin account when the code is right, and logs its owner in.
func (c *console) claimWith(w http.ResponseWriter, r *http.Request, code, password string) error {
	ctx := r.Context()
	want, err := c.store.claimCode(ctx, c.store.r)
	if err != nil {
		return err
	}
	if want == "" {
		return errClaimed
	}
	if subtle.ConstantTimeCompare([]byte(credential.PlainCode(code)), []byte(credential.PlainCode(want))) != 1 {
		return errWrongCode
	}
	hash, err := c.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	err = c.store.change(ctx, func(tx *sql.Tx) error {
		// Two people may have typed the code at the same time.
		owned, err := claimed(ctx, tx)
		if err != nil {
			return err
		}
		if owned {
			return errClaimed
		}
		if err := setAdmin(ctx, tx, hash); err != nil {
			return err
		}
		return audited(ctx, tx, byPerson(r, identity.Identity{User: adminName}, auditDevice, "claimed this device"))
	})
	if err != nil {
		return err
	}
	acc, ok, err := c.store.account(ctx, adminName)
	if err == nil && !ok {
		err = errors.New("read the account just made: it is not there")
	}
	if err != nil {
		return err
	}
	return c.logIn(w, r, acc)
}
