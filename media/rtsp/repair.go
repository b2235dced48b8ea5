package rtsp

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/pion/sdp/v3"
)

const (
	// maxDescription is how many bytes of a camera's description are looked at; real ones have one to four thousand.
	maxDescription = 64 << 10
	// maxSections bounds the tracks of a description that has to be repaired.
	maxSections = 32
)

// plainID is a name of a track that gortsplib takes.
var plainID = regexp.MustCompile(`^[0-9A-Za-z]+$`)

// mender repairs one description and notes what it did, in sentences for the camera's owner.
type mender struct{ notes []string }

func (m *mender) note(s string) {
	if !slices.Contains(m.notes, s) {
		m.notes = append(m.notes, s)
	}
}

// repairSDP returns a description (RFC 4566) that gortsplib understands and sentences on what had to be changed. One
// that it understands already comes back as it is, and so does one that is beyond repair.
func repairSDP(body []byte) (repaired []byte, repairs []string) {
	before, ok := parseDescription(body)
	if ok && sound(before) {
		return body, nil
	}
	m := &mender{}
	session, sections := m.split(m.lines(body))
	out := m.session(session)
	for i, s := range sections {
		if md := m.track(i+1, s); md != nil {
			out.MediaDescriptions = append(out.MediaDescriptions, md)
		}
	}
	m.ids(out)
	text, err := out.Marshal()
	if err != nil {
		return body, nil
	}
	after, fine := parseDescription(text)
	switch {
	case !fine, ok && soundFormats(after) <= soundFormats(before):
		return body, nil
	case len(m.notes) == 0:
		m.note("The description's lines were repeated or in the wrong order.")
	}
	return text, m.notes
}

// parseDescription reads a description as gortsplib's client does.
func parseDescription(body []byte) (*description.Session, bool) {
	s, err := sdpunmarshaler.Unmarshal(body)
	if err != nil {
		return nil, false
	}
	if c, ok := s.Attribute("control"); ok && !goodBase(c) {
		return nil, false
	}
	var d description.Session
	if err := d.Unmarshal2(s); err != nil {
		return nil, false
	}
	return &d, true
}

// goodBase reports whether a session's control attribute is one that tracks' addresses can be made from.
func goodBase(control string) bool {
	if control == "*" {
		return true
	}
	_, err := base.ParseURL(control)
	return err == nil
}

// sound reports whether a description means what it seems to.
func sound(d *description.Session) bool {
	n := 0
	for _, m := range d.Medias {
		n += len(m.Formats)
	}
	return soundFormats(d) == n
}

// soundFormats counts the formats that are none of those that a slip of the pen makes unknown.
func soundFormats(d *description.Session) int {
	n := 0
	for _, m := range d.Medias {
		for _, f := range m.Formats {
			g, generic := f.(*format.Generic)
			switch name, _, _ := strings.Cut(f.RTPMap(), "/"); {
			case !generic:
				n++
			case m.Type != description.MediaTypeVideo && m.Type != description.MediaTypeAudio:
				n++
			case g.ClockRat > 0 && knownCodecs[strings.ToUpper(strings.TrimSpace(name))] == (codecName{}):
				n++
			}
		}
	}
	return n
}

// sdpLine is "key=value".
type sdpLine struct {
	key   byte
	value string
}

// lines takes a description apart. What is no line of one is left out.
func (m *mender) lines(body []byte) []sdpLine {
	if len(body) > maxDescription {
		body = body[:maxDescription]
		m.note("The description was far too long and was cut.")
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	var out []sdpLine
	for line := range strings.FieldsFuncSeq(string(body), func(r rune) bool { return r < ' ' && r != '\t' }) {
		if !utf8.ValidString(line) {
			line = strings.ToValidUTF8(line, "")
			m.note("Bytes in the description that are no text were left out.")
		}
		key, value, found := strings.Cut(line, "=")
		trimmed := strings.ToLower(strings.TrimSpace(key))
		if !found || len(trimmed) != 1 || trimmed[0] < 'a' || trimmed[0] > 'z' {
			if strings.TrimSpace(line) != "" {
				m.note("Something in the description that is no line of one was left out.")
			}
			continue
		}
		if len(key) != 1 || strings.HasPrefix(value, " ") && trimmed != "s" {
			m.note("Spaces around “=” in the description were removed.")
		}
		if bytes.IndexByte(body, 0) >= 0 {
			m.note("Bytes in the description that are no text were left out.")
		}
		out = append(out, sdpLine{trimmed[0], strings.TrimSpace(value)})
	}
	return out
}

// split divides the lines into those of the session and those of each track.
func (m *mender) split(lines []sdpLine) (session []sdpLine, sections [][]sdpLine) {
	for _, l := range lines {
		switch {
		case l.key == 'm' && len(sections) == maxSections:
			m.note("The description has far too many tracks; the last ones were left out.")
			return session, sections
		case l.key == 'm':
			sections = append(sections, []sdpLine{l})
		case len(sections) > 0:
			sections[len(sections)-1] = append(sections[len(sections)-1], l)
		default:
			session = append(session, l)
		}
	}
	return session, sections
}

// readable reports whether gortsplib takes a line by itself.
func readable(l sdpLine) bool {
	_, err := sdpunmarshaler.Unmarshal([]byte("v=0\n" + string(l.key) + "=" + l.value + "\n"))
	return err == nil
}

// session makes the part in front of the tracks. Readers are told nothing of it but range and bandwidth.
func (m *mender) session(lines []sdpLine) *sdp.SessionDescription {
	out := &sdp.SessionDescription{
		Origin:           sdp.Origin{Username: "-", NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0"},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	missing := map[byte]string{'v': "version", 'o': "origin", 's': "name", 't': "time"}
	for _, l := range lines {
		delete(missing, l.key)
		switch l.key {
		case 'a':
			if a, ok := m.attribute(l.value); ok && (a.Key != "control" || goodBase(a.Value)) {
				out.Attributes = append(out.Attributes, a)
			} else {
				m.note("The session's control address was no address and was left out.")
			}
		case 'b':
			if b, ok := m.bandwidth(l); ok {
				out.Bandwidth = append(out.Bandwidth, b)
			}
		case 'v':
			if l.value != "0" {
				m.note("The version line (v=) was wrong and was replaced.")
			}
		case 'r', 'z':
			// Only readable behind a t= line; they mean nothing for a camera.
		default:
			if !readable(l) {
				m.note("The line " + string(l.key) + "= of the session was malformed and was replaced.")
			}
		}
	}
	for _, key := range []byte{'v', 'o', 's', 't'} {
		if name := missing[key]; name != "" {
			m.note("The " + name + " line (" + string(key) + "=) was missing and was added.")
		}
	}
	out.Attributes = slices.DeleteFunc(out.Attributes, func(a sdp.Attribute) bool { return a.Key == "group" || a.Key == "key-mgmt" })
	return out
}

// attribute takes "name:value" apart; names are in lowercase (RFC 4566 section 5.13).
func (m *mender) attribute(value string) (sdp.Attribute, bool) {
	name, rest, _ := strings.Cut(value, ":")
	clean := strings.TrimSpace(name)
	if lower := strings.ToLower(clean); lower != clean && (lower == "rtpmap" || lower == "fmtp" || lower == "control") {
		clean = lower
		m.note("The attribute a=" + lower + " was in capital letters, which was put right.")
	}
	return sdp.Attribute{Key: clean, Value: strings.TrimSpace(rest)}, clean != ""
}

// bandwidth reads "AS:512", also where there is more than the number behind it.
func (m *mender) bandwidth(l sdpLine) (sdp.Bandwidth, bool) {
	kind, rest, _ := strings.Cut(l.value, ":")
	kind = strings.ToUpper(strings.TrimSpace(kind))
	rest = strings.TrimSpace(rest)
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseUint(rest[:digits], 10, 32)
	if err != nil || !slices.Contains([]string{"AS", "CT", "TIAS", "RS", "RR"}, kind) {
		m.note("A malformed bandwidth line (b=) was left out.")
		return sdp.Bandwidth{}, false
	}
	if !readable(l) {
		m.note("A malformed bandwidth line (b=) was put right.")
	}
	return sdp.Bandwidth{Type: kind, Bandwidth: n}, true
}

// ids takes tracks' names away where they are not names or not unique: gortsplib wants all or none.
func (m *mender) ids(out *sdp.SessionDescription) {
	seen := map[string]bool{}
	bad := false
	for _, md := range out.MediaDescriptions {
		id, ok := md.Attribute("mid")
		bad = bad || ok && (!plainID.MatchString(id) || seen[id])
		seen[id] = true
	}
	if seen[""] && len(seen) == 1 || !bad && !seen[""] {
		return
	}
	m.note("The tracks' names (a=mid) were malformed, repeated or incomplete and were left out.")
	for _, md := range out.MediaDescriptions {
		md.Attributes = slices.DeleteFunc(md.Attributes, func(a sdp.Attribute) bool { return a.Key == "mid" })
	}
}
