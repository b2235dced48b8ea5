package certstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/certstore"
	"porthole/packages/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func served(t *testing.T, s *certstore.Store) string {
	t.Helper()
	c, err := s.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.Subject.CommonName
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	// The pair appears after the process started.
	type opened struct {
		*certstore.Store
		error
	}
	waiting := make(chan opened)
	go func() {
		s, err := certstore.Open(t.Context(), log, dir)
		waiting <- opened{s, err}
	}()
	testkit.WritePair(t, dir, "first", 0o640)
	o := <-waiting
	if o.error != nil {
		t.Fatal(o.error)
	}
	s := o.Store
	if got := served(t, s); got != "first" {
		t.Errorf("serves %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx) }()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; served(t, s) != "second"; n++ {
		if time.Now().After(deadline) {
			t.Fatal("the new pair was never served")
		}
		// Written again now and then: Watch may not have been watching yet.
		if n%20 == 0 {
			testkit.WritePair(t, dir, "second", 0o640)
		}
		<-tick.C
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestExposedKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	testkit.WritePair(t, dir, "exposed", 0o644)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var out bytes.Buffer
	_, err := certstore.Open(ctx, slog.New(slog.NewTextHandler(&out, nil)), dir)
	if !errors.Is(err, certstore.ErrKeyExposed) {
		t.Errorf("got %v", err)
	}
	if !bytes.Contains(out.Bytes(), []byte("0640")) {
		t.Errorf("the log does not say what to do: %s", out.String())
	}
}

// TestConfig shakes hands for real: old TLS and CBC ciphers get nothing.
func TestConfig(t *testing.T) {
	dir := t.TempDir()
	testkit.WritePair(t, dir, "x", 0o640)
	s, err := certstore.Open(t.Context(), slog.New(slog.DiscardHandler), dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.Config("h2", "http/1.1"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	defer func() { l.Close(); <-done }()
	for name, c := range map[string]struct {
		min, max uint16
		ciphers  []uint16
		ok       bool
	}{
		"1.3":        {tls.VersionTLS13, tls.VersionTLS13, nil, true},
		"1.2":        {tls.VersionTLS12, tls.VersionTLS12, nil, true},
		"1.1":        {tls.VersionTLS10, tls.VersionTLS11, nil, false},
		"1.2 in CBC": {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
	} {
		// The certificate is a throwaway; the question is whether a handshake happens at all.
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{MinVersion: c.min, MaxVersion: c.max, CipherSuites: c.ciphers, InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
