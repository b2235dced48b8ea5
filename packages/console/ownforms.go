package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

// ownServerForm is where the screen's program comes from, as it was typed.
type ownServerForm struct {
	// Other says that it is not this device's own server.
	Other                               bool
	Server, Hostname, Host, Pin         string
	Timeout, RetryAttempts, RetryDelay  string
	HasCode                             bool
	Trust                               []choice
	Errors                              fieldErrors
	DefTimeout, DefAttempts, DefDelay   int
	MaxTimeout, MaxAttempts, MaxSeconds int
}

func newOwnServerForm(f ownFacts) ownServerForm {
	s := f.settings
	v := ownServerForm{
		Other: s.Server != "", Server: s.Server, Hostname: s.Hostname, Pin: s.Pin, HasCode: s.QuickConnectCode != "",
		Timeout: numberText(s.Timeout), RetryAttempts: numberText(s.RetryAttempts), RetryDelay: numberText(s.RetryDelay),
	}
	v.fill(f, s.Trust)
	return v
}

// fill adds what is not typed.
func (v *ownServerForm) fill(f ownFacts, trust settings.Trust) {
	v.Host = f.host
	v.DefTimeout, v.DefAttempts, v.DefDelay = settings.DefaultTimeout, settings.DefaultRetryAttempts, settings.DefaultRetryDelay
	v.MaxTimeout, v.MaxAttempts, v.MaxSeconds = settings.MaxTimeout, settings.MaxRetryAttempts, settings.MaxRetryDelay
	if trust == "" {
		trust = settings.TrustFirst
	}
	for _, c := range []struct {
		value settings.Trust
		text  string
	}{
		{settings.TrustFirst, "by a public authority, else by what it shows first"},
		{settings.TrustPublic, "by a public authority only"},
		{settings.TrustPinned, "by the pin below only"},
	} {
		v.Trust = append(v.Trust, choice{Value: string(c.value), Text: c.text, Chosen: c.value == trust})
	}
}

func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// saveOwnServer takes where the program comes from; everything that is wrong is said at once.
func (c *console) saveOwnServer(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	f, err := c.ownFacts(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	get := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	v := ownServerForm{
		Other: get("follow") == "other", Server: get("server"), Hostname: get("hostname"), Pin: get("pin"), HasCode: f.settings.QuickConnectCode != "",
		Timeout: get("timeout"), RetryAttempts: get("retry_attempts"), RetryDelay: get("retry_delay"), Errors: fieldErrors{},
	}
	s := f.settings
	if v.Other {
		v.read(r, &s)
	} else {
		follow(&s, "")
	}
	s, wrong := s.Normalize()
	for _, e := range wrong {
		v.Errors.add(e)
	}
	if len(v.Errors) > 0 {
		v.fill(f, settings.Trust(get("trust")))
		c.showOwn(w, r, http.StatusUnprocessableEntity, id, f, v, newOwnDisplayForm(f))
		return
	}
	if err := c.store.change(r.Context(), func(tx *sql.Tx) error { return putPlayerSettings(r.Context(), tx, s) }); err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("the screen's server changed", "server", s.Server, "hostname", s.Hostname, "trust", string(s.Trust), "pinned", s.Pin != "", "account", id.User)
	text := "Saved. The screen follows " + s.Server + " as soon as it has what that plays."
	if s.Server == "" {
		text = "Saved. The screen follows this device’s own server."
	}
	c.back(w, r, "/screen", text)
}

// read takes what was typed of another server.
func (v *ownServerForm) read(r *http.Request, s *settings.PlayerSettings) {
	n, wrong := settings.PlayerSettings{Server: v.Server}.Normalize()
	if v.Server == "" {
		v.Errors["server"] = `is missing; write it like "https://signage.example.com"`
	}
	if len(wrong) == 0 {
		follow(s, n.Server)
	} else {
		s.Server = v.Server
	}
	s.Hostname, s.Pin, s.Trust = v.Hostname, v.Pin, settings.Trust(r.PostFormValue("trust"))
	if s.Trust == settings.TrustFirst {
		s.Trust = ""
	}
	if s.Show == settings.ShowStatus || s.Show == "" {
		s.Show = settings.ShowProgram
	}
	// The page never has the code: an empty field keeps it.
	if code := strings.TrimSpace(r.PostFormValue("quickconnect_code")); code != "" {
		s.QuickConnectCode = code
	} else if r.PostFormValue("forget_code") != "" {
		s.QuickConnectCode = ""
	}
	for _, n := range []struct {
		field, typed string
		to           *int
	}{{"timeout", v.Timeout, &s.Timeout}, {"retry_attempts", v.RetryAttempts, &s.RetryAttempts}, {"retry_delay", v.RetryDelay, &s.RetryDelay}} {
		*n.to = 0
		if n.typed == "" {
			continue
		}
		var err error
		if *n.to, err = strconv.Atoi(n.typed); err != nil {
			v.Errors[n.field] = "give a whole number, or leave it empty"
		}
	}
}

// saveGovernor sets how the kernel chooses the processor's speed.
func (c *console) saveGovernor(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	name := r.PostFormValue("governor")
	status, err := c.tell(r.Context(), c.backends.system, "/governor", map[string]string{"governor": name})
	defer c.backends.hardware.forget()
	switch {
	case status == http.StatusConflict:
		c.back(w, r, "/screen", "The processor’s speed cannot be changed on this machine.")
	case status == http.StatusUnprocessableEntity:
		c.sorry(w, r, http.StatusUnprocessableEntity, "Not possible", "The kernel has no governor of that name. Choose one of the list.")
	case err != nil:
		c.log.Warn("cannot set the governor", "err", err)
		c.back(w, r, "/screen", "Nothing was changed: system did not do it. Try again in a moment; its log says more.")
	default:
		c.log.Info("governor chosen", "governor", name, "account", id.User)
		c.back(w, r, "/screen", "Saved. The processor follows this now, and after every start.")
	}
}

// approveServer lets the screen take the certificate that the server shows now for the right one.
func (c *console) approveServer(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	print := strings.TrimSpace(r.PostFormValue("fingerprint"))
	status, err := c.tell(r.Context(), c.backends.player, "/trust/approve", map[string]string{"fingerprint": print})
	defer c.backends.screen.forget()
	switch {
	case err != nil && status >= 400 && status < 500:
		c.back(w, r, "/screen", "Nothing was approved: the server shows another certificate by now, or none waits any more. Look at the fingerprint again.")
	case err != nil:
		c.log.Warn("cannot approve the server's certificate", "err", err)
		c.back(w, r, "/screen", "Nothing was approved: player does not answer. Try again in a moment.")
	default:
		c.log.Info("the server's certificate was approved", "fingerprint", print, "account", id.User)
		c.back(w, r, "/screen", "Approved. The screen takes the server with this certificate for the right one from now on.")
	}
}

// retryServer lets the screen ask its server now.
func (c *console) retryServer(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	if _, err := c.tell(r.Context(), c.backends.player, "/link/retry", struct{}{}); err != nil {
		c.log.Warn("cannot ask player to try its server again", "err", err)
		c.back(w, r, "/screen", "player does not answer. Try again in a moment.")
		return
	}
	c.backends.screen.forget()
	c.back(w, r, "/screen", "The server is being asked.")
}

// askWithin bounds a call that changes something in another process.
const askWithin = 5 * time.Second

// tell makes such a call.
func (c *console) tell(ctx context.Context, of *unixsock.Client, target string, in any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	status, err = of.Call(ctx, http.MethodPost, target, in, nil)
	if se, ok := errors.AsType[*unixsock.StatusError](err); ok {
		status = se.Status
	}
	if err != nil {
		err = fmt.Errorf("call %s: %w", target, err)
	}
	return status, err
}
