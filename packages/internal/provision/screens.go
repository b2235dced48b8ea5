package provision

import (
	"fmt"
	"strings"
)

// The bounds of what a [[player]] may hold, in bytes. The codes in the field have six characters and more.
const minCode, maxCode, maxWord = 6, 200, 100

// ownOnly are the settings of [player] that say what this device's own screen shows, or connect it to another server.
func ownOnly() []string {
	return []string{"show", "picture", "camera", "server", "timeout", "retry_attempts", "retry_delay", "trust", "pin", "mode", "hours", "off", "log"}
}

// ofOwn are all settings of [player].
func ofOwn() []string { return append(ownOnly(), "hostname", "quickconnect_code", "orientation") }

func screenKeys() []string {
	return append([]string{"own", "hostname", "quickconnect_code", "name", "group", "playlist", "orientation", "plain_http"}, ownOnly()...)
}

// finishScreen takes a [[player]]: one that this device's server is to know, or with own = true the device's own screen.
func (r *reader) finishScreen(p *pending) {
	given := func(key string) (string, bool) {
		e, ok := p.values[key]
		return strings.TrimSpace(e.text), ok
	}
	s := Screen{Own: p.values["own"].text == "true"}
	for key, to := range map[string]*string{"name": &s.Name, "group": &s.Group, "playlist": &s.Playlist} {
		v, ok := given(key)
		if key == "name" && (v == "" || checkText(p.values[key]) != "") {
			continue // it was named already, and costs no more than the name
		}
		if ok && (v == "" || len(v) > maxWord) {
			r.refuse(p, key, fmt.Sprintf("use 1 to %d bytes", maxWord))
			return
		}
		*to = v
	}
	if v, ok := given("orientation"); ok {
		if reason := setOrientation(&s.Orientation, v); reason != "" {
			r.refuse(p, "orientation", reason)
			return
		}
	}
	if e, ok := p.values["plain_http"]; ok {
		on := e.text == "true"
		s.PlainHTTP = &on
	}
	if s.Own {
		r.finishOwn(p, s)
		return
	}
	r.finishOther(p, s)
}

// finishOwn takes the device's own screen: what [player] says, and its place in this device's server.
func (r *reader) finishOwn(p *pending, s Screen) {
	id := screens + " own"
	if first := r.ids[id]; first != 0 {
		r.refuse(p, "own", fmt.Sprintf("this device has one screen, which is on line %d", first))
		return
	}
	if s.PlainHTTP != nil {
		r.refuse(p, "plain_http", "is for other players; the own screen needs no network to reach its server")
		return
	}
	var f File
	for _, key := range ofOwn() {
		e, ok := p.values[key]
		if !ok {
			continue
		}
		v := e.text + e.number
		if key == "orientation" {
			v = s.Orientation
		}
		if reason := setters()[player+"."+key](&f, v); reason != "" {
			r.refuse(p, key, reason)
			return
		}
	}
	r.ids[id] = p.line
	r.file.Player = f.Player
	r.file.Screens = append(r.file.Screens, s)
	r.passwords(p)
}

func (r *reader) finishOther(p *pending, s Screen) {
	for _, key := range ownOnly() {
		if _, ok := p.values[key]; ok {
			r.refuse(p, key, "is for this device's own screen, which has a line own = true")
			return
		}
	}
	s.Hostname = strings.TrimSpace(p.values["hostname"].text)
	s.QuickConnectCode = strings.TrimSpace(p.values["quickconnect_code"].text)
	_, coded := p.values["quickconnect_code"]
	id := screens + " " + s.Hostname
	switch {
	case s.Hostname == "":
		r.refuse(p, "hostname", "is missing")
	case len(s.Hostname) > maxWord:
		r.refuse(p, "hostname", fmt.Sprintf("use at most %d bytes", maxWord))
	case coded && (len(s.QuickConnectCode) < minCode || len(s.QuickConnectCode) > maxCode):
		r.refuse(p, "quickconnect_code", fmt.Sprintf("use %d to %d characters", minCode, maxCode))
	case r.ids[id] != 0:
		r.refuse(p, "hostname", fmt.Sprintf("is already the hostname of the player on line %d", r.ids[id]))
	default:
		r.ids[id] = p.values["hostname"].line
		r.file.Screens = append(r.file.Screens, s)
		r.passwords(p)
	}
}
