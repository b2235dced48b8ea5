// Package imports reads what the owner of an AlexaCamProxy4P3 has: the plugin's section in SmartHomeNG's plugin.yaml and
// the Alexa4P3 attributes of items (document 003); the DASHBOARD_SSL settings of the camera platform (document 000); and the
// app_config.json of a signage player (documents 002 and 004). It says of every line what became of it, and makes a porthole.toml of the rest.
package imports

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// Bounds on what is read.
const (
	// MaxSize is of a file, in bytes.
	MaxSize = 1 << 20
	// MaxFiles is of one import.
	MaxFiles = 50
	// maxDepth is how deep items may lie in each other.
	maxDepth = 50
	// maxNotes ends the report of a file that is something else.
	maxNotes = 2000
)

// File is a file to import.
type File struct {
	// Name is for the report.
	Name    string
	Content []byte
}

// Outcome is what became of a line.
type Outcome string

// The outcomes.
const (
	// Taken: it is so here, too.
	Taken Outcome = "taken over"
	// Changed: it is taken over in another form, which Text explains.
	Changed Outcome = "changed"
	// Ignored: it is of no use here; nothing is missing without it.
	Ignored Outcome = "not needed"
	// Refused: it cannot be taken over, and something is missing without it.
	Refused Outcome = "refused"
)

// Note is what became of a line.
type Note struct {
	File string
	// Line counts from 1; 0: the file as a whole.
	Line int
	// Key is the setting, after its item's or plugin's name.
	Key     string
	Outcome Outcome
	// Text says why, or what of it; it holds no passwords.
	Text string
}

func (n Note) String() string {
	var b strings.Builder
	b.WriteString(n.File)
	if n.Line > 0 {
		fmt.Fprintf(&b, ":%d", n.Line)
	}
	b.WriteString(": ")
	if n.Key != "" {
		b.WriteString(n.Key + ": ")
	}
	b.WriteString(string(n.Outcome))
	if n.Text != "" {
		b.WriteString(": " + n.Text)
	}
	return b.String()
}

// Result is what an import brings.
type Result struct {
	// Provision is what was taken over.
	Provision provision.File
	// Notes are in the order of files and lines.
	Notes []Note
}

// Refused counts the lines that could not be taken over.
func (r Result) Refused() int {
	n := 0
	for _, note := range r.Notes {
		if note.Outcome == Refused {
			n++
		}
	}
	return n
}

// Empty reports whether nothing was found to take over.
func (r Result) Empty() bool {
	p := r.Provision
	return len(p.Cameras) == 0 && len(p.Accounts) == 0 && p.Access.PublicName == "" && p.Access.OnlyOwnNetwork == nil && p.Player.Empty()
}

// Report writes the notes for a person, a line each, and a summary.
func (r Result) Report(w io.Writer) error {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	p := r.Provision
	if p.Player.Server != "" {
		fmt.Fprintf(&b, "the screen follows %s\n", p.Player.Server)
	}
	fmt.Fprintf(&b, "%d cameras and %d RTSP accounts taken over, %d lines refused\n", len(p.Cameras), len(p.Accounts), r.Refused())
	_, err := io.WriteString(w, b.String())
	return err
}

// reader collects what files say.
type reader struct {
	result Result
	file   string
	// auth is what the plugin's section asks of readers; it holds for every camera, wherever it stands.
	auth  settings.ReaderAuth
	other int // items and sections of the file at hand that are none of ours
	full  bool
	// pem is the certificate among the files, pemFile where it is from; pemUsed that another file named it.
	pem, pemFile string
	pemUsed      bool
}

// Read reads the files. What cannot be read is in the notes.
func Read(files ...File) Result {
	r := &reader{}
	r.certificates(files)
	for i, f := range files {
		r.file, r.other = shown(f.Name), 0
		content := withoutMark(f.Content)
		switch {
		case i >= MaxFiles:
			r.note(0, "", Refused, fmt.Sprintf("at most %d files are read at once; import the others on their own", MaxFiles))
			return r.finish()
		case len(f.Content) > MaxSize:
			r.note(0, "", Refused, fmt.Sprintf("the file has more than %d KiB; import the items of the cameras on their own", MaxSize>>10))
		case !utf8.Valid(f.Content):
			r.note(0, "", Refused, "the file is no text in UTF-8")
		case isJSON(content):
			r.json(content)
		case isPEM(content):
			r.certificate(content)
		case isEnvironment(content):
			r.environment(content)
		default:
			r.yaml(content)
		}
	}
	if r.pem != "" && !r.pemUsed {
		r.file = r.pemFile
		r.note(0, "", Ignored, "no player's settings name a certificate; import its app_config.json with it")
	}
	return r.finish()
}

func (r *reader) note(line int, key string, o Outcome, text string) {
	if len(r.result.Notes) >= maxNotes {
		if !r.full {
			r.full = true
			r.result.Notes = append(r.result.Notes, Note{File: r.file, Outcome: Refused, Text: "there is more to say than this report holds"})
		}
		return
	}
	r.result.Notes = append(r.result.Notes, Note{File: r.file, Line: line, Key: shown(key), Outcome: o, Text: text})
}

// finish gives every camera the plugin's authentication and sees to it that all fits into a porthole.toml.
func (r *reader) finish() Result {
	p := &r.result.Provision
	if r.auth != "" {
		for i := range p.Cameras {
			p.Cameras[i].Auth = r.auth
		}
	}
	left := 0
	for len(p.Cameras) > 0 && len(r.result.TOML()) > provision.MaxSize {
		p.Cameras = p.Cameras[:len(p.Cameras)-1]
		left++
	}
	if left > 0 {
		r.note(0, "", Refused, fmt.Sprintf("the last %d cameras do not fit into one porthole.toml; import them on their own", left))
	}
	return r.result
}

// shown makes a name from a file fit for a terminal.
func shown(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// plain reports whether a value can stand in a porthole.toml.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// account takes credentials for reading cameras, "user:password".
func (r *reader) account(line int, key, text string) {
	user, password, ok := credentials(text)
	if !ok {
		r.note(line, key, Refused, "this is not user:password")
		return
	}
	if field, reason := provision.CheckAccount(user, password); field != "" {
		r.note(line, key, Refused, "the "+field+" cannot be used here: "+reason+". Make an account in the console instead")
		return
	}
	p := &r.result.Provision
	i := slices.IndexFunc(p.Accounts, func(a provision.Account) bool { return a.User == user })
	switch {
	case i >= 0 && p.Accounts[i].Password != password:
		r.note(line, key, Refused, "the account "+user+" has another password elsewhere; that one was taken over")
		return
	case i >= 0:
	default:
		p.Accounts = append(p.Accounts, provision.Account{User: user, Password: password})
	}
	text = "as RTSP account " + user
	if strings.Contains(strings.ToLower(user+password), "proxy") {
		text += "; VLC stumbles over the word proxy in a name or password, so choose another"
	}
	r.note(line, key, Taken, text)
}

// publicName takes the name under which the device is reached.
func (r *reader) publicName(line int, key, text string) {
	name := strings.ToLower(strings.TrimSpace(text))
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	name, _, _ = strings.Cut(name, "/")
	host, port, ported := strings.Cut(name, ":")
	host = strings.TrimSuffix(host, ".")
	access := &r.result.Provision.Access
	switch reason := provision.CheckName(host); {
	case reason != "":
		r.note(line, key, Refused, reason)
	case access.PublicName != "" && access.PublicName != host:
		r.note(line, key, Refused, "the device has one public name, and that is "+access.PublicName)
	case ported && port != "443":
		access.PublicName = host
		r.note(line, key, Changed, "the public name is "+host+"; the port is 443 here, which Amazon requires")
	default:
		access.PublicName = host
		r.note(line, key, Taken, "the public name is "+host)
	}
}
