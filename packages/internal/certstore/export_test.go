package certstore

import (
	"crypto/tls"
	"time"
)

// Parse is parse.
func Parse(chain, key []byte) (Certificate, error) {
	p, err := parse(chain, key)
	if err != nil {
		return Certificate{}, err
	}
	return p.Certificate, nil
}

// Choose is set.choose of what is served now.
func (s *Store) Choose(hello *tls.ClientHelloInfo) Certificate {
	return s.set.Load().choose(hello, time.Now()).Certificate
}
