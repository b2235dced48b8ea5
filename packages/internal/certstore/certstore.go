// Package certstore holds the TLS certificate a process serves and reloads it when system publishes a new one, without
// dropping a connection.
package certstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// ErrKeyExposed means that others than owner and group can read the private key.
var ErrKeyExposed = errors.New("private key is readable by everybody")

// Store serves the pair in one folder: privkey.pem and fullchain.pem.
type Store struct {
	log  *slog.Logger
	dir  string
	cert atomic.Pointer[tls.Certificate]
}

// Open returns a store over dir (for example /perm/tls/device). It waits until ctx ends for the first usable pair.
func Open(ctx context.Context, log *slog.Logger, dir string) (*Store, error) {
	s := &Store{log: log, dir: dir}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for told, tries := false, 0; ; tries++ {
		err := s.load()
		if err == nil {
			return s, nil
		}
		// For a moment at the first start, the folder is there and not yet its readers' (system sets its group).
		if !told && tries >= 5 && !errors.Is(err, os.ErrNotExist) {
			log.Warn("certificate is not usable yet", "err", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a certificate in %s: %w", dir, err)
		case <-tick.C:
		}
	}
}

func (s *Store) load() error {
	key := filepath.Join(s.dir, "privkey.pem")
	st, err := os.Stat(key)
	if err != nil {
		return fmt.Errorf("find private key: %w", err)
	}
	if st.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("%s has mode %04o, use 0640: %w", key, st.Mode().Perm(), ErrKeyExposed)
	}
	c, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "fullchain.pem"), key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	s.cert.Store(&c)
	return nil
}

// Watch reloads the pair when its files change, until ctx ends. A pair that does not load leaves the former in use.
func (s *Store) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch certificates: %w", err)
	}
	defer w.Close()
	if err := w.Add(s.dir); err != nil {
		return fmt.Errorf("watch %s: %w", s.dir, err)
	}
	// Key and chain change one after the other: wait for quiet.
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			settle.Reset(250 * time.Millisecond)
		case err := <-w.Errors:
			s.log.Warn("watching certificates failed", "err", err)
		case <-settle.C:
			if err := s.load(); err != nil {
				s.log.Error("new certificate is not usable; the former stays in use", "err", err)
				continue
			}
			s.log.Info("certificate reloaded", "not_after", s.cert.Load().Leaf.NotAfter)
		}
	}
}

// Certificate is what tls.Config.GetCertificate wants.
func (s *Store) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.cert.Load(), nil
}

// Config returns a server configuration: TLS 1.2 and 1.3, AEAD ciphers only, the given ALPN protocols.
func (s *Store) Config(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: s.Certificate,
		NextProtos:     alpn,
		// TLS 1.2 without CBC and without RSA key exchange (RFC 9325 section 4.2); TLS 1.3's are fixed.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
