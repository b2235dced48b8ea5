package provision

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/internal/settings"
)

// blockSecret is the key of a block's secret.
func blockSecret(section string) string {
	if section == screens {
		return "quickconnect_code"
	}
	return "password"
}

// blockValue keeps a line of a camera, an account or a player until all are there.
func (r *reader) blockValue(e expression, key string) {
	section := r.block.section
	full := called(section) + "." + key
	if first, ok := r.block.values[key]; ok {
		r.problem(e.line, full, fmt.Sprintf("is already set on line %d; this line is left out", first.line))
		if key == blockSecret(section) {
			r.block.again = append(r.block.again, e)
		}
		return
	}
	if reason := checkValue(e, key); reason != "" {
		if key != "name" {
			r.block.broken = true
			reason += leftOut(section)
		}
		r.problem(e.line, full, reason)
	}
	r.block.values[key] = e
}

func leftOut(section string) string { return "; the " + called(section) + " is left out" }

// finish takes the camera, account or player whose lines end here.
func (r *reader) finish() {
	p := r.block
	r.block = nil
	switch {
	case p == nil || p.broken:
	case p.section == account:
		r.finishAccount(p)
	case p.section == screens:
		r.finishScreen(p)
	default:
		r.finishCamera(p)
	}
}

// refuse names the line of a key, or the block's where it has none.
func (r *reader) refuse(p *pending, key, reason string) {
	line := p.line
	if e, ok := p.values[key]; ok {
		line = e.line
	}
	r.problem(line, called(p.section)+"."+key, reason+leftOut(p.section))
}

// passwords takes the block's secret out of the file.
func (r *reader) passwords(p *pending) {
	key := blockSecret(p.section)
	if e, ok := p.values[key]; ok {
		for _, e := range append(p.again, e) {
			r.redact = append(r.redact, taken(e, key))
		}
	}
}

func (r *reader) finishAccount(p *pending) {
	a := Account{User: strings.TrimSpace(p.values["user"].text), Password: p.values["password"].text}
	_, hasPassword := p.values["password"]
	field, reason := CheckAccount(a.User, a.Password)
	if field == "password" && !hasPassword {
		field = "" // taken over before
	}
	switch first := r.ids[account+" "+a.User]; {
	case field != "":
		r.refuse(p, field, reason)
	case first != 0:
		r.refuse(p, "user", fmt.Sprintf("is already the user of the account on line %d", first))
	default:
		r.ids[account+" "+a.User] = p.values["user"].line
		r.file.Accounts = append(r.file.Accounts, a)
		r.passwords(p)
	}
}

// The bounds of an RTSP account's password, in bytes; console has the same, and the same signs.
const minAccount, maxAccount = 8, 64

var (
	accountUser     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
	accountPassword = regexp.MustCompile(`^[!-~]+$`)
)

// CheckAccount says which field of an RTSP account is wrong, "user" or "password", and why; both are empty if none is.
func CheckAccount(user, password string) (field, reason string) {
	switch {
	case user == "":
		return "user", "is missing"
	case !accountUser.MatchString(user):
		return "user", "use 1 to 32 letters a to z, digits, dots, hyphens and underscores, beginning with a letter or digit"
	case len(password) < minAccount || len(password) > maxAccount:
		return "password", fmt.Sprintf("use at least %d and at most %d characters", minAccount, maxAccount)
	case !accountPassword.MatchString(password):
		return "password", "use only letters a to z, digits and the signs of an English keyboard, without spaces"
	}
	return "", ""
}

func (r *reader) finishCamera(p *pending) {
	v := func(key string) string { return p.values[key].text }
	for _, key := range []string{"id", "url"} {
		if _, ok := p.values[key]; !ok {
			r.refuse(p, key, "is missing")
			return
		}
	}
	options, reason := parseOptions(v("options"))
	if reason != "" {
		r.refuse(p, "options", reason)
		return
	}
	c, err := settings.Camera{
		ID: v("id"), Name: v("name"), URL: v("url"), MoreURLs: []string{v("url2"), v("url3")}, User: v("user"), Password: v("password"),
		Transport: settings.Transport(v("transport")), Auth: settings.ReaderAuth(v("auth")), AlwaysOn: v("always_on") == "true", Options: options,
	}.Normalize()
	switch wrong, ok := errors.AsType[*settings.FieldError](err); {
	case ok:
		r.refuse(p, wrong.Field, wrong.Reason)
	case err != nil:
		r.refuse(p, "id", err.Error())
	case c.User == "" && c.Password != "":
		r.refuse(p, "password", "needs a line with the user it belongs to")
	case r.ids[c.ID] != 0:
		r.refuse(p, "id", fmt.Sprintf("is already the id of the camera on line %d", r.ids[c.ID]))
	default:
		r.ids[c.ID] = p.values["id"].line
		r.file.Cameras = append(r.file.Cameras, c)
		r.passwords(p)
		for _, key := range []string{"url", "url2", "url3"} {
			if e := p.values[key]; strings.Contains(e.text, "@") {
				r.withoutUser(e, key)
			}
		}
	}
}

// withoutUser takes credentials out of a URL that Normalize has taken.
func (r *reader) withoutUser(e expression, key string) {
	u, err := url.Parse(strings.TrimSpace(e.text))
	if err != nil || u.User == nil {
		return
	}
	u.User = nil
	r.redact = append(r.redact, replacement{e.start, e.end, key + " = " + strconv.Quote(u.String())})
}

// switchesOf are a camera's options by the names they have in the file.
func switchesOf(o *settings.StreamOptions) map[string]*bool {
	return map[string]*bool{
		"drop_audio": &o.DropAudio, "drop_framerate": &o.DropFramerate, "drop_framesize": &o.DropFramesize,
		"npt_now": &o.NptNow, "extra_crlf": &o.ExtraCRLF,
	}
}

const bandwidth = "bandwidth_kbps"

// parseOptions reads options with spaces or commas between.
func parseOptions(text string) (o settings.StreamOptions, reason string) {
	for _, word := range words(text) {
		name, value, valued := strings.Cut(word, "=")
		if on, ok := switchesOf(&o)[name]; ok && !valued {
			*on = true
			continue
		}
		n, err := strconv.Atoi(value)
		if name != bandwidth || err != nil || n < 0 || n > 1_000_000 {
			return o, "there are drop_audio, drop_framerate, drop_framesize, npt_now, extra_crlf and bandwidth_kbps=NUMBER (0 to 1000000)"
		}
		o.BandwidthKbps = n
	}
	return o, ""
}

// FormatOptions writes options as Parse reads them.
func FormatOptions(o settings.StreamOptions) string {
	var out []string
	for name, on := range switchesOf(&o) {
		if *on {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	if o.BandwidthKbps != 0 {
		out = append(out, bandwidth+"="+strconv.Itoa(o.BandwidthKbps))
	}
	return strings.Join(out, " ")
}

// words splits a list with spaces, commas or semicolons between.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' || c == ';' })
}
