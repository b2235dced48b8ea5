package imports

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"porthole/packages/internal/provision"
)

var assignment = regexp.MustCompile(`^(?:export )?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// isEnvironment recognizes a file of NAME=value lines, as the camera platform's .env.
func isEnvironment(content []byte) bool {
	found := false
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if !assignment.Match(line) {
			return false
		}
		found = true
	}
	return found
}

// environment reads the settings of document 000.
func (r *reader) environment(content []byte) {
	number, ours := 0, false
	for line := range bytes.Lines(content) {
		number++
		m := assignment.FindSubmatch(bytes.TrimSpace(line))
		if m == nil {
			continue
		}
		if r.variable(number, string(m[1]), strings.Trim(string(m[2]), `"'`)) {
			ours = true
		} else {
			r.other++
		}
	}
	if !ours {
		r.note(0, "", Ignored, "there are no DASHBOARD_SSL settings in it")
	} else if r.other > 0 {
		r.note(0, "", Ignored, fmt.Sprintf("%d other settings have nothing to do with this", r.other))
	}
}

// variable reads a setting of the camera platform; false when it is none. The names with TLS are those of the project it
// came from (document 000, "Comparison with Reference Implementation").
func (r *reader) variable(line int, key, value string) bool {
	switch key {
	case "DASHBOARD_SSL_ENABLED", "TLS_ENABLED":
		if on, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(value))); err == nil && !on {
			r.note(line, key, Changed, "it is off there; here HTTPS and secure WebSockets are always on, and nothing is sent without TLS")
			break
		}
		r.note(line, key, Ignored, "HTTPS and secure WebSockets are always on here")
	case "DASHBOARD_SSL_CERT_FILE", "TLS_CERT_PATH":
		// Certbot names the folder after the certificate's first name.
		name := strings.ToLower(path.Base(path.Dir(value)))
		switch have := r.result.Provision.Access.PublicName; {
		case provision.CheckName(name) == "" && (have == "" || have == name):
			r.publicName(line, key, name)
		default:
			r.note(line, key, Ignored, "the device makes its own certificate")
		}
	case "DASHBOARD_SSL_KEY_FILE", "TLS_KEY_PATH":
		text := "a private key cannot be handed over, neither here nor in a porthole.toml: the device makes its own, and its page Certificate says how browsers come to trust it"
		if value != "" {
			text += ". Nobody else needs to read " + shown(value) + " for it any more: take those rights back (chmod 600)"
		}
		r.note(line, key, Refused, text)
	default:
		return false
	}
	return true
}

// compose reads the environment of a service in a docker-compose.yml: a mapping, or a list of NAME=value. It reports
// whether there was a setting of ours.
func (r *reader) compose(e entry, path string) bool {
	ours := false
	switch e.value.Kind {
	case yaml.MappingNode:
		for _, v := range r.entries(e.value, join(path, e.key)) {
			if v.value.Kind == yaml.ScalarNode && r.variable(v.line, v.key, v.value.Value) {
				ours = true
			}
		}
	case yaml.SequenceNode:
		for _, n := range e.value.Content {
			if m := assignment.FindStringSubmatch(n.Value); m != nil && n.Kind == yaml.ScalarNode && r.variable(n.Line, m[1], m[2]) {
				ours = true
			}
		}
	}
	return ours
}
