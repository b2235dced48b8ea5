package playerapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxBody bounds what a call without a file may send, in bytes.
	maxBody = 64 << 10
	// maxHostname is that of a name in the DNS (RFC 1035 section 2.3.4).
	maxHostname = 253
	maxMessage  = 2000 // characters
	maxWord     = 200  // characters of a status, a name, a version
)

// word is a text that players may also send as a number or a truth value.
type word string

// UnmarshalJSON takes a string, a number, true, false or null.
func (s *word) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		*s = ""
	case len(b) > 0 && b[0] == '"':
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*s = word(text)
	case len(b) > 0 && (b[0] == '{' || b[0] == '['):
		return errors.New("want a text")
	default:
		*s = word(b)
	}
	return nil
}

// short is the text without control characters, at most that many characters long.
func (s word) short(most int) string {
	text := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(s), "\uFFFD")))
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}

// fields are what calls send in their bodies; each uses some. Fields that we do not know are left alone: players in the
// field send more than the contract names.
type fields struct {
	Hostname   word `json:"hostname"`
	Password   word `json:"password"`
	Code       word `json:"quickconnect_code"`
	AuthCode   word `json:"auth_code"`
	Status     word `json:"status"`
	Message    word `json:"message"`
	Timestamp  word `json:"timestamp"`
	ID         word `json:"id"`
	Item       word `json:"item"`
	Version    word `json:"version"`
	Name       word `json:"name"`
	Agent      word `json:"agent"`
	DeviceCode word `json:"device_code"`
}

// read returns what the request sends: JSON, or a form. An empty body is an empty object.
func read(w http.ResponseWriter, r *http.Request) (fields, error) {
	var f fields
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return f, unreadable(err)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && err != nil {
		return f, unsupported()
	}
	switch {
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return f, bad("the form cannot be read; send names and values percent-encoded, or JSON")
		}
		return fieldsOf(form), nil
	case kind == "" || kind == "text/plain" || kind == "application/json" || strings.HasSuffix(kind, "+json"):
		if len(bytes.TrimSpace(body)) == 0 {
			return f, nil
		}
		if err := json.Unmarshal(body, &f); err != nil {
			return f, bad("the body is not the JSON object that this call takes; check quotes, commas and that the values are texts")
		}
		return f, nil
	}
	return f, unsupported()
}

// fieldsOf reads a form or a query.
func fieldsOf(v url.Values) fields {
	return fields{
		Hostname: word(v.Get("hostname")), Password: word(v.Get("password")), Code: word(v.Get("quickconnect_code")),
		AuthCode: word(v.Get("auth_code")), Status: word(v.Get("status")), Message: word(v.Get("message")),
		Timestamp: word(v.Get("timestamp")), ID: word(v.Get("id")), Item: word(v.Get("item")), Version: word(v.Get("version")),
		Name: word(v.Get("name")), Agent: word(v.Get("agent")), DeviceCode: word(v.Get("device_code")),
	}
}

func unreadable(err error) error {
	if m := (*http.MaxBytesError)(nil); errors.As(err, &m) {
		return &problem{status: http.StatusRequestEntityTooLarge, text: "the request is too large for this call"}
	}
	return bad("the request did not arrive whole; send it again")
}

func unsupported() error {
	return &problem{status: http.StatusUnsupportedMediaType, text: "send this call's fields as application/json or application/x-www-form-urlencoded"}
}

// hostname is the name that a player gives itself, empty when it cannot be one.
func (f fields) hostname() string {
	h := strings.TrimSpace(string(f.Hostname))
	if len(h) > maxHostname || !utf8.ValidString(h) || strings.ContainsFunc(h, unicode.IsControl) {
		return ""
	}
	return h
}

// bearer is the token of the Authorization header (RFC 6750 section 2.1), empty without one.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
