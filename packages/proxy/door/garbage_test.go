package door_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porthole/packages/proxy/door"
)

// TestRefused: what we do not serve is closed at once, counted by reason, and disturbs nobody.
func TestRefused(t *testing.T) {
	b := open(t, nil)
	b.deaf.Store(true)
	for _, c := range []struct {
		reason string
		try    func(net.Conn)
	}{
		{"garbage", func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n") }},
		{"garbage", func(c net.Conn) { c.Write(make([]byte, 32<<10)) }},
		{"garbage", func(c net.Conn) { io.WriteString(c, "\x16\x03\x01\x00\x04\x02\x00\x00\x00") }},
		{"stun", func(c net.Conn) { io.WriteString(c, check) }},
		{"acme", func(c net.Conn) {
			tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}}).Handshake()
		}},
		{"handshake", func(c net.Conn) { tls.Client(c, &tls.Config{ServerName: "nobody.example"}).Handshake() }},
		{"handshake", func(c net.Conn) {
			tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"unheard-of"}}).Handshake()
		}},
		{"garbage", func(c net.Conn) { io.WriteString(tls.Client(c, insecure()), "\x00\x01\x02") }},
		{"garbage", func(c net.Conn) { io.WriteString(tls.Client(c, insecure()), "GET /"+strings.Repeat("a", 9000)) }},
		{"garbage", func(c net.Conn) { io.WriteString(tls.Client(c, insecure()), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }},
	} {
		before := b.Status().Refused[c.reason]
		conn := b.dial(t)
		c.try(conn)
		if _, err := closed(conn); err != nil {
			t.Errorf("%s: %v", c.reason, err)
		}
		b.untilRefused(t, c.reason, before+1)
	}
	b.good(t)
	until(t, "all places given back", func() bool { s := b.Status(); return s.Connections == 0 && s.Undecided == 0 })
}

// TestNotAllowed: who may not connect is closed without a word, counted, and has no place.
func TestNotAllowed(t *testing.T) {
	var closedTo atomic.Bool
	b := openWith(t, nil, func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") && !closedTo.Load() })
	b.good(t)
	until(t, "nobody there", func() bool { return b.Status().Connections == 0 })
	closedTo.Store(true)
	for _, words := range []string{"GET / HTTP/1.1\r\n\r\n", "OPTIONS * RTSP/1.0\r\n\r\n", check} {
		c := b.dial(t)
		io.WriteString(c, words)
		if got, err := closed(c); err != nil || got != "" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	b.untilRefused(t, "not_allowed", 3)
	if err := tls.Client(b.dial(t), insecure()).Handshake(); err == nil {
		t.Error("a handshake")
	}
	b.untilRefused(t, "not_allowed", 4)
	if s := b.Status(); s.Connections != 0 || s.Served["left"]+s.Refused["slow"] != 0 {
		t.Errorf("%+v", s)
	}
	closedTo.Store(false)
	b.good(t)
	b.RefusedLogin()
	b.Malformed()
	b.NotAllowed()
	s := b.Status()
	if s.Refused["logins"] != 1 || s.Refused["garbage"] != 1 || s.Refused["not_allowed"] != 5 {
		t.Errorf("%v", s.Refused)
	}
}

// TestNegotiated: what was negotiated is counted, with nothing weak among it.
func TestNegotiated(t *testing.T) {
	b := open(t, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := tls.Client(b.dial(t), &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		io.WriteString(c, "OPTIONS * RTSP/1.0\r\n\r\n")
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		name := door.TLSName(c.ConnectionState())
		if b.Status().TLS[name] != 1 || !strings.HasPrefix(name, tls.VersionName(version)+" TLS_") {
			t.Errorf("%s: %v", name, b.Status().TLS)
		}
	}
}

// TestLeft: who says half a word and hangs up is gone at once, not when the time is over.
func TestLeft(t *testing.T) {
	b := open(t, func(l *door.Limits) { l.FirstBytes = time.Hour })
	for _, half := range []string{"", "\x16\x03\x01", "GET / HT"} {
		c := b.dial(t)
		io.WriteString(c, half)
		c.CloseWrite()
		if got, err := closed(c); err != nil || got != "" {
			t.Errorf("after %q: got %q, %v", half, got, err)
		}
	}
	if n := b.Status().Served["left"]; n != 3 {
		t.Errorf("counted %d", n)
	}
}

// TestSlow: who takes too long at any step is closed.
func TestSlow(t *testing.T) {
	b := open(t, func(l *door.Limits) {
		l.FirstBytes, l.FirstLine = 50*time.Millisecond, 50*time.Millisecond
	})
	silent, inTLS := b.dial(t), tls.Client(b.dial(t), insecure())
	if err := inTLS.Handshake(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(inTLS, "GET / HT")
	for name, c := range map[string]net.Conn{"silent": silent, "in TLS": inTLS} {
		if _, err := closed(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.untilRefused(t, "slow", 2)
}

// TestCrowd: clients that hold connections open and say nothing, more than there are places, from the same address as a
// good one, do not keep it out.
func TestCrowd(t *testing.T) {
	for name, change := range map[string]func(*door.Limits){
		"of one source": func(l *door.Limits) { l.UndecidedPerSource = 10 },
		"in all":        func(l *door.Limits) { l.Undecided = 10 },
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, func(l *door.Limits) {
				l.FirstBytes = time.Hour
				change(l)
			})
			for i := range 30 {
				c := b.dial(t)
				if i%2 == 0 {
					io.WriteString(c, "\x16\x03")
				}
			}
			until(t, "a full waiting room", func() bool { return b.Status().Undecided == 10 })
			b.good(t)
			b.untilRefused(t, "crowded", 20)
			if s := b.Status(); s.Undecided > 10 || s.Connections > 20 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFull: over the limit of open connections new ones are closed; a place given back is a place.
func TestFull(t *testing.T) {
	for name, change := range map[string]func(*door.Limits){
		"of one source": func(l *door.Limits) { l.OpenPerSource = 3 },
		"in all":        func(l *door.Limits) { l.Open = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, change)
			var held []net.Conn
			for range 3 {
				c := tls.Client(b.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				held = append(held, c)
			}
			until(t, "three open", func() bool { s := b.Status(); return s.Connections == 3 && s.Undecided == 0 })
			if _, err := closed(b.dial(t)); err != nil {
				t.Errorf("the fourth: %v", err)
			}
			b.untilRefused(t, "full", 1)
			for _, c := range held {
				c.Close()
			}
			until(t, "empty", func() bool { return b.Status().Connections == 0 })
			b.good(t)
		})
	}
}

// TestStalledReader: a client that stops taking what it asked for loses the connection.
func TestStalledReader(t *testing.T) {
	b := open(t, func(l *door.Limits) { l.Stall = 100 * time.Millisecond })
	c := tls.Client(b.dial(t), insecure())
	io.WriteString(c, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
	until(t, "the request has come", func() bool { return b.Status().Served["http"] == 1 })
	until(t, "the place is free", func() bool { return b.Status().Connections == 0 })
}

// TestReport: refusals are logged in sums, without saying who they were.
func TestReport(t *testing.T) {
	b := open(t, func(l *door.Limits) { l.Report = 20 * time.Millisecond })
	for range 20 {
		io.WriteString(b.dial(t), "nonsense")
	}
	until(t, "reports of 20 connections", func() bool {
		sum := 0
		for _, m := range regexp.MustCompile(`connections refused.* garbage=(\d+)\n`).FindAllStringSubmatch(b.log.String(), -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		return sum == 20
	})
	b.good(t)
	if strings.Contains(b.log.String(), "127.0.0.1") {
		t.Errorf("addresses in the log:\n%s", b.log)
	}
}
