package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"porthole/packages/internal/settings"
)

// maxAllowed bounds the allow list and the open networks, in entries.
const maxAllowed = 100

// dnsName is a name with at least one dot (RFC 1123 section 2.1).
var dnsName = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// proxySettings is what the household says of the way in from outside.
type proxySettings struct {
	PublicName                           string
	Access                               settings.Access
	PlainHTTP, TestSocket, SignalingPort bool
	// DefaultAuth is what the form for a new camera begins with.
	DefaultAuth settings.ReaderAuth
}

// switches are the on-off settings by key.
func (p *proxySettings) switches() map[string]*bool {
	return map[string]*bool{
		"plain_http": &p.PlainHTTP, "test_socket": &p.TestSocket, "signaling_port": &p.SignalingPort, "access_restricted": &p.Access.Restricted,
	}
}

// lists are the settings that hold several values, by key.
func (p *proxySettings) lists() map[string]*[]string {
	return map[string]*[]string{
		"access_allowed": &p.Access.Allowed, "access_open": &p.Access.Open, "access_trusted_proxies": &p.Access.TrustedProxies,
	}
}

func readProxySettings(ctx context.Context, q querier) (proxySettings, error) {
	var p proxySettings
	var err error
	if p.PublicName, err = setting(ctx, q, "public_name"); err != nil {
		return p, err
	}
	auth, err := setting(ctx, q, "default_auth")
	if err != nil {
		return p, err
	}
	if p.DefaultAuth = settings.ReaderAuth(auth); auth == "" {
		p.DefaultAuth = settings.AnyAuth
	}
	for key, to := range p.switches() {
		v, err := setting(ctx, q, key)
		if err != nil {
			return p, err
		}
		*to = v == "1"
	}
	for key, to := range p.lists() {
		v, err := setting(ctx, q, key)
		if err != nil {
			return p, err
		}
		if v == "" {
			continue
		}
		if err := json.Unmarshal([]byte(v), to); err != nil {
			return p, fmt.Errorf("decode setting %s: %w", key, err)
		}
	}
	return p, nil
}

func putProxySettings(ctx context.Context, tx *sql.Tx, p proxySettings) error {
	values := map[string]string{"public_name": p.PublicName, "default_auth": string(p.DefaultAuth)}
	for key, from := range p.switches() {
		values[key] = "0"
		if *from {
			values[key] = "1"
		}
	}
	for key, from := range p.lists() {
		b, err := json.Marshal(*from)
		if err != nil {
			return fmt.Errorf("encode setting %s: %w", key, err)
		}
		values[key] = string(b)
	}
	for key, v := range values {
		if err := setSetting(ctx, tx, key, v); err != nil {
			return err
		}
	}
	return nil
}

// cleanName takes what people paste for a name: https://cam.example.org/ is cam.example.org.
func cleanName(typed string) string {
	name := strings.ToLower(strings.TrimSpace(typed))
	for _, scheme := range []string{"https://", "http://", "rtsps://", "rtsp://"} {
		name = strings.TrimPrefix(name, scheme)
	}
	name, _, _ = strings.Cut(name, "/")
	return strings.TrimSuffix(name, ".")
}

// checkPublicName says what is wrong with the name from outside, or nothing.
func checkPublicName(name string) (reason string) {
	if name == "" {
		return ""
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "give a name, not an address: a certificate that Amazon accepts is made out to a name"
	}
	if strings.Contains(name, ":") {
		return "give the name alone, without a port: from outside it is always port 443"
	}
	if len(name) > 253 || !dnsName.MatchString(name) {
		return "this is no DNS name; it looks like home.example.org, in letters a to z, digits and hyphens (write others as xn--…)"
	}
	return ""
}

// fields splits a list that somebody typed, one entry a line or with commas between.
func fields(typed string) []string {
	return strings.FieldsFunc(typed, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}

// networkOf normalizes an address or a network (CIDR); false when s is neither.
func networkOf(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// checkAllowed normalizes the allow list.
func checkAllowed(typed []string) (list []string, reason string) {
	if len(typed) > maxAllowed {
		return typed, fmt.Sprintf("use at most %d entries; a network like 203.0.113.0/24 stands for many addresses", maxAllowed)
	}
	for _, s := range typed {
		p, isNetwork := networkOf(s)
		switch name := cleanName(s); {
		case isNetwork && p.IsSingleIP():
			list = append(list, p.Addr().String())
		case isNetwork:
			list = append(list, p.String())
		case dnsName.MatchString(name):
			list = append(list, name)
		default:
			return typed, fmt.Sprintf("%q is no address (203.0.113.7), network (203.0.113.0/24) or name (friend.example.org)", s)
		}
	}
	return list, ""
}

// checkOpen normalizes the networks that need no account.
func checkOpen(typed []string) (list []string, reason string) {
	if len(typed) > maxAllowed {
		return typed, fmt.Sprintf("use at most %d networks", maxAllowed)
	}
	for _, s := range typed {
		p, ok := networkOf(s)
		if !ok {
			return typed, fmt.Sprintf("%q is no network; write it like 192.168.1.0/24 or fd00:1234::/64", s)
		}
		if p.Bits() == 0 {
			return typed, s + " is the whole internet: everybody could watch. Name your own networks"
		}
		list = append(list, p.String())
	}
	return list, ""
}
