package certstore

import (
	"bytes"
	"crypto/tls"
	"time"
)

// Informed is a connection that is told which certificate its client gets, before the handshake ends; for a resumed session,
// which it got.
type Informed interface {
	Serves(c Certificate, serverName string)
}

// Config returns a server configuration: TLS 1.2 and 1.3, AEAD ciphers only, the given ALPN protocols. A session is resumed only
// while the certificates are those that it began with.
func (s *Store) Config(alpn ...string) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Asked for resumed sessions, too, where GetCertificate is not.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			s.pick(hello)
			return nil, nil
		},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.pick(hello).tls, nil },
		NextProtos:     alpn,
		// TLS 1.2 without CBC and without RSA key exchange (RFC 9325 section 4.2); TLS 1.3's are fixed.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
	cfg.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = [][]byte{s.mark()}
		return cfg.EncryptTicket(state, session)
	}
	cfg.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := cfg.DecryptTicket(ticket, state)
		if err != nil || session == nil || len(session.Extra) != 1 || !bytes.Equal(session.Extra[0], s.mark()) {
			return nil, err
		}
		return session, nil
	}
	return cfg
}

func (s *Store) mark() []byte {
	mark := s.set.Load().mark
	return mark[:]
}

// pick chooses the pair for a client and tells the connection.
func (s *Store) pick(hello *tls.ClientHelloInfo) *pair {
	p := s.set.Load().choose(hello, time.Now())
	if c, ok := hello.Conn.(Informed); ok {
		c.Serves(p.Certificate, hello.ServerName)
	}
	return p
}
