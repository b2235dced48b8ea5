package imports

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// jsonEntry is a member of a JSON object, or of an object in it.
type jsonEntry struct {
	// path is its name, behind that of the object it is in: server.url.
	path string
	line int
	// text is the value of a text, number or switch; single is false for anything else.
	text   string
	single bool
}

// jsonEntries lists the members of a JSON object and of those in it, in their order. Where it cannot be read, bad is the
// line.
func jsonEntries(content []byte) (list []jsonEntry, bad int) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	r := jsonReader{d: d, content: content}
	t, err := d.Token()
	if err == nil && t == json.Delim('{') {
		err = r.object("", 0)
	}
	if err == nil {
		if _, err = d.Token(); err == io.EOF { //nolint:errorlint // it is never wrapped (encoding/json, Decoder.Token)
			return r.list, 0
		}
	}
	return r.list, r.line()
}

type jsonReader struct {
	d       *json.Decoder
	content []byte
	list    []jsonEntry
}

// line is that of what was read last.
func (r *jsonReader) line() int {
	return 1 + bytes.Count(r.content[:min(int(r.d.InputOffset()), len(r.content))], []byte("\n"))
}

// object reads the rest of an object.
func (r *jsonReader) object(prefix string, depth int) error {
	for r.d.More() {
		t, err := r.d.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return io.ErrUnexpectedEOF
		}
		e := jsonEntry{path: prefix + key, line: r.line()}
		if t, err = r.d.Token(); err != nil {
			return err
		}
		switch v := t.(type) {
		case json.Delim:
			if v == '{' && depth == 0 {
				if err := r.object(e.path+".", 1); err != nil {
					return err
				}
				continue
			}
			if err := r.skip(); err != nil {
				return err
			}
		case string:
			e.text, e.single = v, true
		case json.Number:
			e.text, e.single = v.String(), true
		case bool:
			e.text, e.single = map[bool]string{true: "true", false: "false"}[v], true
		}
		r.list = append(r.list, e)
	}
	_, err := r.d.Token()
	return err
}

// skip reads to the end of the list or object that has begun.
func (r *jsonReader) skip() error {
	for depth := 1; depth > 0; {
		t, err := r.d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// isJSON recognizes an object; YAML has them with names that need no quotes, too.
func isJSON(content []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte("{"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return ok && len(rest) > 0 && (rest[0] == '"' || rest[0] == '}')
}

// isPEM recognizes a file with a certificate.
func isPEM(content []byte) bool { return bytes.Contains(content, []byte("-----BEGIN ")) }

// withoutMark takes a byte order mark away.
func withoutMark(content []byte) []byte { return bytes.TrimPrefix(content, []byte("\ufeff")) }

// CertificatePath returns the file that a signage player's app_config.json names as certificate_path, or nothing. Its
// content goes to Read as one more File.
func CertificatePath(content []byte) string {
	if len(content) > MaxSize || !isJSON(withoutMark(content)) {
		return ""
	}
	list, _ := jsonEntries(withoutMark(content))
	for _, e := range list {
		if e.path == "server.certificate_path" && e.single {
			return strings.TrimSpace(e.text)
		}
	}
	return ""
}
