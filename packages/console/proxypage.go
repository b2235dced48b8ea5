package main

import (
	"database/sql"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// proxyPage is the page of the way in from outside: names, accounts, who may connect.
type proxyPage struct {
	proxySettings
	// Allowed, Open and Proxies (the trusted ones) are as typed, an entry a line.
	Allowed, Open, Proxies string
	Errors                 fieldErrors
	Accounts               []accountRow
	NewUser                string
	// Away says why counters and addresses are missing, or is empty.
	Away    string
	Who     []string
	Refused []refusal
	Access  accessStatus
	Host    string
}

type accountRow struct {
	User             string
	Password, Masked string
	First            bool
	Warning          string
}

// refusal is how many connections were turned away, and why.
type refusal struct {
	Why   string
	Count uint64
}

// refusalTexts are the counters of proxy's status in words, in the order in which they are shown.
var refusalTexts = []struct{ key, text string }{
	{"not_allowed", "Not on the allow list"},
	{"logins", "Too many wrong passwords from there"},
	{"crowded", "Said nothing while too many others did"},
	{"full", "Too many connections from there, or in all"},
	{"slow", "Did not say in time what they want"},
	{"handshake", "TLS did not come about (mostly: the certificate is not trusted)"},
	{"garbage", "Spoke nothing that is known here"},
	{"plain_rtsp", "RTSP without TLS"},
	{"stun", "Live view over TCP while it was not running"},
	{"acme", "A certificate authority’s check"},
}

const vlcWarning = "Contains “proxy”: VLC takes that word for something else and may not log in."

func (c *console) proxyPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	around, err := readProxySettings(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.showProxy(w, r, http.StatusOK, id, typedAs(around, proxyPage{}))
}

// typedAs fills the form with what is saved.
func typedAs(saved proxySettings, v proxyPage) proxyPage {
	v.proxySettings = saved
	v.Allowed, v.Open = strings.Join(saved.Access.Allowed, "\n"), strings.Join(saved.Access.Open, "\n")
	v.Proxies = strings.Join(saved.Access.TrustedProxies, "\n")
	return v
}

func (c *console) showProxy(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v proxyPage) {
	v.Host = r.Host
	accounts, err := c.store.streamAccounts(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	for i, a := range accounts {
		row := accountRow{User: a.user, Password: a.password, Masked: "••••••", First: i == 0}
		if vlcTrips(a.user, a.password) {
			row.Warning = vlcWarning
		}
		v.Accounts = append(v.Accounts, row)
	}
	saved, err := readProxySettings(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	answer, err := c.backends.cameras.answer(r.Context())
	if err != nil {
		v.Away = "proxy does not answer, so who was refused is not known. It may be restarting."
	}
	v.Access = answer.Access
	v.Who = whoMay(saved, answer.Access, len(accounts))
	for _, t := range refusalTexts {
		if n := answer.Refused[t.key]; n > 0 {
			v.Refused = append(v.Refused, refusal{t.text, n})
		}
	}
	c.render(w, r, status, "proxy", page{Title: "Proxy", User: id, Body: v})
}

// whoMay says in sentences who may connect.
func whoMay(p proxySettings, access accessStatus, accounts int) []string {
	var list []string
	if p.Access.Restricted {
		from := []string{"this device"}
		if len(access.Networks) > 0 {
			from = append(from, "your networks ("+strings.Join(access.Networks, ", ")+")")
		} else {
			from = append(from, "your networks")
		}
		switch {
		case p.PublicName != "" && len(access.Own) > 0:
			from = append(from, "your own public address ("+strings.Join(access.Own, ", ")+")")
		case p.PublicName != "":
			from = append(from, "your own public address, once "+p.PublicName+" resolves")
		}
		from = append(from, p.Access.Allowed...)
		list = append(list, "Connections on port 443 are taken only from "+strings.Join(from, ", ")+". All others are refused at once.")
	} else {
		list = append(list, "Connections on port 443 are taken from everywhere. Nobody sees a camera without an account, a token or a login.")
	}
	if accounts == 1 {
		list = append(list, "One account may read cameras over RTSP.")
	} else {
		list = append(list, strconv.Itoa(accounts)+" accounts may read cameras over RTSP.")
	}
	if len(p.Access.Open) > 0 {
		list = append(list, "From "+strings.Join(p.Access.Open, ", ")+", cameras set to “None” are read without an account.")
	}
	if p.TestSocket {
		list = append(list, "The test socket is on: your own networks may read cameras on port "+testPort+" without encryption, with an account.")
	}
	return list
}

// saveProxy takes the form; everything that is wrong is said at once.
func (c *console) saveProxy(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	set := func(name string) bool { return r.PostFormValue(name) != "" }
	v := proxyPage{
		Allowed: r.PostFormValue("allowed"), Open: r.PostFormValue("open"), Proxies: r.PostFormValue("trusted_proxies"), Errors: fieldErrors{},
	}
	v.PublicName, v.DefaultAuth = cleanName(r.PostFormValue("public_name")), settings.ReaderAuth(r.PostFormValue("default_auth"))
	v.PlainHTTP, v.TestSocket, v.SignalingPort = set("plain_http"), set("test_socket"), set("signaling_port")
	v.proxySettings.Access.Restricted = set("restricted")
	// A pasted port is the one mistake worth a sentence of its own.
	if name, port, err := net.SplitHostPort(v.PublicName); err == nil && port == alexaPort {
		v.PublicName = name
	}
	say := func(field, reason string) {
		if reason != "" {
			v.Errors[field] = reason
		}
	}
	say("public_name", checkPublicName(v.PublicName))
	var reason string
	v.proxySettings.Access.Allowed, reason = checkAllowed(fields(v.Allowed))
	say("allowed", reason)
	v.proxySettings.Access.Open, reason = checkOpen(fields(v.Open))
	say("open", reason)
	v.proxySettings.Access.TrustedProxies, reason = settings.CheckTrustedProxies(fields(v.Proxies))
	say("trusted_proxies", reason)
	if !slices.ContainsFunc(authChoices(""), func(o choice) bool { return o.Value == string(v.DefaultAuth) }) {
		say("default_auth", "choose one of the list")
	}
	if len(v.Errors) > 0 {
		c.showProxy(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	if err := c.store.change(r.Context(), func(tx *sql.Tx) error { return putProxySettings(r.Context(), tx, v.proxySettings) }); err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("proxy settings changed", "account", id.User, "restricted", v.proxySettings.Access.Restricted,
		"plain_http", v.PlainHTTP, "test_socket", v.TestSocket, "signaling_port", v.SignalingPort)
	c.back(w, r, "/settings/proxy", "Saved. It holds from now on; whoever watches goes on watching.")
}

// Restrict says that the allow list counts. Access is what proxy says of it, not the setting.
func (p proxyPage) Restrict() bool { return p.proxySettings.Access.Restricted }

// AuthChoices are the ways of authentication.
func (p proxyPage) AuthChoices() []choice { return authChoices(p.DefaultAuth) }

// addAccount makes an account for RTSP clients.
func (c *console) addAccount(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	a := streamAccount{strings.TrimSpace(r.PostFormValue("user")), r.PostFormValue("password")}
	if a.password == "" {
		a.password = newRTSPPassword()
	}
	userErr, passwordErr := a.check()
	v := proxyPage{Errors: fieldErrors{}, NewUser: a.user}
	v.Errors.add(userErr)
	v.Errors.add(passwordErr)
	if len(v.Errors) == 0 {
		err := c.store.change(r.Context(), func(tx *sql.Tx) error {
			have, err := c.store.streamAccounts(r.Context(), tx)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(have, func(o streamAccount) bool { return o.user == a.user }) {
				return &settings.FieldError{Field: "user", Reason: "there is an account of that name already; change its password instead"}
			}
			return putStreamAccount(r.Context(), tx, a)
		})
		if v.Errors.add(err); err != nil && len(v.Errors) == 0 {
			c.failed(w, r, err)
			return
		}
	}
	if len(v.Errors) > 0 {
		around, err := readProxySettings(r.Context(), c.store.r)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		c.showProxy(w, r, http.StatusUnprocessableEntity, id, typedAs(around, v))
		return
	}
	c.log.Info("RTSP account added", "user", a.user, "account", id.User)
	c.accountSaved(w, r, a, "The account "+a.user+" was added.")
}

// accountSaved goes back to the list with what was done.
func (c *console) accountSaved(w http.ResponseWriter, r *http.Request, a streamAccount, text string) {
	if vlcTrips(a.user, a.password) {
		text += " " + vlcWarning
	}
	c.back(w, r, "/settings/proxy#accounts", text)
}

// accountView is the page that changes or deletes an account.
type accountView struct {
	User   string
	First  bool
	Errors fieldErrors
}

// findAccount returns the account the path names; false when it was answered that there is none.
func (c *console) findAccount(w http.ResponseWriter, r *http.Request) (accountView, bool) {
	list, err := c.store.streamAccounts(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return accountView{}, false
	}
	i := slices.IndexFunc(list, func(a streamAccount) bool { return a.user == r.PathValue("user") })
	if i < 0 {
		c.sorry(w, r, http.StatusNotFound, "Not found", "There is no such account. Somebody may have deleted it.")
		return accountView{}, false
	}
	return accountView{User: list[i].user, First: i == 0}, true
}

func (c *console) accountPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if v, ok := c.findAccount(w, r); ok {
		c.render(w, r, http.StatusOK, "account", page{Title: "Account " + v.User, User: id, Body: v})
	}
}

func (c *console) changeAccount(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, ok := c.findAccount(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	a := streamAccount{v.User, r.PostFormValue("password")}
	if a.password == "" {
		a.password = newRTSPPassword()
	}
	if _, err := a.check(); err != nil {
		v.Errors = fieldErrors{}
		v.Errors.add(err)
		c.render(w, r, http.StatusUnprocessableEntity, "account", page{Title: "Account " + v.User, User: id, Body: v})
		return
	}
	if err := c.store.change(r.Context(), func(tx *sql.Tx) error { return putStreamAccount(r.Context(), tx, a) }); err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("RTSP account changed", "user", a.user, "account", id.User)
	c.accountSaved(w, r, a, "The account "+a.user+" has a new password. Whoever uses it needs the new one from now on.")
}

func (c *console) dropAccount(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, ok := c.findAccount(w, r)
	if !ok {
		return
	}
	if v.First {
		c.sorry(w, r, http.StatusForbidden, "Not possible", "The first account stays; give it a new password instead.")
		return
	}
	switch err := c.store.deleteStreamAccount(r.Context(), v.User); {
	case err == nil:
		c.log.Info("RTSP account deleted", "user", v.User, "account", id.User)
		c.back(w, r, "/settings/proxy#accounts", "The account "+v.User+" was deleted.")
	case errors.Is(err, errNoAccount):
		c.sorry(w, r, http.StatusNotFound, "Not found", "There is no such account. Somebody may have deleted it.")
	default:
		c.failed(w, r, err)
	}
}
