package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The sections. Keys above the first section header are in top.
const (
	top     = ""
	admin   = "admin"
	player  = "player"
	access  = "access"
	live    = "live"
	cert    = "certificate"
	acme    = "acme"
	camera  = "camera"   // there may be several
	account = "account"  // the same
	screens = "player[]" // the same: [[player]]; its keys are called player.KEY
	nowhere = "\x00"     // below a header that was refused: its keys are passed over
)

// reader collects what a file says.
type reader struct {
	file     File
	problems []Problem
	section  string
	seen     map[string]int  // line of each setting and section outside cameras
	block    *pending        // the [[camera]], [[account]] or [[player]] whose lines are being read
	ids      map[string]int  // line of each camera's id, account's user and player's hostname, by section and name
	secrets  map[string]bool // settings outside cameras that Redact takes out
	redact   []replacement
}

// replacement is what Redact puts in the place of a taken secret.
type replacement struct {
	start, end int
	text       string
}

// pending is a section of which there may be several, and whose lines are being read.
type pending struct {
	section string // camera, account or screens
	line    int
	values  map[string]expression
	again   []expression // further lines with a secret
	broken  bool
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
	r.finish()
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
	r.finish()
	name := strings.Join(e.key, ".")
	r.section = nowhere
	single := slices.Contains(singles(), name)
	several := name == camera || name == account
	switch array := e.kind == unstable.ArrayTable; {
	case name == player && r.mixed(e, array):
	case several && array || name == player && array:
		if name == player {
			name = screens
		}
		r.section = name
		r.block = &pending{section: name, line: e.line, values: map[string]expression{}}
	case several:
		r.problem(e.line, name, fmt.Sprintf("write [[%s]] with two brackets, as there may be several; this one is left out", name))
	case single && array:
		r.problem(e.line, name, fmt.Sprintf("write [%s] with one bracket, as there is only one; its lines are left out", name))
	case single:
		if first, ok := r.seen["["+name+"]"]; ok {
			r.problem(e.line, name, fmt.Sprintf("this section is already on line %d; these lines are left out", first))
			return
		}
		r.seen["["+name+"]"] = e.line
		r.section = name
	default:
		r.problem(e.line, name, "unknown section; there are "+sections)
	}
}

// singles are the sections of which there is one.
func singles() []string { return []string{admin, player, access, live, cert, acme} }

// sections lists the sections for people.
const sections = "[admin], [player], [[player]], [access], [live], [certificate], [acme], [[camera]] and [[account]]"

// mixed refuses what TOML cannot hold: a table and an array of tables of one name (TOML 1.0, array of tables).
func (r *reader) mixed(e expression, array bool) bool {
	const single, several = "[" + player + "]", "[[" + player + "]]"
	switch first := r.seen[several]; {
	case array && r.seen[single] != 0:
		r.problem(e.line, player, fmt.Sprintf("a file has either [player] or [[player]]: write what stands on line %d and below as a [[player]] with own = true; this player is left out", r.seen[single]))
	case array:
		r.seen[several] = e.line
		return false
	case first != 0:
		r.problem(e.line, player, "a file has either [player] or [[player]]: write [[player]] and below it own = true; these lines are left out")
	default:
		return false
	}
	return true
}

// keyValue takes one setting.
func (r *reader) keyValue(e expression) {
	section, key := r.section, strings.Join(e.key, ".")
	if section == nowhere {
		return
	}
	if section == top && len(e.key) == 2 && slices.Contains(singles(), e.key[0]) {
		section, key = e.key[0], e.key[1]
		if section == player && r.seen["[player]"] == 0 {
			r.seen["[player]"] = e.line
		}
	}
	full := key
	if section != top {
		full = called(section) + "." + key
	}
	if !slices.Contains(keys(section), key) {
		r.problem(e.line, full, unknownKey(section, key))
		return
	}
	if section == camera || section == account || section == screens {
		r.blockValue(e, key)
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
	if reason := checkValue(e, key); reason != "" {
		r.problem(e.line, full, reason)
		return
	}
	set := setters()[full]
	if reason := set(&r.file, e.text+e.number); reason != "" {
		r.problem(e.line, full, reason)
		return
	}
	if secret(full) {
		r.secrets[full] = true
		r.redact = append(r.redact, taken(e, full))
	}
}

// called is what a section is called in words and in its keys.
func called(section string) string {
	if section == screens {
		return player
	}
	return section
}

// keys lists what may stand in a section.
func keys(section string) []string {
	switch section {
	case camera:
		return []string{"id", "name", "url", "url2", "url3", "user", "password", "transport", "auth", "always_on", "options"}
	case account:
		return []string{"user", "password"}
	case screens:
		return screenKeys()
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

func taken(e expression, key string) replacement {
	return replacement{e.start, e.end, "# " + key + ": taken over"}
}
