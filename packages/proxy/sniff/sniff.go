// Package sniff tells from a connection's first bytes what it speaks. It only looks: pure functions over bytes.
package sniff

import (
	"encoding/binary"
	"slices"
)

// Kind is what a connection speaks.
type Kind uint8

// The kinds.
const (
	// More means that the bytes so far do not tell.
	More Kind = iota
	// Garbage is nothing we serve.
	Garbage
	// STUN is ICE over TCP: STUN messages framed as in RFC 4571.
	STUN
	// ACME is a TLS-ALPN-01 validation (RFC 8737).
	ACME
	// TLS is any other TLS.
	TLS
	// HTTP is HTTP/1.x.
	HTTP
	// RTSP is RTSP 1.0 or 2.0.
	RTSP
)

// String names the kind in lowercase.
func (k Kind) String() string {
	return [...]string{"more", "garbage", "stun", "acme", "tls", "http", "rtsp"}[k]
}

// Hello is what a ClientHello says of the client's wishes.
type Hello struct {
	// ServerName is the SNI, without it empty.
	ServerName string
	// Protocols are the ALPN names, in the client's order.
	Protocols []string
}

// MaxBytes is the most that Classify looks at: a ClientHello that is longer is refused.
const MaxBytes = 16 << 10

// Classify tells what a connection that starts with b speaks. The Hello is filled for TLS and ACME. More bytes never
// change an answer other than More, which is not given for MaxBytes or more.
func Classify(b []byte) (Kind, Hello) {
	if len(b) == 0 {
		return More, Hello{}
	}
	b = b[:min(len(b), MaxBytes)]
	var k Kind
	var h Hello
	switch c := b[0]; {
	case c == recordHandshake:
		k, h = clientHello(b)
	case c < maxSTUN>>8:
		k = stun(b)
	case 'A' <= c && c <= 'Z':
		k = FirstLine(b)
	default:
		k = Garbage
	}
	if k == TLS && slices.Contains(h.Protocols, alpnACME) {
		k = ACME
	}
	if k == More && len(b) == MaxBytes {
		k = Garbage
	}
	return k, h
}

const (
	// maxSTUN bounds a first STUN message, in bytes; a connectivity check has about 100. A multiple of 256 below 0x1600,
	// so that the first byte alone tells a STUN message's length from TLS.
	maxSTUN = 2048
	// stunHeader is a STUN message without attributes (RFC 8489 section 5).
	stunHeader = 20
	// magicCookie stands at the same place in every STUN message (RFC 8489 section 5).
	magicCookie = 0x2112A442
)

// stun judges a two-byte length (RFC 4571 section 2) and the STUN header behind it (RFC 8489 section 5), as far as there.
// It is More until the whole message has come, so that whoever is given the connection need not wait.
func stun(b []byte) Kind {
	var head [10]byte
	n := copy(head[:], b)
	frame := int(binary.BigEndian.Uint16(head[:]))
	cookie := binary.BigEndian.AppendUint32(nil, magicCookie)
	switch {
	case n >= 2 && frame < stunHeader,
		// A STUN message's first two bits are zero, its length a multiple of four.
		n >= 3 && head[2]&0xC0 != 0,
		n >= 6 && int(binary.BigEndian.Uint16(head[4:])) != frame-stunHeader,
		n >= 6 && head[5]&3 != 0,
		n > 6 && !slices.Equal(head[6:n], cookie[:n-6]):
		return Garbage
	case n < len(head), len(b) < 2+frame:
		return More
	}
	return STUN
}
