package imports

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

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
		key, value := string(m[1]), strings.Trim(string(m[2]), `"'`)
		switch key {
		case "DASHBOARD_SSL_ENABLED":
			r.note(number, key, Ignored, "HTTPS and secure WebSockets are always on here")
		case "DASHBOARD_SSL_CERT_FILE":
			// Certbot names the folder after the certificate's first name.
			name := path.Base(path.Dir(value))
			if provision.CheckName(name) == "" && r.result.Provision.Access.PublicName == "" {
				r.publicName(number, key, name)
			} else {
				r.note(number, key, Ignored, "the device gets its own certificate")
			}
		case "DASHBOARD_SSL_KEY_FILE":
			r.note(number, key, Ignored, "private keys are not imported: the device makes its own")
		default:
			r.other++
			continue
		}
		ours = true
	}
	if !ours {
		r.note(0, "", Ignored, "there are no DASHBOARD_SSL settings in it")
	} else if r.other > 0 {
		r.note(0, "", Ignored, fmt.Sprintf("%d other settings have nothing to do with this", r.other))
	}
}
