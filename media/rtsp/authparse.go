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
	// The rest comes with Digest only. uri keeps its spaces.
	realm, nonce, uri, response string
}

// parseAuthorization reads Basic and MD5 Digest credentials. Errors do not repeat the header.
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
	fields := map[string]*string{
		"username": &c.user, "realm": &c.realm, "nonce": &c.nonce, "uri": &c.uri, "response": &c.response,
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
		if name == "algorithm" && !strings.EqualFold(value, "MD5") {
			return credentials{}, fmt.Errorf("%w: algorithm is not MD5", errCredentials)
		}
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
	if len(seen) != len(fields) {
		return credentials{}, fmt.Errorf("%w: parameter missing", errCredentials)
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
