package main

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"porthole/packages/console/credential"
)

// minPassword is the least a password may have, in characters: short ones are guessed.
const minPassword = 10

var (
	errClaimed   = errors.New("somebody claimed this device already")
	errWrongCode = errors.New("wrong claim code")
)

type claimView struct {
	User, Code string
	// The errors stand beside their fields; Error is the whole form's.
	CodeError, PasswordError, ConfirmError, Error string
	MinPassword                                   int
	CA                                            *certificateView
}

func (c *console) claimPage(w http.ResponseWriter, r *http.Request) {
	if c.stranger(w, r, false) {
		c.showClaim(w, r, http.StatusOK, claimView{})
	}
}

func (c *console) showClaim(w http.ResponseWriter, r *http.Request, status int, v claimView) {
	v.User, v.MinPassword, v.CA = adminName, minPassword, c.certificateFor(r)
	c.render(w, r, status, "claim", page{Title: "Welcome", Body: v})
}

func (c *console) claim(w http.ResponseWriter, r *http.Request) {
	if !c.form(w, r) || !c.stranger(w, r, false) {
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
	if wait := c.claims.Try(remote); wait > 0 {
		v.Error = busy(w, wait)
		c.showClaim(w, r, http.StatusTooManyRequests, v)
		return
	}
	switch err := c.claimWith(r.Context(), v.Code, password); {
	case errors.Is(err, errWrongCode):
		c.log.Warn("wrong claim code", "remote", remote)
		v.CodeError = "This is not the code of this device. It looks like BCDF-2345."
		c.showClaim(w, r, http.StatusForbidden, v)
	case errors.Is(err, errClaimed):
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	case err != nil:
		c.failed(w, r, err)
	default:
		c.claims.Forgive(remote)
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
func (c *console) claimWith(ctx context.Context, code, password string) error {
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
		return setAdmin(ctx, tx, hash)
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
	return c.logIn(ctx, acc)
}
