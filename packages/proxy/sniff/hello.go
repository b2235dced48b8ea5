package sniff

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

const (
	// recordHandshake is the content type of a TLS record that holds handshake messages (RFC 8446 section 5.1).
	recordHandshake = 0x16
	recordHeader    = 5
	// alpnACME is the ALPN name of a TLS-ALPN-01 validation (RFC 8737 section 6.2).
	alpnACME = "acme-tls/1"
)

var errSeen = errors.New("hello seen")

// clientHello judges bytes that start like a TLS handshake record. crypto/tls reads the ClientHello, so that we and the
// handshake that follows never disagree about it.
func clientHello(b []byte) (Kind, Hello) {
	if len(b) >= 2 && b[1] != 3 {
		return Garbage, Hello{}
	}
	if len(b) < recordHeader {
		return More, Hello{}
	}
	// Only whole records are worth a parser's work: a client that sends byte by byte costs little.
	switch end := recordHeader + int(binary.BigEndian.Uint16(b[3:])); {
	case end > MaxBytes:
		return Garbage, Hello{}
	case end > len(b):
		return More, Hello{}
	}
	var hello *Hello
	server := tls.Server(recorded{r: bytes.NewReader(b)}, &tls.Config{
		GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = &Hello{ServerName: i.ServerName, Protocols: i.SupportedProtos}
			return nil, errSeen
		},
	})
	err := server.Handshake()
	switch {
	case hello != nil:
		return TLS, *hello
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return More, Hello{}
	}
	return Garbage, Hello{}
}

// recorded is a connection whose peer has said what it will ever say. A handshake uses no other methods.
type recorded struct {
	net.Conn
	r *bytes.Reader
}

func (c recorded) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c recorded) Write(p []byte) (int, error) { return len(p), nil }
