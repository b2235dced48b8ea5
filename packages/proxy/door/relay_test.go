package door_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porthole/packages/internal/testkit"
	"porthole/packages/proxy/door"
)

// answer makes a process listen for validations: take gets each connection.
func (b *bench) answer(t *testing.T, take func(net.Conn)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acme.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				take(c)
			})
		}
	})
	b.validator.Store(&path)
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

// validation is what an authority's client offers (RFC 8737 section 3).
func validation(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}}
}

// TestValidation: an authority shakes hands with the process that answers it, not with the door, and everybody else goes on.
func TestValidation(t *testing.T) {
	b := open(t, nil)
	pair := testkit.NewAuthority(t, "x").Issue(t, testkit.Leaf{CommonName: "the answer", Names: []string{"cam.example.org"}})
	cert, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	b.answer(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"acme-tls/1"}})
		if s.Handshake() == nil {
			s.Close()
		}
	})
	for _, under := range []func(*net.TCPConn) net.Conn{
		func(c *net.TCPConn) net.Conn { return c },
		func(c *net.TCPConn) net.Conn { return bytewise{c} },
	} {
		c := tls.Client(under(b.dial(t)), validation("cam.example.org"))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		s := c.ConnectionState()
		if s.NegotiatedProtocol != "acme-tls/1" || s.PeerCertificates[0].Subject.CommonName != "the answer" {
			t.Errorf("%q from %q", s.NegotiatedProtocol, s.PeerCertificates[0].Subject.CommonName)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("its end: %v", err)
		}
		b.good(t)
	}
	until(t, "all places given back", func() bool { s := b.Status(); return s.Connections == 0 && s.Undecided == 0 })
	if s := b.Status(); s.Served["acme"] != 2 || s.Refused["acme"] != 0 {
		t.Errorf("%+v", s)
	}
}

// TestRefusedValidation: a client that the answerer refuses reads why, even while it goes on talking.
func TestRefusedValidation(t *testing.T) {
	b := open(t, nil)
	b.answer(t, func(c net.Conn) {
		tls.Server(c, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF }, NextProtos: []string{"acme-tls/1"}}).Handshake()
	})
	err := tls.Client(b.dial(t), validation("else.example.org")).Handshake()
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: internal error") {
		t.Errorf("got %v", err)
	}
	b.good(t)
}

// TestTooManyValidations: who opens validations and says nothing more keeps neither others out for long nor the door open.
func TestTooManyValidations(t *testing.T) {
	b := open(t, nil)
	b.answer(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	hello := recordHello(t)
	var held []*net.TCPConn
	for range 20 {
		c := b.dial(t)
		c.Write(hello)
		held = append(held, c)
	}
	b.untilRefused(t, "acme", 4)
	if n := b.Status().Served["acme"]; n != 16 {
		t.Errorf("%d are relayed", n)
	}
	b.good(t)
	// One that ends makes room.
	for _, c := range held {
		c.Close()
	}
	until(t, "all places given back", func() bool { return b.Status().Connections == 0 })
	b.dial(t).Write(hello)
	until(t, "one more", func() bool { return b.Status().Served["acme"] == 17 })
}

// TestValidationWithoutEnd: more than a handshake, or longer than one, is not relayed.
func TestValidationWithoutEnd(t *testing.T) {
	b := open(t, nil)
	var mu sync.Mutex
	var sizes []int64
	b.answer(t, func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		mu.Lock()
		sizes = append(sizes, n)
		mu.Unlock()
	})
	c := b.dial(t)
	c.Write(recordHello(t))
	go func() {
		for chunk := make([]byte, 1<<14); ; {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	}()
	until(t, "it is cut", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(sizes, []int64{64 << 10})
	})
	until(t, "its place is given back", func() bool { return b.Status().Connections == 0 })
}

// recordHello is a ClientHello of a validation.
func recordHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	go tls.Client(near, validation("cam.example.org")).Handshake()
	far.SetDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 16<<10)
	n, err := far.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	far.Close()
	return buf[:n]
}

// TestStrangersValidation: an authority, which nobody can list, is let in for a validation; others whom the allow list does not name
// can hold little, and keep nobody out.
func TestStrangersValidation(t *testing.T) {
	var closedTo atomic.Bool
	b := openWith(t, func(l *door.Limits) { l.FirstBytes = time.Hour }, func(netip.Addr) bool { return !closedTo.Load() })
	asked := make(chan string, 10)
	b.answer(t, func(c net.Conn) {
		tls.Server(c, &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked <- h.ServerName
			return nil, io.EOF
		}}).Handshake()
	})
	closedTo.Store(true)
	tls.Client(b.dial(t), validation("cam.example.org")).Handshake()
	if got := <-asked; got != "cam.example.org" {
		t.Errorf("asked for %s", got)
	}
	// Eight of one source are waited for; the next are closed at once.
	for i := range 11 {
		c := b.dial(t)
		if i >= 8 {
			if got, err := closed(c); err != nil || got != "" {
				t.Errorf("got %q, %v", got, err)
			}
		}
	}
	b.untilRefused(t, "not_allowed", 3)
	if s := b.Status(); s.Undecided != 0 || s.Served["acme"] != 1 || s.Refused["not_allowed"] != 3 {
		t.Errorf("%+v", s)
	}
	until(t, "the validation is over", func() bool { return b.Status().Connections == 0 })
	closedTo.Store(false)
	b.good(t)
}
