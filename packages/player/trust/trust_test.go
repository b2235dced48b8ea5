package trust_test

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/player/trust"
	device "porthole/packages/system/authority"
	"porthole/packages/system/pairs"
)

// TestOurOwn: another Porthole, with the certificates that it really makes. It gets other addresses, another name, another
// key, a renewed certificate: nobody is needed.
func TestOurOwn(t *testing.T) {
	dir := t.TempDir()
	now, hostname, addr := time.Now(), "porthole", "192.0.2.7/24"
	open := func() pair {
		log := slog.New(slog.DiscardHandler)
		device.Open(device.Config{
			Log: log, CADir: filepath.Join(dir, "ca"),
			Pairs:    pairs.New(pairs.Config{Log: log, Dir: filepath.Join(dir, "tls"), GID: pairs.KeepGroup, Journal: pairs.OpenJournal(log, filepath.Join(dir, "log"))}),
			Hostname: func() string { return hostname }, Now: func() time.Time { return now },
			Addresses: func() ([]net.Addr, error) {
				ip, n, err := net.ParseCIDR(addr)
				return []net.Addr{&net.IPNet{IP: ip, Mask: n.Mask}}, err
			},
		})
		return load(t, filepath.Join(dir, "tls", "device", "fullchain.pem"), filepath.Join(dir, "tls", "device", "privkey.pem"))
	}
	s := newScreen(t)
	first := open()
	srv := serve(t, first)
	s.want(srv, trust.ByCA)
	if st := s.State(srv.addr); st.CA == "" || st.CA == st.Fingerprint {
		t.Errorf("state %+v has no CA", st)
	}
	for what, change := range map[string]func(){
		"another address": func() { addr = "198.51.100.9/24" },
		"another name":    func() { hostname = "shop-3" },
		"renewal":         func() { now = now.AddDate(2, 0, 0) },
		"another key": func() {
			hostname, addr = "else", "203.0.113.4/24"
			if err := os.RemoveAll(filepath.Join(dir, "tls", "device")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		next := open()
		if next.cert.Equal(first.cert) {
			t.Fatalf("%s: it is still the same certificate", what)
		}
		srv.show(next)
		if got, err := s.dial(srv); err != nil || got != trust.ByCA {
			t.Errorf("%s: recognized by %q, %v", what, got, err)
		}
		s.restart()
		s.want(srv, trust.ByCA)
	}
	if got := s.actions(); got != "pinned renewed renewed renewed renewed" {
		t.Errorf("audit log: %s", got)
	}
	// A new authority is another device.
	if err := os.RemoveAll(filepath.Join(dir, "tls")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "ca")); err != nil {
		t.Fatal(err)
	}
	srv.show(open())
	s.refused(srv, "another certificate", "approve")
}

// TestSelfMade: certificates as documents 001 and 004 tell people to make them.
func TestSelfMade(t *testing.T) {
	for name, args := range map[string][]string{
		"document 001":  {"-newkey", "rsa:4096", "-subj", "/CN=digiserver/O=Organization/C=US"},
		"without names": {"-subj", "/O=Shop"},
		"no CA":         {"-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE"},
		"for another":   {"-subj", "/CN=x", "-addext", "subjectAltName=DNS:elsewhere.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScreen(t)
			old := openssl(t, args...)
			srv := serve(t, old)
			s.want(srv, trust.ByKey)
			s.restart()
			s.want(srv, trust.ByKey)

			// It is made anew with the same key, and it is over.
			srv.show(issue(t, pair{}, expired(x509.Certificate{Subject: old.cert.Subject}), old.key))
			s.want(srv, trust.ByKey)

			// Somebody else says the same names.
			other := openssl(t, args...)
			srv.show(other)
			r := s.refused(srv, "pinned", "compare", "somebody")
			s.restart()
			s.refused(srv)
			if err := s.Approve(certs.Fingerprint(old.cert)); !errors.Is(err, trust.ErrNotPending) {
				t.Errorf("another fingerprint is approved: %v", err)
			}
			if err := s.Approve(""); !errors.Is(err, trust.ErrNotPending) {
				t.Errorf("nothing is approved: %v", err)
			}
			// The right one comes back by itself; then nothing waits any more.
			srv.show(old)
			s.want(srv, trust.ByKey)
			if err := s.Approve(r.Fingerprint); !errors.Is(err, trust.ErrNotPending) {
				t.Errorf("what is over is approved: %v", err)
			}
			srv.show(other)
			s.refused(srv)
			if err := s.Approve(strings.ToLower(strings.ReplaceAll(r.Fingerprint, ":", ""))); err != nil {
				t.Fatal(err)
			}
			s.want(srv, trust.ByKey)
			s.restart()
			s.want(srv, trust.ByKey)
			srv.show(old)
			s.refused(srv)
			if got := s.actions(); got != "pinned renewed refused renewed refused approved refused" {
				t.Errorf("audit log: %s", got)
			}
		})
	}
}

// TestStolenCertificate: whoever shows a pinned certificate without having its key gets nowhere.
func TestStolenCertificate(t *testing.T) {
	s := newScreen(t)
	p := openssl(t, "-subj", "/CN=digiserver")
	srv := serve(t, p)
	s.want(srv, trust.ByKey)
	p.key = newKey(t)
	srv.show(p)
	if how, err := s.dial(srv); err == nil {
		t.Errorf("recognized by %q", how)
	}
}

// TestPublic: a public CA's certificate, its renewals, and what is none any more.
func TestPublic(t *testing.T) {
	s := newScreen(t)
	root := issue(t, pair{}, authority("Public Root"), nil)
	s.roots.AddCert(root.cert)
	between := issue(t, root, authority("Public Intermediate"), nil)
	between.above = nil // as public servers send it
	good := func() pair { return issue(t, between, leaf("127.0.0.1"), nil) }
	srv := serve(t, good())
	s.want(srv, trust.ByPublic)
	srv.show(good())
	s.want(srv, trust.ByPublic)
	s.restart()
	s.want(srv, trust.ByPublic)
	if got := s.actions(); got != "public renewed" {
		t.Errorf("audit log: %s", got)
	}
	srv.show(issue(t, between, leaf("192.0.2.1"), nil))
	s.refused(srv, "other names than 127.0.0.1")
	srv.show(issue(t, between, expired(leaf("127.0.0.1")), nil))
	s.refused(srv, "good until", "Renew")
	srv.show(openssl(t, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"))
	r := s.refused(srv, "nobody that they know")
	s.restart()
	if st := s.State(srv.addr); st.Pending != r.Fingerprint {
		t.Errorf("after the restart: %+v", st)
	}
	if err := s.Approve(r.Fingerprint); err != nil {
		t.Fatal(err)
	}
	s.want(srv, trust.ByKey)
	// And back.
	srv.show(good())
	s.want(srv, trust.ByPublic)
}

// TestMoveToACME: a server whose own CA is pinned gets a public certificate, and falls back when that cannot be renewed.
func TestMoveToACME(t *testing.T) {
	s := newScreen(t)
	root := issue(t, pair{}, authority("Public Root"), nil)
	s.roots.AddCert(root.cert)
	ca := authority("Porthole device CA 1234")
	ca.MaxPathLenZero = true
	own := issue(t, pair{}, ca, nil)
	srv := serve(t, issue(t, own, leaf("porthole.local"), nil))
	s.want(srv, trust.ByCA)
	srv.show(issue(t, root, leaf("127.0.0.1"), nil))
	s.want(srv, trust.ByPublic)
	s.restart()
	srv.show(issue(t, own, leaf("porthole.local"), nil))
	s.want(srv, trust.ByCA)
	// A public certificate for somebody else is none for this server.
	srv.show(issue(t, root, leaf("attacker.example"), nil))
	s.refused(srv, "another certificate")
	if got := s.actions(); got != "pinned public renewed refused" {
		t.Errorf("audit log: %s", got)
	}
}

// TestPublicNameByAddress: a server with a public certificate that is reached by its address in the house, where no public CA
// can vouch for it: its renewals need nobody, and nobody else's certificate will do.
func TestPublicNameByAddress(t *testing.T) {
	for _, names := range [][]string{{"Signage.example.com"}, {"*.shop.example.com", "shop.example.com"}} {
		s := newScreen(t)
		root := issue(t, pair{}, authority("Public Root"), nil)
		s.roots.AddCert(root.cert)
		between := issue(t, root, authority("Public Intermediate"), nil)
		first := issue(t, between, leaf(names...), nil)
		srv := serve(t, first)
		s.want(srv, trust.ByKey)
		s.restart()
		srv.show(issue(t, between, leaf(names[0]), nil))
		s.want(srv, trust.ByPublic)
		srv.show(issue(t, between, leaf("attacker.example"), nil))
		s.refused(srv)
		srv.show(issue(t, between, leaf("till.shop.example.com"), nil))
		s.refused(srv)
		srv.show(issue(t, between, expired(leaf(names...)), nil))
		s.refused(srv)
		srv.show(issue(t, pair{}, leaf(names...), nil))
		s.refused(srv)
		srv.show(issue(t, between, leaf(names...), nil))
		s.want(srv, trust.ByPublic)
		srv.show(first)
		s.want(srv, trust.ByKey)
	}
}

// TestPublicChainIsNotPinned: a public certificate that is over is no reason to pin the public CA: then everybody's would do.
func TestPublicChainIsNotPinned(t *testing.T) {
	s := newScreen(t)
	root := issue(t, pair{}, authority("Public Root"), nil)
	s.roots.AddCert(root.cert)
	between := issue(t, root, authority("Public Intermediate"), nil)
	old := issue(t, between, expired(leaf("127.0.0.1")), nil)
	srv := serve(t, old)
	s.want(srv, trust.ByKey)
	srv.show(issue(t, between, expired(leaf("127.0.0.1")), nil))
	s.refused(srv)
	srv.show(issue(t, between, leaf("attacker.example"), nil))
	s.refused(srv)
	srv.show(issue(t, between, leaf("127.0.0.1"), nil))
	s.want(srv, trust.ByPublic)
}

// TestWrongClock: a device that believes it is years ago takes a public certificate of today, and one that is over once it
// knows that.
func TestWrongClock(t *testing.T) {
	s := newScreen(t)
	root := issue(t, pair{}, authority("Public Root"), nil)
	s.roots.AddCert(root.cert)
	srv := serve(t, issue(t, root, leaf("127.0.0.1"), nil))
	s.now = time.Unix(42, 0)
	s.want(srv, trust.ByPublic)
	srv.show(issue(t, root, expired(leaf("127.0.0.1")), nil))
	s.now = time.Now().AddDate(0, -6, 0)
	s.want(srv, trust.ByPublic) // for all it knows
	s.now = time.Now()
	s.refused(srv, "good until")
}

// TestCompanyCA: a CA that signs for many servers is pinned together with what tells this server from the others.
func TestCompanyCA(t *testing.T) {
	s := newScreen(t)
	root := issue(t, pair{}, authority("Company Root"), nil)
	between := issue(t, root, authority("Company Servers"), nil)
	srv := serve(t, issue(t, between, leaf("signage.corp.example"), nil))
	s.want(srv, trust.ByCA)
	srv.show(issue(t, between, leaf("Signage.corp.example", "10.0.0.1"), nil))
	s.want(srv, trust.ByCA)
	renamed := issue(t, between, leaf("10.0.0.1"), nil)
	srv.show(renamed)
	s.want(srv, trust.ByCA)
	srv.show(issue(t, between, leaf("printer.corp.example"), nil))
	s.refused(srv)
	client := leaf("signage.corp.example")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	srv.show(issue(t, between, client, nil))
	s.refused(srv)
	// The address by which it is reached is good, too, and the key with any name.
	srv.show(issue(t, between, leaf("127.0.0.1"), nil))
	s.want(srv, trust.ByCA)
	srv.show(issue(t, between, expired(leaf("new-name.corp.example")), renamed.key))
	s.want(srv, trust.ByCA)
}

// TestCopiedCA: a CA that only looks like the pinned one.
func TestCopiedCA(t *testing.T) {
	s := newScreen(t)
	ca := authority("Porthole device CA 1234")
	ca.MaxPathLenZero = true
	own := issue(t, pair{}, ca, nil)
	good := issue(t, own, leaf("porthole.local", "127.0.0.1"), nil)
	srv := serve(t, good)
	s.want(srv, trust.ByCA)
	copied := issue(t, pair{}, ca, nil)
	forged := issue(t, copied, leaf("porthole.local", "127.0.0.1"), nil)
	srv.show(forged)
	s.refused(srv)
	forged.above = []*x509.Certificate{own.cert}
	srv.show(forged)
	s.refused(srv)
	forged.above = []*x509.Certificate{copied.cert, good.cert, own.cert}
	srv.show(forged)
	s.refused(srv)
	// A leaf of the pinned CA is no CA.
	below := issue(t, good, leaf("127.0.0.1"), nil)
	srv.show(below)
	s.refused(srv)
}

// TestOnlyTheServerIsPinned: what answers before a signage server does, as a hotspot's login page, is not.
func TestOnlyTheServerIsPinned(t *testing.T) {
	s := newScreen(t)
	hotspot, right := openssl(t, "-subj", "/CN=hotspot"), openssl(t, "-subj", "/CN=digiserver")
	if how, err := s.Check("signage.example:443", []*x509.Certificate{hotspot.cert}); err != nil || how != trust.ByKey {
		t.Fatalf("%q, %v", how, err)
	}
	s.restart()
	for range 2 {
		if _, err := s.Check("signage.example:443", []*x509.Certificate{right.cert}); err != nil {
			t.Fatal(err)
		}
	}
	s.Confirm("signage.example:443", []*x509.Certificate{right.cert})
	if _, err := s.Check("SIGNAGE.example:443", []*x509.Certificate{hotspot.cert}); err == nil {
		t.Error("the hotspot's certificate is taken after the right one was pinned")
	}
	// What was refused cannot be confirmed.
	s.Confirm("signage.example:443", []*x509.Certificate{hotspot.cert})
	if _, err := s.Check("signage.example:443", []*x509.Certificate{right.cert}); err != nil {
		t.Error(err)
	}
	if _, err := s.Check("signage.example:443", nil); err == nil {
		t.Error("no certificate is taken")
	}
	if got := s.actions(); got != "pinned refused" {
		t.Errorf("audit log: %s", got)
	}
}

// TestKept: what is on the disk is the player's alone, and what is damaged opens no door.
func TestKept(t *testing.T) {
	s := newScreen(t)
	p := openssl(t, "-subj", "/CN=digiserver")
	srv := serve(t, p)
	s.want(srv, trust.ByKey)
	for _, f := range []string{"pins.json", "trust.jsonl"} {
		if m := mode(t, s.file(f)); m != 0o600 {
			t.Errorf("%s has mode %04o", f, m)
		}
	}
	b, err := os.ReadFile(s.file("pins.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string]string{
		"cut short": string(b[:len(b)/2]), "empty": "", "another pin": strings.Replace(string(b), keyPin(p.cert)[:8], "zzzzzzzz", 1),
		"too large": strings.Repeat(" ", 5<<20),
	} {
		if err := os.WriteFile(s.file("pins.json"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		s.restart()
		r := s.refused(srv, "damaged")
		s.restart()
		s.refused(srv, "damaged")
		if other := serve(t, p); other.addr != srv.addr {
			s.refused(other, "damaged")
		}
		if err := s.Approve(r.Fingerprint); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.want(srv, trust.ByKey)
	}
	// Without storage it goes on.
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.cfg.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart()
	s.want(srv, trust.ByKey)
	srv.show(openssl(t, "-subj", "/CN=digiserver"))
	s.refused(srv)
}

// TestAudit: the log is bounded, outlives restarts and a line that was cut.
func TestAudit(t *testing.T) {
	s := newScreen(t)
	a, b := openssl(t, "-subj", "/CN=a"), openssl(t, "-subj", "/CN=b")
	s.Check("a:443", []*x509.Certificate{a.cert})
	s.Confirm("a:443", []*x509.Certificate{a.cert})
	for n := range 260 {
		s.Check("a:443", []*x509.Certificate{b.cert})
		s.Check("a:443", []*x509.Certificate{a.cert})
		if n == 100 {
			s.restart()
		}
	}
	if n := len(s.Log()); n != 200 {
		t.Errorf("%d decisions", n)
	}
	st, err := os.Stat(s.file("trust.jsonl"))
	if err != nil || st.Size() > 300<<10 {
		t.Errorf("%d bytes, %v", st.Size(), err)
	}
	if err := os.Truncate(s.file("trust.jsonl"), st.Size()-10); err != nil {
		t.Fatal(err)
	}
	s.restart()
	before := s.Log()
	s.Check("c:443", []*x509.Certificate{b.cert})
	s.Confirm("c:443", []*x509.Certificate{b.cert})
	s.restart()
	after := s.Log()
	if len(before) < 199 || len(after) != 200 || after[0].Server != "c:443" || after[0].Fingerprint != certs.Fingerprint(b.cert) || after[0].Action != trust.Pinned || after[1] != before[0] {
		t.Errorf("%d and %d decisions, the last %+v", len(before), len(after), after[0])
	}
}

// TestServersAreBounded: the one that was not used for longest is forgotten.
func TestServersAreBounded(t *testing.T) {
	s := newScreen(t)
	p, other := openssl(t, "-subj", "/CN=a"), openssl(t, "-subj", "/CN=b")
	names := strings.Split("abcdefghijklmnopq", "")
	for _, n := range names {
		s.Check(n+":443", []*x509.Certificate{p.cert})
		s.Confirm(n+":443", []*x509.Certificate{p.cert})
	}
	if got := s.actions(); !strings.HasSuffix(got, "pinned forgotten") {
		t.Errorf("audit log: %s", got)
	}
	for n, name := range names {
		_, err := s.Check(name+":443", []*x509.Certificate{other.cert})
		if (err == nil) != (n == 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
