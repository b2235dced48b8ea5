// Package acme gets certificates for public names from an ACME server (RFC 8555) and renews them in time.
package acme

import (
	_ "github.com/caddyserver/certmagic"
	_ "github.com/libdns/acmedns"
	_ "github.com/libdns/cloudflare"
	_ "github.com/libdns/desec"
	_ "github.com/libdns/rfc2136"
	_ "github.com/mholt/acmez/v3"
)
