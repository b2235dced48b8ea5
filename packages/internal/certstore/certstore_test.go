package certstore_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/certstore"
	"porthole/packages/internal/testkit"
)

// everybody is whom this machine trusts, as far as these tests are concerned.
var everybody *testkit.Authority

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "certstore")
	if err != nil {
		panic(err)
	}
	var code int
	func() {
		defer os.RemoveAll(dir)
		if everybody, err = testkit.TrustedAuthority(dir); err != nil {
			panic(err)
		}
		code = m.Run()
	}()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

// bench is a store that is followed, over a folder of its own.
type bench struct {
	*certstore.Store
	dir     string
	log     *testkit.Log
	private *testkit.Authority
}

// begin starts a store with the pair "device", for porthole.local and 192.168.1.5.
func begin(t *testing.T, prepare func(*bench)) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), log: &testkit.Log{}, private: testkit.NewAuthority(t, "of the device")}
	b.publish(t, "device", b.private, testkit.Leaf{Names: []string{"porthole.local"}, IPs: []net.IP{net.IPv4(192, 168, 1, 5)}})
	if prepare != nil {
		prepare(b)
	}
	var err error
	if b.Store, err = certstore.Open(t.Context(), slog.New(slog.NewTextHandler(b.log, nil)), b.dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(b.log)
		}
	})
	return b
}

// publish puts a pair in its folder; the folder's name is in the certificate.
func (b *bench) publish(t *testing.T, name string, by *testkit.Authority, l testkit.Leaf) testkit.Pair {
	t.Helper()
	l.CommonName = name
	p := by.Issue(t, l)
	p.Publish(t, b.dir, name)
	return p
}

// from is a connection that comes from and goes to other addresses than it does.
type from struct {
	net.Conn
	local, remote string
}

func (f from) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.local)) }
func (f from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.remote))
}

// informed counts how often it is told which certificate it has.
type informed struct {
	net.Conn
	told *int
}

func (i informed) Serves(c certstore.Certificate, name string) {
	if c.Name == "device" && name == "porthole.local" {
		*i.told++
	}
}

// shake shakes hands with a client; see returns what the server sees instead of the connection.
func (b *bench) shake(t *testing.T, client *tls.Config, see func(net.Conn) net.Conn) (tls.ConnectionState, error) {
	t.Helper()
	return b.shakeWith(t, b.Config("h2", "http/1.1"), client, see)
}

func (b *bench) shakeWith(t *testing.T, own, client *tls.Config, see func(net.Conn) net.Conn) (tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	deadline := time.Now().Add(60 * time.Second)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer far.Close()
		conn := far
		if see != nil {
			conn = see(conn)
		}
		server := tls.Server(conn, own)
		if server.Handshake() == nil {
			server.Write([]byte("x"))
		}
	}()
	defer func() { near.Close(); <-served }()
	c := tls.Client(near, client)
	if err := c.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	// The ticket of TLS 1.3 comes with the first byte.
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

// served is the name of the pair that a client gets.
func (b *bench) served(t *testing.T, client *tls.Config) string {
	t.Helper()
	client.InsecureSkipVerify = true
	s, err := b.shake(t, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.PeerCertificates[0].Subject.CommonName
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

// names lists the pairs in service.
func (b *bench) names() string {
	var list []string
	for _, c := range b.Certificates() {
		list = append(list, c.Name)
	}
	return strings.Join(list, " ")
}

// TestOpenWaits: the pair appears after the process has started.
func TestOpenWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	type opened struct {
		*certstore.Store
		error
	}
	waiting := make(chan opened)
	go func() {
		s, err := certstore.Open(t.Context(), slog.New(slog.DiscardHandler), dir)
		waiting <- opened{s, err}
	}()
	// A public pair alone is not enough.
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	a := testkit.NewAuthority(t, "a")
	a.Issue(t, testkit.Leaf{Names: []string{"cam.example.org"}}).Publish(t, dir, "acme")
	a.Issue(t, testkit.Leaf{}).Publish(t, dir, "device")
	o := <-waiting
	if o.error != nil || len(o.Certificates()) != 2 {
		t.Fatal(o.error)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := certstore.Open(ctx, slog.New(slog.DiscardHandler), t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}

// TestFollow: pairs come, are replaced and go while the store serves, in whichever way they are put there.
func TestFollow(t *testing.T) {
	b := begin(t, nil)
	is := func(want string) {
		t.Helper()
		until(t, want, func() bool { return b.names() == want })
	}
	is("device")
	b.publish(t, "acme", everybody, testkit.Leaf{Names: []string{"cam.example.org"}})
	is("device acme")
	b.publish(t, "own-rsa", b.private, testkit.Leaf{Names: []string{"cam.example.org"}, RSA: true})
	b.publish(t, "device-rsa", b.private, testkit.Leaf{RSA: true})
	is("device device-rsa acme own-rsa")
	for _, c := range b.Certificates() {
		algorithm := "ECDSA P-256"
		if strings.HasSuffix(c.Name, "-rsa") {
			algorithm = "RSA 2048"
		}
		if c.Algorithm != algorithm || c.Public == strings.HasPrefix(c.Name, "device") || c.Trusted != (c.Name == "acme") {
			t.Errorf("%+v", c)
		}
	}
	for range 20 {
		p := b.publish(t, "acme", everybody, testkit.Leaf{Names: []string{"cam.example.org"}})
		until(t, "the new one is served", func() bool {
			s, err := b.shake(t, &tls.Config{ServerName: "cam.example.org", RootCAs: everybody.Pool()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return sha256.Sum256(s.PeerCertificates[0].Raw) == sha256.Sum256(p.Leaf.Raw)
		})
	}
	// File by file, as nothing of ours does it: half a pair is never served.
	testkit.WritePair(t, filepath.Join(b.dir, "acme"), "by hand", 0o640)
	until(t, "what was written by hand", func() bool { return b.served(t, &tls.Config{ServerName: "localhost"}) == "by hand" })
	if err := os.RemoveAll(filepath.Join(b.dir, "acme")); err != nil {
		t.Fatal(err)
	}
	is("device device-rsa own-rsa")
	// Even if nothing is left, there is something to serve.
	for _, name := range []string{"device", "own-rsa", "device-rsa"} {
		if err := os.RemoveAll(filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	is("device")
	b.publish(t, "device", b.private, testkit.Leaf{Names: []string{"other.local"}})
	until(t, "the next one of the device", func() bool { return b.Certificates()[0].Names()[0] == "other.local" })
}

// TestUnusable: what cannot be served is said once, and takes nothing else down.
func TestUnusable(t *testing.T) {
	b := begin(t, nil)
	said := func() int { return strings.Count(b.log.String(), "certificate is not usable") }
	b.publish(t, "acme", everybody, testkit.Leaf{Names: []string{"cam.example.org"}})
	until(t, "there", func() bool { return b.names() == "device acme" })
	key := filepath.Join(b.dir, "acme", "privkey.pem")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, "the exposed key is out of service", func() bool { return b.names() == "device" && said() == 1 })
	if !strings.Contains(b.log.String(), "0640") {
		t.Error("the log does not say what to do")
	}
	if got := b.served(t, &tls.Config{ServerName: "cam.example.org"}); got != "device" {
		t.Errorf("instead of it, %s", got)
	}
	// Looked at again, it is as bad as it was, and no news.
	b.publish(t, "own", everybody, testkit.Leaf{})
	until(t, "another", func() bool { return b.names() == "device own" })
	if said() != 1 {
		t.Error("said again")
	}
	// system repairs the mode.
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	until(t, "repaired", func() bool { return b.names() == "device acme own" || b.names() == "device own acme" })

	// Another certificate's key, and nonsense: the former stays.
	other := everybody.Issue(t, testkit.Leaf{CommonName: "other", Names: []string{"cam.example.org"}})
	for i, bad := range []testkit.Pair{{Chain: other.Chain, Key: everybody.Issue(t, testkit.Leaf{}).Key}, {Chain: []byte("x"), Key: other.Key}, {Chain: other.Chain, Key: make([]byte, 300<<10)}} {
		bad.Publish(t, b.dir, "acme")
		until(t, "it is said", func() bool { return said() == i+2 })
		if got := b.served(t, &tls.Config{ServerName: "cam.example.org"}); got != "acme" {
			t.Errorf("%d: %s", i, got)
		}
	}
	// The device's own is served even if it is exposed: there is nothing else.
	if err := os.Chmod(filepath.Join(b.dir, "device", "privkey.pem"), 0o666); err != nil {
		t.Fatal(err)
	}
	until(t, "it is said", func() bool { return said() == 5 })
	if got := b.served(t, &tls.Config{MaxVersion: tls.VersionTLS12}); got != "own" {
		t.Errorf("serves %s", got)
	}
	if got := b.served(t, &tls.Config{ServerName: "porthole.local"}); got != "device" {
		t.Errorf("serves %s", got)
	}
}

// TestExposedFromTheStart: with a key that everybody can read nothing is served at all.
func TestExposedFromTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "device"), 0o750); err != nil {
		t.Fatal(err)
	}
	testkit.WritePair(t, filepath.Join(dir, "device"), "exposed", 0o644)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var out testkit.Log
	_, err := certstore.Open(ctx, slog.New(slog.NewTextHandler(&out, nil)), dir)
	if !errors.Is(err, certstore.ErrKeyExposed) {
		t.Errorf("got %v", err)
	}
	if strings.Count(out.String(), "0640") != 1 {
		t.Errorf("the log does not say once what to do: %s", out.String())
	}
}
