package door_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/proxy/door"
)

// failedAs counts failures with loopback for a reason.
func (b *bench) failedAs(reason string) uint64 {
	for _, f := range b.Handshakes() {
		if f.Address == "127.0.0.1" && f.Reason == reason && time.Since(f.Last) < time.Hour {
			return f.Count
		}
	}
	return 0
}

// TestHandshakeFailures: real clients that do not get along with us, and what is remembered of them.
func TestHandshakeFailures(t *testing.T) {
	b := open(t, nil)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	c := tls.Client(b.dial(t), insecure())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	leaf := c.ConnectionState().PeerCertificates[0]
	c.Close()
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := []string{"openssl", "s_client", "-connect", b.addr, "-verify_return_error"}
	with := func(more ...string) []string { return append(append([]string{}, s...), more...) }
	_, port, _ := net.SplitHostPort(b.addr)
	for _, c := range []struct {
		name, reason string
		command      []string
	}{
		{"openssl, TLS 1.3", "does not trust this certificate", s},
		{"openssl, TLS 1.2", "does not trust this certificate", with("-tls1_2")},
		{"curl", "does not trust this certificate", []string{"curl", "-sS", "https://localhost:" + port + "/"}},
		{"a clock in 2100", "takes the certificate for expired: check its clock", with("-CAfile", trusted, "-attime", "4102444800")},
		{"TLS 1.1", "speaks no TLS version that we do", with("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")},
		{"old ciphers", "no common cipher", with("-tls1_2", "-cipher", "AES256-SHA256:AES128-SHA@SECLEVEL=0")},
		{"old curves", "no common cipher", with("-tls1_3", "-groups", "X448")},
		{"no TLS", "plain HTTP on the TLS port", []string{"curl", "-sS", "http://localhost:" + port + "/api/health"}},
	} {
		before := b.failedAs(c.reason)
		cmd := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
		out, err := cmd.CombinedOutput()
		if err == nil && c.name != "no TLS" {
			t.Errorf("%s got along with us:\n%s", c.name, out)
		}
		until(t, fmt.Sprintf("%s is remembered as %q among %+v; it said:\n%s", c.name, c.reason, b.Handshakes(), out), func() bool { return b.failedAs(c.reason) == before+1 })
	}
	t.Run("went away", func(t *testing.T) {
		hello := helloOnly{}
		tls.Client(&hello, insecure()).Handshake()
		under := b.dial(t)
		if _, err := under.Write(hello.sent); err != nil {
			t.Fatal(err)
		}
		under.CloseWrite()
		until(t, "it is remembered", func() bool { return b.failedAs("went away") == 1 })
	})
	t.Run("who gets along", func(t *testing.T) {
		n := len(b.Handshakes())
		if out, err := exec.CommandContext(t.Context(), "curl", "-sS", "--cacert", trusted, "https://localhost:"+port+"/").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b.good(t)
		if got := b.Handshakes(); len(got) != n {
			t.Errorf("%+v", got)
		}
	})
	list := b.Handshakes()
	for i, f := range list[1:] {
		if f.Last.After(list[i].Last) {
			t.Errorf("not the latest first: %+v", list)
		}
	}
	if s := b.Status(); s.Failed["does not trust this certificate"] != 3 || s.Failed["went away"] != 1 {
		t.Errorf("%+v", s.Failed)
	}
}

// helloOnly keeps what a client sends first.
type helloOnly struct {
	net.Conn
	sent []byte
}

func (h *helloOnly) Write(p []byte) (int, error)      { h.sent = append(h.sent, p...); return len(p), nil }
func (h *helloOnly) Read([]byte) (int, error)         { return 0, io.EOF }
func (h *helloOnly) SetDeadline(time.Time) error      { return nil }
func (h *helloOnly) Close() error                     { return nil }
func (h *helloOnly) SetReadDeadline(time.Time) error  { return nil }
func (h *helloOnly) SetWriteDeadline(time.Time) error { return nil }

// TestFailuresBounded: strangers without number do not push out who is near, nor take memory.
func TestFailuresBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var f door.Failing
	screen := netip.MustParseAddr("192.168.1.20")
	f.Add(screen, 0, true, now)
	stranger := netip.MustParseAddr("10.0.0.0")
	for i := range 1000 {
		stranger = stranger.Next()
		f.Add(stranger, 0, false, now.Add(time.Duration(i)*time.Second))
	}
	list := f.List()
	if len(list) != 256 || list[0].Address != stranger.String() || list[255].Address != screen.String() {
		t.Errorf("%d: %+v", len(list), list[:min(3, len(list))])
	}
	// When all are near, who failed longest ago goes.
	near := netip.MustParseAddr("192.168.2.0")
	for range 256 {
		near = near.Next()
		f.Add(near, 0, true, now.Add(time.Hour))
	}
	if list := f.List(); len(list) != 256 || strings.Contains(fmt.Sprint(list), screen.String()+" ") {
		t.Errorf("%d: %+v", len(list), list)
	}
	f.Add(netip.Addr{}, 0, true, now)
	if len(f.List()) != 256 {
		t.Error("nobody's address is listed")
	}
}
