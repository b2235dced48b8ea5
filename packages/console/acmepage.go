package main

import (
	"database/sql"
	"net/http"
	"strings"
	"time"

	"porthole/packages/console/acme"
	"porthole/packages/internal/identity"
)

func (c *console) acmeRoutes() []route {
	return []route{
		{"GET /settings/certificate", admin, c.acmePage},
		{"GET /fragments/settings/certificate", admin, c.acmePage},
		{"POST /settings/certificate", admin, c.saveACME},
		{"POST /settings/certificate/try", admin, c.tryACME},
		{"GET /settings/certificate/remove", admin, c.dropACMEPage},
		{"POST /settings/certificate/remove", admin, c.dropACME},
	}
}

// The choices of who gives out certificates.
const (
	caLetsEncrypt = "letsencrypt"
	caStaging     = "staging"
	caOther       = "other"
)

// acmeView is the page of certificates from an ACME server.
type acmeView struct {
	Now acmeNow
	// What follows is as typed, secrets are not among it.
	Names, Email, Directory, RootPEM, EABKey string
	CA, Proof, Provider                      []choice
	Providers                                []acmeProvider
	HasEAB, RSA, Agreed, Wanted              bool
	// Suggested is the public name, where no other is set.
	Suggested string
	Errors    fieldErrors
	MaxNames  int
}

// acmeProvider is a DNS provider with its fields.
type acmeProvider struct {
	ID, Name string
	Open     bool
	Fields   []acmeField
}

type acmeField struct {
	acme.Field
	// Name is the form's, Value what was typed, Kept says that an empty field keeps a secret.
	Name, Value, Error string
	Kept               bool
}

// acmeNow is what is going on.
type acmeNow struct {
	Wanted           bool
	State            state
	Doing, Trouble   string
	Failed, Next     string
	Rehearse, CanTry bool
	Names            []acmeName
	Pairs            []acmePair
	Staging          bool
}

type acmeName struct {
	Name    string
	State   state
	Way     string
	Trouble string
}

type acmePair struct {
	Name, Key, Names, Issuer, Until, Renew string
	Left                                   string
	Expired                                bool
}

func (c *console) acmePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	s, err := acme.LoadSettings(r.Context(), acmeValues{c.store.r})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	now, err := c.acmeNow(r, s)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if isFragment(r) {
		c.renderPart(w, r, "acme", "now", now)
		return
	}
	v := newACMEView(s, s)
	if v.Names == "" {
		p, err := readProxySettings(r.Context(), c.store.r)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		v.Suggested = p.PublicName
		v.Names = p.PublicName
	}
	v.Now = now
	c.render(w, r, http.StatusOK, "acme", page{Title: "Public certificate", User: id, Body: v})
}

// newACMEView shows settings; kept are those that are in force.
func newACMEView(s, kept acme.Settings) acmeView {
	v := acmeView{
		Names: strings.Join(s.Names, "\n"), Email: s.Email, Directory: s.Directory, RootPEM: s.RootPEM, EABKey: s.EABKey,
		HasEAB: kept.EABMAC != "", RSA: s.RSA, Agreed: s.Agreed, Wanted: !kept.Empty(), MaxNames: acme.MaxNames,
	}
	ca := caLetsEncrypt
	switch {
	case s.Directory != "":
		ca = caOther
	case s.Staging:
		ca = caStaging
	}
	v.CA = choices(ca, [][2]string{
		{caLetsEncrypt, "Let’s Encrypt"}, {caStaging, "Let’s Encrypt’s test server (browsers do not trust it)"}, {caOther, "another ACME server"},
	})
	v.Proof = choices(string(s.Proof), [][2]string{
		{string(acme.Automatic), "by a connection from outside to this device: port 443, else port 80"},
		{string(acme.ByDNS), "by a record in DNS: nothing has to be reachable, and names with * are possible"},
	})
	v.Provider = []choice{{Text: "choose"}}
	for _, p := range acme.Providers() {
		v.Provider = append(v.Provider, choice{Value: p.ID, Text: p.Name, Chosen: p.ID == s.Provider})
		view := acmeProvider{ID: p.ID, Name: p.Name, Open: p.ID == s.Provider}
		for _, f := range p.Fields {
			field := acmeField{Field: f, Name: p.ID + "_" + f.Key}
			if p.ID == s.Provider && !f.Secret {
				field.Value = s.Fields[f.Key]
			}
			field.Kept = f.Secret && p.ID == kept.Provider && kept.Fields[f.Key] != ""
			view.Fields = append(view.Fields, field)
		}
		v.Providers = append(v.Providers, view)
	}
	return v
}

func choices(chosen string, list [][2]string) (out []choice) {
	for _, c := range list {
		out = append(out, choice{Value: c[0], Text: c[1], Chosen: c[0] == chosen})
	}
	return out
}

// typedACME reads the form.
func typedACME(r *http.Request) acme.Settings {
	set := func(name string) bool { return r.PostFormValue(name) != "" }
	s := acme.Settings{
		Names: fields(r.PostFormValue("names")), Email: r.PostFormValue("email"), Proof: acme.Proof(r.PostFormValue("proof")),
		Provider: r.PostFormValue("provider"), EABKey: r.PostFormValue("eab_key"), EABMAC: r.PostFormValue("eab_mac"),
		RSA: set("rsa"), Agreed: set("agreed"),
	}
	switch r.PostFormValue("ca") {
	case caStaging:
		s.Staging = true
	case caOther:
		s.Directory, s.RootPEM = strings.TrimSpace(r.PostFormValue("directory")), r.PostFormValue("root_pem")
	}
	if p, ok := acme.ProviderByID(s.Provider); ok {
		s.Fields = map[string]string{}
		for _, f := range p.Fields {
			s.Fields[f.Key] = r.PostFormValue(p.ID + "_" + f.Key)
		}
	}
	return s
}

// saveACME takes the form; everything that is wrong is said at once.
func (c *console) saveACME(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.formOf(w, r, 2*maxBody) {
		return
	}
	kept, err := acme.LoadSettings(r.Context(), acmeValues{c.store.r})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	typed := typedACME(r)
	s, wrong := typed.KeepSecrets(kept).Normalize()
	errs := fieldErrors{}
	for _, w := range wrong {
		errs.add(w)
	}
	if s.Empty() && errs["names"] == "" {
		errs["names"] = "write at least one name"
	}
	if r.PostFormValue("ca") == caOther && s.Directory == "" {
		errs["directory"] = "write the server’s address"
	}
	if len(errs) > 0 {
		c.refuseACME(w, r, id, typed, kept, errs)
		return
	}
	err = c.store.write(r.Context(), func(tx *sql.Tx) error {
		return setACME(r.Context(), tx, s, byPerson(r, id, auditCertificates, "asked for a certificate for "+strings.Join(s.Names, ", ")+" from "+caText(s)))
	})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.acme.Changed()
	c.log.Info("certificate asked for", "names", s.Names, "proof", s.Proof, "provider", s.Provider, "account", id.User)
	c.back(w, r, "/settings/certificate", "Saved. The certificate comes by itself; this page shows how far it is.")
}

func caText(s acme.Settings) string {
	switch {
	case s.Directory != "":
		return s.Directory
	case s.Staging:
		return "Let’s Encrypt’s test server"
	}
	return "Let’s Encrypt"
}

// refuseACME shows the form again as it was typed.
func (c *console) refuseACME(w http.ResponseWriter, r *http.Request, id identity.Identity, typed, kept acme.Settings, errs fieldErrors) {
	v := newACMEView(typed, kept)
	v.Names, v.Errors = r.PostFormValue("names"), errs
	if r.PostFormValue("ca") == caOther {
		v.CA = choices(caOther, [][2]string{{caLetsEncrypt, v.CA[0].Text}, {caStaging, v.CA[1].Text}, {caOther, v.CA[2].Text}})
	}
	for i, p := range v.Providers {
		for j, f := range p.Fields {
			if p.Open {
				v.Providers[i].Fields[j].Error = errs["field_"+f.Key]
			}
		}
	}
	var err error
	if v.Now, err = c.acmeNow(r, kept); err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, http.StatusUnprocessableEntity, "acme", page{Title: "Public certificate", User: id, Body: v})
}

// tryACME tries at once.
func (c *console) tryACME(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.acme.TryNow()
	c.log.Info("certificate tried now", "account", id.User)
	c.back(w, r, "/settings/certificate", "It is tried now, as far as the server’s limits leave room for it.")
}

func (c *console) dropACMEPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	s, err := acme.LoadSettings(r.Context(), acmeValues{c.store.r})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if s.Empty() {
		c.sorry(w, r, http.StatusNotFound, "Not found", "There is no public certificate to remove.")
		return
	}
	v := sureView{
		Title: "Remove the public certificate?",
		Says: []string{
			"This device stops using it and does not renew it. Under these names, browsers, Alexa and other devices then see this device’s own certificate, which they do not trust by themselves.",
			"What you typed here stays, so that you can ask for it again.",
		},
		Things: s.Names, Action: "/settings/certificate/remove", Button: "Remove it", Back: "/settings/certificate", Keep: "Keep it",
	}
	c.render(w, r, http.StatusOK, "sure", page{Title: v.Title, User: id, Body: v})
}

func (c *console) dropACME(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	s, err := acme.LoadSettings(r.Context(), acmeValues{c.store.r})
	if err == nil && !s.Empty() {
		names := strings.Join(s.Names, ", ")
		s.Names = nil
		err = c.store.write(r.Context(), func(tx *sql.Tx) error {
			return setACME(r.Context(), tx, s, byPerson(r, id, auditCertificates, "removed the public certificate for "+names))
		})
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.acme.Changed()
	c.back(w, r, "/settings/certificate", "The public certificate is taken out of service.")
}

// acmeNow says what is going on.
func (c *console) acmeNow(r *http.Request, s acme.Settings) (acmeNow, error) {
	name, err := timezone(r.Context(), c.store.r)
	if err != nil {
		return acmeNow{}, err
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		zone = time.UTC
	}
	return newACMENow(c.acme.Status(), s, zone, time.Now()), nil
}

// acmeWays are the challenges in words.
var acmeWays = map[string]string{"tls-alpn-01": "by port 443", "http-01": "by port 80", "dns-01": "by DNS"}

// acmeStates are the states of names in words.
var acmeStates = map[acme.NameState]state{
	acme.Waiting: {"waiting", toneMuted}, acme.Proving: {"being looked at", toneBusy},
	acme.Proven: {"proven", toneGood}, acme.Failed: {"not proven", toneBad},
}

func newACMENow(st acme.Status, s acme.Settings, zone *time.Location, now time.Time) acmeNow {
	v := acmeNow{Wanted: !s.Empty(), Staging: s.Staging && s.Directory == "", Trouble: st.Trouble, Rehearse: st.Rehearse, CanTry: !s.Empty() && !st.Busy}
	if !v.Wanted {
		return v
	}
	at := func(t time.Time) string {
		return t.In(zone).Format("2 January 2006, 15:04 MST")
	}
	switch {
	case st.Busy:
		v.State = state{"working", toneBusy}
	case st.Trouble != "" && len(st.Pairs) == 0:
		v.State = state{"no certificate", toneBad}
	case st.Trouble != "":
		v.State = state{"the last one stays, the next one failed", toneBad}
	case len(st.Pairs) > 0:
		v.State = state{"in service", toneGood}
	default:
		v.State = state{"waiting", toneMuted}
	}
	if st.Doing != "" {
		v.Doing = "This device is " + st.Doing + ", for " + durationText(now.Sub(st.Since)) + "."
	}
	if st.Trouble != "" {
		v.Failed = at(st.TroubleAt)
		if !st.Busy && !st.Next.IsZero() {
			v.Next = at(st.Next)
		}
	}
	for _, n := range st.Names {
		row := acmeName{Name: n.Name, State: acmeStates[n.State], Way: acmeWays[n.Way]}
		if n.Trouble != st.Trouble {
			row.Trouble = n.Trouble
		}
		v.Names = append(v.Names, row)
	}
	for _, p := range st.Pairs {
		key := "ECDSA"
		if p.Name == acme.PairRSA {
			key = "RSA, for Echo and older devices"
		}
		left := p.NotAfter.Sub(now)
		v.Pairs = append(v.Pairs, acmePair{
			Name: p.Name, Key: key, Names: strings.Join(p.Names, ", "), Issuer: p.Issuer, Until: at(p.NotAfter), Renew: at(p.Renew),
			Left: durationText(left), Expired: left <= 0,
		})
	}
	return v
}

// acmeNotice is what the home page says while there is no certificate, or one ends; false when all is well.
func (c *console) acmeNotice() (notice, bool) {
	if st := c.acme.Status(); st.Urgent(time.Now()) {
		title := "There is no public certificate yet"
		if len(st.Pairs) > 0 {
			title = "The public certificate is not renewed"
		}
		return notice{ID: "problem-acme", Title: title, Problem: st.Trouble + " More under Settings, Certificate."}, true
	}
	return notice{}, false
}
