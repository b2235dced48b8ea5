package provision

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"

	"porthole/packages/internal/settings"
)

// setters returns what takes each setting outside cameras: it stores a value, or says why not.
func setters() map[string]func(f *File, v string) (reason string) {
	all := playerSetters()
	maps.Copy(all, deviceSetters())
	maps.Copy(all, acmeSetters())
	return all
}

// deviceSetters are those that are not of the screen.
func deviceSetters() map[string]func(f *File, v string) (reason string) {
	return map[string]func(*File, string) string{
		"hostname": func(f *File, v string) string {
			if err := settings.CheckHostname(v); err != nil {
				return strings.TrimPrefix(err.Error(), "hostname: ")
			}
			f.Hostname = v
			return ""
		},
		"admin.password": func(f *File, v string) string {
			if len(v) < MinPassword || len(v) > MaxPassword {
				return fmt.Sprintf("use at least %d and at most %d characters", MinPassword, MaxPassword)
			}
			f.AdminPassword = v
			return ""
		},
		"certificate.password": func(f *File, v string) string {
			if v == "" || len(v) > MaxPassword {
				return fmt.Sprintf("must be the one that the certificate's file was saved with, at most %d characters; leave the line out if it has none", MaxPassword)
			}
			f.CertificatePassword = v
			return ""
		},
		"access.public_name": func(f *File, v string) string {
			v = strings.ToLower(strings.TrimSpace(v))
			if reason := CheckName(v); reason != "" {
				return reason
			}
			f.Access.PublicName = v
			return ""
		},
		"access.only_own_network": func(f *File, v string) string {
			on := v == "true"
			f.Access.OnlyOwnNetwork = &on
			return ""
		},
		"access.allowed": func(f *File, v string) string {
			list, reason := checkAllowed(v)
			if reason == "" {
				f.Access.Allowed = list
			}
			return reason
		},
		"access.trusted_proxies": func(f *File, v string) string {
			// Its own sentences repeat what was typed.
			list, reason := settings.CheckTrustedProxies(words(v))
			if reason != "" {
				return fmt.Sprintf("must be at most %d addresses and networks with spaces between, like \"192.168.1.5 10.0.5.0/24\"; the whole internet is not among them", settings.MaxTrustedProxies)
			}
			f.Access.TrustedProxies = list
			return ""
		},
		"live.public_address": func(f *File, v string) string {
			l, reason := liveValue(settings.Live{PublicAddress: v}, v)
			f.Live.PublicAddress = cmp.Or(l.PublicAddress, f.Live.PublicAddress)
			return reason
		},
		"live.stun": func(f *File, v string) string {
			l, reason := liveValue(settings.Live{STUN: v}, v)
			f.Live.STUN = cmp.Or(l.STUN, f.Live.STUN)
			return reason
		},
		"live.turn": func(f *File, v string) string {
			l, reason := liveValue(settings.Live{TURN: settings.TURN{URLs: words(v), Secret: "x"}}, v)
			f.Live.TURN = l.TURN.URLs
			return reason
		},
		"live.turn_secret": func(f *File, v string) string {
			l, reason := liveValue(settings.Live{TURN: settings.TURN{Secret: v}}, v)
			f.Live.TURNSecret = cmp.Or(l.TURN.Secret, f.Live.TURNSecret)
			return reason
		},
		"live.per_camera":  func(f *File, v string) string { return places(&f.Live.PerCamera, v) },
		"live.total":       func(f *File, v string) string { return places(&f.Live.Total, v) },
		"live.max_minutes": func(f *File, v string) string { return minutes(&f.Live.MaxMinutes, v) },
	}
}

// dnsName is a name with at least one dot (RFC 1123 section 2.1).
var dnsName = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckName says what is wrong with a DNS name, in lower case, or nothing.
func CheckName(v string) (reason string) {
	if len(v) > 253 || !dnsName.MatchString(v) {
		return `is no DNS name; write it like "cams.example.org", without https:// and without a port`
	}
	return ""
}

// maxAllowed bounds the allow list.
const maxAllowed = 100

// checkAllowed reads addresses, networks and names with spaces or commas between.
func checkAllowed(v string) (list []string, reason string) {
	for _, w := range words(strings.ToLower(v)) {
		_, errA := netip.ParseAddr(w)
		_, errP := netip.ParsePrefix(w)
		if errA != nil && errP != nil && CheckName(w) != "" {
			return nil, "must be addresses, networks and DNS names with spaces between, like \"203.0.113.7 198.51.100.0/24 friend.example.org\""
		}
		list = append(list, w)
	}
	if len(list) > maxAllowed {
		return nil, fmt.Sprintf("may have %d entries; write networks like 198.51.100.0/24", maxAllowed)
	}
	return list, ""
}

// checkValue refuses what is not of the kind its key has.
func checkValue(e expression, key string) string {
	switch key {
	case "always_on", "only_own_network", "own", "plain_http", "log", "staging", "rsa", "agree_to_terms":
		if e.value != unstable.Bool {
			return "must be true or false, without quotes"
		}
	case "per_camera", "total", "max_minutes", "timeout", "retry_attempts", "retry_delay":
		if e.value != unstable.Integer {
			return "must be a whole number, without quotes"
		}
	case "pin", "root":
		// A certificate has several lines.
		if e.value != unstable.String {
			return `must be a text in quotes, like "…"`
		}
	default:
		return checkText(e)
	}
	return ""
}

// checkText refuses what is not a text or could not be typed into a form.
func checkText(e expression) string {
	switch {
	case e.value != unstable.String:
		return `must be a text in quotes, like "…"`
	case strings.ContainsFunc(e.text, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "holds a line break, tab or other control character; in \"…\" a \\ begins one: write '…' instead"
	}
	return ""
}

// unknownKey says what might have been meant.
func unknownKey(section, key string) string {
	known := keys(section)
	switch {
	case slices.Contains(known, strings.ToLower(key)):
		return "write it in lowercase"
	case section == top && slices.Contains(append(singles(), camera, account, "cameras", "accounts", "players"), key):
		return "write it as a section: a line " + strings.Replace(sections, " and ", " or ", 1) + ", with its settings on the lines below"
	case section != top && slices.Contains(keys(top), key):
		return "move this line above the first [section]"
	case section == top && slices.Contains(keys(admin), key):
		return "write it below a line [admin]"
	}
	where := "above the first [section] there is "
	if section != top {
		where = "here there are "
	}
	return "unknown setting; " + where + strings.Join(known, ", ")
}

// unreadable reports a line that is no TOML. The parser's own words repeat pieces of the line, which may be a secret.
func (r *reader) unreadable(e expression) {
	line := bytes.Trim(e.raw, blank)
	if line[0] == '[' {
		r.finish()
		r.section = nowhere
		r.problem(e.line, "", "this section's first line cannot be read; write "+strings.Replace(sections, " and ", " or ", 1)+"; the lines below it are left out")
		return
	}
	if r.section == nowhere {
		return
	}
	full := ""
	key, value, assigned := bytes.Cut(line, []byte("="))
	name := strings.ToLower(strings.TrimSpace(string(key)))
	if slices.Contains(keys(r.section), name) {
		full = name
		if r.section != top {
			full = called(r.section) + "." + name
		}
	}
	reason := syntax(line, bytes.Trim(value, blank), assigned)
	if r.block != nil && full != "" && name != "name" {
		r.block.broken = true
		reason += leftOut(r.section)
	}
	r.problem(e.line, full, reason)
}

func syntax(line, value []byte, assigned bool) string {
	switch {
	case !utf8.Valid(line):
		return "is not UTF-8; in the editor choose \"Save as\" and the encoding UTF-8"
	case bytes.ContainsAny(line, "“”„‘’«»"):
		return `holds typographic quotes; use the plain " of a text editor`
	case !assigned:
		return `cannot be read; write a setting as: name = "value"`
	case len(value) == 0:
		return `has no value; write a setting as: name = "value"`
	case value[0] != '"' && value[0] != '\'':
		return `the value needs quotes: name = "value"`
	case value[0] == '"':
		return "cannot be read: the closing \" may be missing, or a \" or \\ stands inside; between '…' they are allowed"
	}
	return "cannot be read: the closing ' may be missing, or text follows it"
}
