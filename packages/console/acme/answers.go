package acme

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
)

// handshakeWithin bounds a validation connection.
const handshakeWithin = 10 * time.Second

// Answers are what servers that look at our names get to see. They are kept in memory only: an order that goes on after a
// restart sets them again.
type Answers struct {
	mu     sync.Mutex
	tokens map[string]string           // token to key authorization; guarded by mu
	certs  map[string]*tls.Certificate // by the server name asked for; guarded by mu
}

// NewAnswers returns none.
func NewAnswers() *Answers {
	return &Answers{tokens: map[string]string{}, certs: map[string]*tls.Certificate{}}
}

// HTTP01 returns what to answer to GET /.well-known/acme-challenge/TOKEN (RFC 8555 section 8.3).
func (a *Answers) HTTP01(token string) (keyAuthorization string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	keyAuthorization, ok = a.tokens[token]
	return keyAuthorization, ok
}

// ServeTLS answers one connection whose ClientHello asks for acme-tls/1 (RFC 8737 section 3), and closes it.
func (a *Answers) ServeTLS(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	tc := tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol}, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			if cert, ok := a.certs[strings.ToLower(hello.ServerName)]; ok {
				return cert, nil
			}
			return nil, fmt.Errorf("nobody proves %q now", hello.ServerName)
		},
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("answer validation: %w", err)
	}
	return tc.Close()
}

// present shows the answer to a challenge of TLS-ALPN-01 or HTTP-01 until hide is called.
func (a *Answers) present(ch acme.Challenge) (hide func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch ch.Type {
	case acme.ChallengeTypeHTTP01:
		a.tokens[ch.Token] = ch.KeyAuthorization
		return func() { a.drop(func() { delete(a.tokens, ch.Token) }) }, nil
	case acme.ChallengeTypeTLSALPN01:
		name, err := serverName(ch.Identifier)
		if err != nil {
			return nil, err
		}
		cert, err := acmez.TLSALPN01ChallengeCert(ch)
		if err != nil {
			return nil, fmt.Errorf("make certificate for validation: %w", err)
		}
		a.certs[name] = cert
		return func() { a.drop(func() { delete(a.certs, name) }) }, nil
	}
	return nil, fmt.Errorf("no answer to %s is known", ch.Type)
}

func (a *Answers) drop(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// serverName is what a server asks for that looks at the identifier: an address is asked for by its reverse name (RFC 8738
// section 6).
func serverName(id acme.Identifier) (string, error) {
	if id.Type != "ip" {
		return strings.ToLower(id.Value), nil
	}
	name, err := dns.ReverseAddr(id.Value)
	if err != nil {
		return "", fmt.Errorf("understand address %q: %w", id.Value, err)
	}
	return strings.TrimSuffix(name, "."), nil
}
