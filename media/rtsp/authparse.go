package rtsp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	maxAuthBytes  = 2048
	maxAuthParams = 32
)

var errCredentials = errors.New("credentials are malformed")

// credentials is a parsed Authorization header (RFC 2617 sections 2 and 3.2.2).
type credentials struct {
	basic bool
	user  string
	// password comes with Basic only.
	password string
	// The rest comes with Digest only. uri keeps its spaces; qop, nc and cnonce are empty in RFC 2069's form.
	realm, nonce, uri, response string
	qop, nc, cnonce             string
	// sha256 says that the hash is SHA-256, otherwise it is MD5.
	sha256 bool
}

// parseAuthorization reads Basic credentials and those of Digest with MD5 or SHA-256 (RFC 7616 section 3.4). Errors do
// not repeat the header.
func parseAuthorization(s string) (credentials, error) {
	if len(s) > maxAuthBytes {
		return credentials{}, fmt.Errorf("%w: longer than %d bytes", errCredentials, maxAuthBytes)
	}
	scheme, rest, _ := strings.Cut(strings.TrimLeft(s, " \t"), " ")
	switch strings.ToLower(scheme) {
	case "basic":
		return parseBasic(rest)
	case "digest":
		return parseDigest(rest)
	}
	return credentials{}, fmt.Errorf("%w: neither Basic nor Digest", errCredentials)
}

func parseBasic(s string) (credentials, error) {
	s = strings.TrimRight(strings.Trim(s, " \t"), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return credentials{}, fmt.Errorf("%w: not base64", errCredentials)
	}
	user, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return credentials{}, fmt.Errorf("%w: no colon", errCredentials)
	}
	return credentials{basic: true, user: user, password: password}, nil
}

func parseDigest(s string) (credentials, error) {
	var c credentials
	var algorithm string
	fields := map[string]*string{
		"username": &c.user, "realm": &c.realm, "nonce": &c.nonce, "uri": &c.uri, "response": &c.response,
		"qop": &c.qop, "nc": &c.nc, "cnonce": &c.cnonce, "algorithm": &algorithm,
	}
	seen := make(map[string]bool, len(fields))
	for n := 0; ; n++ {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			break
		}
		if n == maxAuthParams {
			return credentials{}, fmt.Errorf("%w: more than %d parameters", errCredentials, maxAuthParams)
		}
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return credentials{}, fmt.Errorf("%w: parameter without value", errCredentials)
		}
		value, tail, ok := authValue(strings.TrimLeft(rest, " \t"))
		if !ok {
			return credentials{}, fmt.Errorf("%w: quote not closed", errCredentials)
		}
		s = tail
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		field, known := fields[name]
		if !known {
			continue
		}
		if seen[name] {
			return credentials{}, fmt.Errorf("%w: parameter %s twice", errCredentials, name)
		}
		seen[name] = true
		*field = value
	}
	return c.complete(algorithm, seen)
}

// complete checks that all is there which the algorithm and the quality of protection need.
func (c credentials) complete(algorithm string, seen map[string]bool) (credentials, error) {
	needed := []string{"username", "realm", "nonce", "uri", "response"}
	switch {
	case strings.EqualFold(c.qop, "auth"):
		needed = append(needed, "nc", "cnonce")
	case seen["qop"]:
		return credentials{}, fmt.Errorf("%w: qop is not auth", errCredentials)
	default:
		c.nc, c.cnonce = "", ""
	}
	for _, name := range needed {
		if !seen[name] {
			return credentials{}, fmt.Errorf("%w: parameter missing", errCredentials)
		}
	}
	switch {
	case algorithm == "" && !seen["algorithm"], strings.EqualFold(algorithm, "MD5"):
	case strings.EqualFold(algorithm, "SHA-256"):
		c.sha256 = true
	default:
		return credentials{}, fmt.Errorf("%w: algorithm is neither MD5 nor SHA-256", errCredentials)
	}
	return c, nil
}

// authValue reads a token or a quoted-string (RFC 2616 section 2.2) from the front of s.
func authValue(s string) (value, tail string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		return strings.TrimRight(s[:end], " \t"), s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
