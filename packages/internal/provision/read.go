package provision

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"porthole/packages/internal/settings"
)

// The sections. Keys above the first section header are in top.
const (
	top     = ""
	admin   = "admin"
	player  = "player"
	camera  = "camera"
	nowhere = "\x00" // below a header that was refused: its keys are passed over
)

// reader collects what a file says.
type reader struct {
	file     File
	problems []Problem
	section  string
	seen     map[string]int // line of each setting and section outside cameras
	cam      *pendingCamera
	ids      map[string]int  // line of each camera's id
	secrets  map[string]bool // settings outside cameras that Redact takes out
	redact   []replacement
}

// replacement is what Redact puts in the place of a taken secret.
type replacement struct {
	start, end int
	text       string
}

// pendingCamera is a [[camera]] whose lines are being read.
type pendingCamera struct {
	line   int
	values map[string]expression
	again  []expression // further lines with a password
	broken bool
}

func read(b []byte) *reader {
	r := &reader{seen: map[string]int{}, ids: map[string]int{}, secrets: map[string]bool{}}
	text := decode(b)
	head := bound(text)
	for e := range scan(head) {
		switch e.kind {
		case unstable.Table, unstable.ArrayTable:
			r.header(e)
		case unstable.KeyValue:
			r.keyValue(e)
		default:
			r.unreadable(e)
		}
	}
	r.finishCamera()
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if len(r.problems) > maxProblems {
		r.problems = append(r.problems[:maxProblems-1:maxProblems-1], Problem{
			Line: r.problems[maxProblems-1].Line, Reason: "more problems from here on; is this a porthole.toml?",
		})
	}
	if len(head) < len(text) {
		r.problem(1+strings.Count(string(head), "\n"), "", fmt.Sprintf("the file is longer than %d KiB; this line and everything below it is left out", MaxSize>>10))
	}
	return r
}

func (r *reader) problem(line int, key, reason string) {
	r.problems = append(r.problems, Problem{line, printable(key), reason})
}

// printable bounds a key and makes it fit for a terminal.
func printable(key string) string {
	if len(key) > 60 {
		key = strings.ToValidUTF8(key[:60], "") + "…"
	}
	if q := strconv.Quote(key); q != `"`+key+`"` {
		return q
	}
	return key
}

// header enters a section.
func (r *reader) header(e expression) {
	r.finishCamera()
	name := strings.Join(e.key, ".")
	r.section = nowhere
	switch array := e.kind == unstable.ArrayTable; {
	case name == camera && array:
		r.section = camera
		r.cam = &pendingCamera{line: e.line, values: map[string]expression{}}
	case name == camera:
		r.problem(e.line, name, "write [[camera]] with two brackets, as there may be several; this one is left out")
	case (name == admin || name == player) && array:
		r.problem(e.line, name, fmt.Sprintf("write [%s] with one bracket, as there is only one; its lines are left out", name))
	case name == admin || name == player:
		if first, ok := r.seen["["+name+"]"]; ok {
			r.problem(e.line, name, fmt.Sprintf("this section is already on line %d; these lines are left out", first))
			return
		}
		r.seen["["+name+"]"] = e.line
		r.section = name
	default:
		r.problem(e.line, name, "unknown section; there are [admin], [player] and [[camera]]")
	}
}

// keyValue takes one setting.
func (r *reader) keyValue(e expression) {
	section, key := r.section, strings.Join(e.key, ".")
	if section == nowhere {
		return
	}
	if section == top && len(e.key) == 2 && (e.key[0] == admin || e.key[0] == player) {
		section, key = e.key[0], e.key[1]
	}
	full := key
	if section != top {
		full = section + "." + key
	}
	if !slices.Contains(keys(section), key) {
		r.problem(e.line, full, unknownKey(section, key))
		return
	}
	if section == camera {
		r.cameraValue(e, key)
		return
	}
	if first, ok := r.seen[full]; ok {
		r.problem(e.line, full, fmt.Sprintf("is already set on line %d; this line is left out", first))
		if r.secrets[full] {
			r.redact = append(r.redact, taken(e, full)) // else it would count once the first line is gone
		}
		return
	}
	r.seen[full] = e.line
	if reason := checkText(e); reason != "" {
		r.problem(e.line, full, reason)
		return
	}
	set := setters()[full]
	if reason := set(&r.file, e.text); reason != "" {
		r.problem(e.line, full, reason)
		return
	}
	if full == "admin.password" || full == "player.quickconnect_code" {
		r.secrets[full] = true
		r.redact = append(r.redact, taken(e, full))
	}
}

// keys lists what may stand in a section.
func keys(section string) []string {
	if section == camera {
		return []string{"id", "name", "url", "user", "password", "transport"}
	}
	var out []string
	for full := range maps.Keys(setters()) {
		s, key, dotted := strings.Cut(full, ".")
		if !dotted {
			s, key = top, full
		}
		if s == section {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (r *reader) cameraValue(e expression, key string) {
	full := camera + "." + key
	if first, ok := r.cam.values[key]; ok {
		r.problem(e.line, full, fmt.Sprintf("is already set on line %d; this line is left out", first.line))
		if key == "password" {
			r.cam.again = append(r.cam.again, e)
		}
		return
	}
	if reason := checkText(e); reason != "" {
		if key != "name" {
			r.cam.broken = true
			reason += "; the camera is left out"
		}
		r.problem(e.line, full, reason)
	}
	r.cam.values[key] = e
}

// finishCamera takes the camera whose lines end here.
func (r *reader) finishCamera() {
	p := r.cam
	r.cam = nil
	if p == nil || p.broken {
		return
	}
	v := func(key string) string { return p.values[key].text }
	refuse := func(key, reason string) {
		line := p.line
		if e, ok := p.values[key]; ok {
			line = e.line
		}
		r.problem(line, camera+"."+key, reason+"; the camera is left out")
	}
	for _, key := range []string{"id", "url"} {
		if _, ok := p.values[key]; !ok {
			refuse(key, "is missing")
			return
		}
	}
	c, err := settings.Camera{
		ID: v("id"), Name: v("name"), URL: v("url"), User: v("user"), Password: v("password"), Transport: settings.Transport(v("transport")),
	}.Normalize()
	var wrong *settings.FieldError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "url" && strings.HasPrefix(wrong.Reason, "not a URL"):
		// The reason goes on with a piece of the URL, which may be one of the password.
		refuse("url", `is not an address; write it like "rtsp://192.168.1.20/stream1", with user and password on lines of their own`)
	case errors.As(err, &wrong):
		refuse(wrong.Field, wrong.Reason)
	case err != nil:
		refuse("id", err.Error())
	case c.User == "" && c.Password != "":
		refuse("password", "needs a line with the user it belongs to")
	case r.ids[c.ID] != 0:
		refuse("id", fmt.Sprintf("is already the id of the camera on line %d", r.ids[c.ID]))
	default:
		r.ids[c.ID] = p.values["id"].line
		r.file.Cameras = append(r.file.Cameras, c)
		if e, ok := p.values["password"]; ok {
			for _, e := range append(p.again, e) {
				r.redact = append(r.redact, taken(e, "password"))
			}
		}
		if e := p.values["url"]; strings.TrimSpace(e.text) != c.URL && strings.Contains(e.text, "@") {
			r.redact = append(r.redact, replacement{e.start, e.end, "url = " + strconv.Quote(c.URL)})
		}
	}
}

func taken(e expression, key string) replacement {
	return replacement{e.start, e.end, "# " + key + ": taken over"}
}
