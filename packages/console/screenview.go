package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
)

// screenView is the page of one screen.
type screenView struct {
	ID                   int64
	Name                 string
	Own, Admin           bool
	Identifies, Pictures bool
	NoPicture            string
	State                state
	Now, Why, Version    string
	Knocks               []knock
	Facts                []fact
	Form                 screenForm
	// Code is a quick-connect code just made: it is shown once.
	Code                 string
	CodeState            string
	HasCode, HasPassword bool
	PasswordError        string
	ConfigNew, ConfigOld string
	Curl                 string
	Reports              []reportRow
}

type reportRow struct{ When, Status, Tone, Message, Item string }

// shownReports is how many of a screen's reports its page has.
const shownReports = 50

func (c *console) screenPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if p, ok := c.findScreen(w, r); ok {
		c.showScreen(w, r, http.StatusOK, id, p, screenView{Form: newScreenForm(p)})
	}
}

// showScreen shows a screen, or its changing part, with the form as it is in v.
func (c *console) showScreen(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, p signage.Player, v screenView) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	p, ok := s.player(p.ID)
	if !ok {
		c.signageFailed(w, r, signage.ErrNotFound)
		return
	}
	prog, err := c.signage.Program(r.Context(), p.ID, s.now)
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	show := s.showing(p, prog)
	s.forAdmin = isAdmin(id)
	v.ID, v.Name, v.Own, v.Admin = p.ID, p.Name, p.Own, isAdmin(id)
	v.State, v.Now, v.Why, v.Version, v.Knocks = s.state(p), show.What, show.Why, s.version(p, show), s.knocksOf(p)
	if says := s.says(p); says != "" {
		v.Now = says + ". " + v.Now
	}
	v.Identifies, v.NoPicture = c.identifies(p), noPicture(p, s)
	// The own one's is there anyway, and new every few seconds.
	v.Pictures = v.Identifies && !p.Own
	v.Facts = s.facts(p)
	if isFragment(r) {
		c.renderPart(w, r, "screen", "now", v)
		return
	}
	v.Form.choices(s)
	if v.Admin && !p.Own {
		v.Code = c.onceCodes.take(id.User, p.ID)
		v.connect(r, p)
	}
	reports, err := c.signage.Feedbacks(r.Context(), p.ID, shownReports)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	zone, _ := program.Zone(prog.Timezone)
	for _, f := range reports {
		v.Reports = append(v.Reports, newReportRow(f, zone))
	}
	c.render(w, r, status, "screen", page{Title: p.Name, User: id, Body: v})
}

func newReportRow(f signage.Feedback, zone *time.Location) reportRow {
	row := reportRow{Status: printable(f.Status), Message: printable(f.Message), Item: orDash(printable(f.Item)), Tone: toneMuted}
	row.When = f.Received.In(zone).Format("2 Jan 2006, 15:04:05")
	// A player that was offline tells later; one whose clock is wrong is not believed.
	if late := f.Received.Sub(f.At); !f.At.IsZero() && late > time.Minute && late < 365*24*time.Hour {
		row.When = f.At.In(zone).Format("2 Jan 2006, 15:04:05") + ", told " + durationText(late) + " later"
	}
	switch f.Status {
	case "playing", "success", "ok":
		row.Tone = toneGood
	case "error":
		row.Tone = toneBad
	case "restarting", "starting":
		row.Tone = toneBusy
	}
	return row
}

func (s *screens) facts(p signage.Player) []fact {
	list := []fact{{"Hostname", printable(p.Hostname)}}
	add := func(name, value string) {
		if value != "" {
			list = append(list, fact{name, printable(value)})
		}
	}
	add("Group", s.group(p.Group))
	if p.Playlist != 0 {
		add("Own playlist", s.nameOf(p.Playlist))
	}
	if p.Own {
		add("Display", newScreenCard(s.own, s.ownErr, settings.PlayerSettings{}, nil).Display)
		return list
	}
	add("Last seen", s.ago(p.LastSeen))
	add("Address", p.Address)
	add("Software", p.Agent)
	if p.PlainHTTP {
		add("Without TLS", "allowed")
	}
	return list
}

// connect fills in how to connect the player.
func (v *screenView) connect(r *http.Request, p signage.Player) {
	v.HasCode, v.HasPassword = p.HasCode, p.HasPassword
	switch {
	case p.HasCode && v.HasPassword:
		v.CodeState = "It logs in with its quick-connect code or its password. Neither is kept here in a form that can be shown."
	case p.HasCode:
		v.CodeState = "It logs in with its quick-connect code, which is not kept here in a form that can be shown."
	case p.HasPassword:
		v.CodeState = "It has a password and no quick-connect code."
	default:
		v.CodeState = "It has neither a quick-connect code nor a password, so only a paired player can be this screen."
	}
	code := v.Code
	if code == "" {
		code = "YOUR-CODE"
	}
	v.ConfigNew, v.ConfigOld, v.Curl = playerConfig(r.Host, p, code), oldPlayerConfig(r.Host, p, code), curlLines(r.Host, p, code)
}

// playerConfig is the app_config.json of players in the field (document 004).
func playerConfig(host string, p signage.Player, code string) string {
	return ordered{
		{"server", ordered{
			{"url", "https://" + host}, {"hostname", p.Hostname}, {"quickconnect_code", code},
			{"verify_ssl", true}, {"use_server_certificate", true}, {"certificate_path", "~/.digiserver/server_cert.pem"},
		}},
		{"connection", ordered{{"timeout", 10}, {"retry_attempts", 3}, {"retry_delay", 5}}},
	}.String()
}

// oldPlayerConfig is the older form: no address but a host, and a port.
func oldPlayerConfig(host string, p signage.Player, code string) string {
	name, port := host, "443"
	if h, n, err := net.SplitHostPort(host); err == nil {
		name, port = h, n
	}
	return ordered{
		{"server_ip", strings.Trim(name, "[]")}, {"port", port}, {"screen_name", p.Hostname}, {"quickconnect_key", code},
		{"orientation", strings.ToUpper(p.Orientation[:1]) + p.Orientation[1:]},
	}.String()
}

// curlLines try what a player does. The names are quoted for a POSIX shell.
func curlLines(host string, p signage.Player, code string) string {
	body, err := json.Marshal(map[string]string{"hostname": p.Hostname, "quickconnect_code": code})
	if err != nil {
		return "" // strings always encode
	}
	q := url.Values{"hostname": {p.Hostname}, "quickconnect_code": {code}}
	return "curl --cacert porthole-ca.pem https://" + host + "/api/auth/player \\\n  -H 'Content-Type: application/json' -d " + shellQuoted(string(body)) +
		"\n\ncurl --cacert porthole-ca.pem " + shellQuoted("https://"+host+"/api/playlists?"+q.Encode())
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ordered is a JSON object whose members keep their order, for people who compare.
type ordered []struct {
	Key   string
	Value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(m.Key)
		if err != nil {
			return nil, fmt.Errorf("encode name: %w", err)
		}
		v, err := json.Marshal(m.Value)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", m.Key, err)
		}
		b.Write(append(append(k, ':'), v...))
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// String is the object with a line a member.
func (o ordered) String() string {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return "" // it holds texts, numbers and switches
	}
	return string(b)
}

// onceCodes are codes that were made and not yet shown. They are nowhere else.
type onceCodes struct {
	mu    sync.Mutex
	codes map[string]onceCode // by account and screen; guarded by mu
}

type onceCode struct {
	code string
	made time.Time
}

// A code that nobody fetches is forgotten: the page comes within seconds, and there are few at a time.
const onceFor, maxOnce = 5 * time.Minute, 64

func onceKey(account string, screen int64) string {
	return strconv.FormatInt(screen, 10) + " " + account
}

// put keeps a code for who made it.
func (o *onceCodes) put(account string, screen int64, code string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for k, c := range o.codes {
		if now.Sub(c.made) > onceFor || len(o.codes) >= maxOnce {
			delete(o.codes, k)
		}
	}
	if o.codes == nil {
		o.codes = map[string]onceCode{}
	}
	o.codes[onceKey(account, screen)] = onceCode{code, now}
}

// take returns the code and forgets it; empty when there is none.
func (o *onceCodes) take(account string, screen int64) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := onceKey(account, screen)
	c, ok := o.codes[k]
	delete(o.codes, k)
	if !ok || time.Since(c.made) > onceFor {
		return ""
	}
	return c.code
}
