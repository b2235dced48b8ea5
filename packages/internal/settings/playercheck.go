package settings

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// The bounds of PlayerSettings, and what zero stands for. Times are in seconds.
const (
	MaxTimeout           = 300
	DefaultTimeout       = 10
	MaxRetryAttempts     = 100
	DefaultRetryAttempts = 3
	MaxRetryDelay        = 3600
	DefaultRetryDelay    = 5
	maxPlayerWord        = 200
)

// Orientations are all values of PlayerSettings.Orientation, the usual one first.
func Orientations() []string {
	return []string{"landscape", "portrait", "landscape-flipped", "portrait-flipped"}
}

// Check reports the first thing that is wrong with the settings. The error is a *FieldError.
func (s PlayerSettings) Check() error {
	if _, wrong := s.Normalize(); len(wrong) > 0 {
		return wrong[0]
	}
	return nil
}

// Normalize returns s checked and completed, and everything that is wrong with it: an element that is wrong stays as it
// was. The fields have the names that they have in JSON. No reason repeats what was given.
func (s PlayerSettings) Normalize() (PlayerSettings, []*FieldError) {
	var wrong []*FieldError
	refuse := func(field, reason string) {
		if reason != "" {
			wrong = append(wrong, &FieldError{field, reason})
		}
	}
	text := func(field string, to *string, check func(string) (string, string)) {
		if *to == "" {
			return
		}
		v, reason := check(strings.TrimSpace(*to))
		if reason == "" {
			*to = v
		}
		refuse(field, reason)
	}
	number := func(field string, n, most int) {
		if n < 0 || n > most {
			refuse(field, fmt.Sprintf("use 1 to %d", most))
		}
	}
	refuse("show", oneOf(s.Show, ShowStatus, ShowPicture, ShowCamera, ShowProgram))
	if s.Picture != "" && !fileName(s.Picture) {
		refuse("picture", "use the name of a file, without a folder, at most 200 bytes")
	}
	if s.Camera != "" {
		refuse("camera", checkCameraID(s.Camera))
	}
	text("server", &s.Server, serverAddress)
	text("hostname", &s.Hostname, playerWord)
	text("quickconnect_code", &s.QuickConnectCode, playerWord)
	if s.Orientation != "" {
		refuse("orientation", oneOf(s.Orientation, Orientations()...))
	}
	number("timeout", s.Timeout, MaxTimeout)
	number("retry_attempts", s.RetryAttempts, MaxRetryAttempts)
	number("retry_delay", s.RetryDelay, MaxRetryDelay)
	text("pin", &s.Pin, checkPin)
	refuse("trust", oneOf(s.Trust, TrustFirst, TrustPublic, TrustPinned))
	if s.Trust == TrustPinned && s.Pin == "" {
		refuse("trust", "needs a pin: the fingerprint of the server's certificate or key, or its certificate")
	}
	if s.Mode != "" {
		m, ok := ParseMode(s.Mode)
		if ok {
			s.Mode = m.String()
		} else {
			refuse("mode", `is no mode; write it like "1920x1080@60" or "1920x1080"`)
		}
	}
	hours, reason := checkHours(s.Hours)
	s.Hours = hours
	refuse("hours", reason)
	refuse("off", oneOf(s.Off, OffSignal, OffBlack))
	return s, wrong
}

// oneOf says that v has to be one of list, or nothing if it is, or empty.
func oneOf[T ~string](v T, list ...T) (reason string) {
	if v == "" || slices.Contains(list, v) {
		return ""
	}
	var b strings.Builder
	for i, w := range list {
		switch {
		case i > 0 && i == len(list)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", string(w))
	}
	return "must be " + b.String()
}

func fileName(name string) bool {
	return len(name) <= 200 && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, `/\`) && !strings.ContainsFunc(name, unicode.IsControl)
}

func playerWord(v string) (word, reason string) {
	if v == "" || len(v) > maxPlayerWord || strings.ContainsFunc(v, unicode.IsControl) {
		return "", fmt.Sprintf("use 1 to %d bytes, without line breaks", maxPlayerWord)
	}
	return v, ""
}

// serverAddress returns the origin (RFC 6454 section 4) of a signage server.
func serverAddress(v string) (origin, reason string) {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || len(v) > maxPlayerWord:
		return "", `is not an address; write it like "https://signage.example.com"`
	case u.User != nil:
		return "", "must not hold a user or password"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", `must end after the server's name or port, like "https://signage.example.com:8443"`
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), ""
}
