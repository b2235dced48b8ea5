package acme_test

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/integration/acmetest"
	"porthole/packages/console/acme"
)

const cam = "cam." + acmetest.Zone

// orders counts the orders that a server was asked for.
func orders(p *acmetest.Pebble) int { return strings.Count(p.Log(), "POST /order-plz") }

func way(s acme.Status, name string) string {
	i := slices.IndexFunc(s.Names, func(n acme.NameStatus) bool { return n.Name == name })
	if i < 0 {
		return "unknown"
	}
	return s.Names[i].Way + " " + string(s.Names[i].State)
}

// TestAutomatic: TLS-ALPN-01 alone is enough, for names and addresses, ECDSA and RSA; nonces that are refused are no matter; and
// the server says when to renew.
func TestAutomatic(t *testing.T) {
	w := newWorld(t)
	w.open443()
	p, _ := w.pebble(acmetest.PebbleOptions{RejectNonces: 30})
	w.want(ask(p, cam, "127.0.0.1"))
	w.run()
	s := w.served(2)
	root := p.Issuer(t)
	first, firstRSA := w.leaf(acme.PairECDSA, root, cam, "127.0.0.1"), w.leaf(acme.PairRSA, root, cam, "127.0.0.1")
	if _, ok := firstRSA.PublicKey.(*rsa.PublicKey); !ok || firstRSA.PublicKeyAlgorithm == first.PublicKeyAlgorithm {
		t.Errorf("keys: %v, %v", first.PublicKeyAlgorithm, firstRSA.PublicKeyAlgorithm)
	}
	for _, n := range []string{cam, "127.0.0.1"} {
		if got := way(s, n); got != "tls-alpn-01 proven" {
			t.Errorf("%s: %s", n, got)
		}
	}
	// An address asks for the short-lived profile: six days here.
	for _, leaf := range []*x509.Certificate{first, firstRSA} {
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 7*24*time.Hour {
			t.Errorf("the certificate with an address is good for %v", life)
		}
	}
	if w.manager.Status().Urgent(time.Now()) {
		t.Error("urgent without trouble")
	}

	// The server changes its mind (RFC 9773): renew both now.
	for _, pair := range []string{acme.PairECDSA, acme.PairRSA} {
		p.Renew(t, w.chainPEM(pair), time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	}
	w.manager.TryNow()
	w.until("renewed", func(acme.Status) bool {
		pub := w.shelf.all()
		return len(w.shelf.said()) == 4 && len(pub) == 2
	})
	w.served(2)
	if again := w.leaf(acme.PairECDSA, root, cam); again.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("it was not renewed")
	}
	if strings.Count(strings.Join(w.shelf.said(), "\n"), "time to renew") != 2 {
		t.Errorf("published: %q", w.shelf.said())
	}

	// Without names all of it ends.
	w.want(acme.Settings{})
	w.until("nothing", func(s acme.Status) bool { return !s.Wanted && len(w.shelf.all()) == 0 })
}

// TestHTTP01: nobody reaches port 443, so the second way is gone, which is remembered.
func TestHTTP01(t *testing.T) {
	w := newWorld(t)
	w.open80()
	p, _ := w.pebble(acmetest.PebbleOptions{})
	one := ask(p, cam)
	w.want(one)
	w.run()
	if got := way(w.served(2), cam); got != "http-01 proven" {
		t.Error(got)
	}
	w.leaf(acme.PairECDSA, p.Issuer(t), cam)
	w.want(ask(p, cam, "two."+acmetest.Zone))
	w.until("both names", func(acme.Status) bool { return len(w.shelf.said()) == 4 })
	s := w.served(2)
	if got := way(s, cam) + ", " + way(s, "two."+acmetest.Zone); got != "http-01 proven, http-01 proven" {
		t.Error(got)
	}
}

// TestDNS01 proves a wildcard and its base by an own name server, with an account that is bound to a customer's; what stood in
// the zone before stays.
func TestDNS01(t *testing.T) {
	w := newWorld(t)
	mac := "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	p, bind := w.pebble(acmetest.PebbleOptions{EAB: map[string]string{"kid-1": mac}})
	s := ask(p, "*."+acmetest.Zone, acmetest.Zone)
	s.Proof, s.Provider = acme.ByDNS, "rfc2136"
	s.Fields = map[string]string{"server": bind.Address, "key_name": bind.KeyName, "key": bind.Key}
	w.want(s)
	w.run()
	if got := w.failed(); !strings.Contains(got.Trouble, "accounts that its customers have") || len(w.shelf.all()) > 0 {
		t.Errorf("without a binding: %+v", got)
	}
	s.EABKey, s.EABMAC = "kid-1", mac[:40]
	w.want(s)
	w.until("another trouble", func(st acme.Status) bool { return strings.Contains(st.Trouble, "Check the key’s id and the key") })
	s.EABMAC = mac
	w.want(s)
	got := w.served(2)
	if way(got, "*."+acmetest.Zone) != "dns-01 proven" || way(got, acmetest.Zone) != "dns-01 proven" {
		t.Errorf("%+v", got.Names)
	}
	w.leaf(acme.PairRSA, p.Issuer(t), acmetest.Zone, "any."+acmetest.Zone)
	acmetest.Until(t, within, func() error {
		if left := bind.TXT(t, "_acme-challenge."+acmetest.Zone); !slices.Equal(left, []string{"kept"}) {
			return fmt.Errorf("left in DNS: %q", left)
		}
		return nil
	})

	// A key that the name server does not take is said in words, and the certificate in service stays.
	s.Names = append(s.Names, cam)
	s.Fields["key_name"] = "stranger"
	w.want(s)
	w.until("refusal", func(st acme.Status) bool { return strings.Contains(st.Trouble, "refused to change the DNS") })
	if len(w.shelf.all()) != 2 {
		t.Error("what was in service is gone")
	}
}

// TestRefused: what a server refuses, and a network that is not there, become sentences; a restart is no way to try more often.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	p, _ := w.pebble(acmetest.PebbleOptions{Blocked: []string{"no." + acmetest.Zone}})
	w.want(ask(p, "no."+acmetest.Zone))
	w.run()
	s := w.failed()
	if !strings.Contains(s.Trouble, "gives no certificate for one of the names") || !s.Urgent(time.Now()) || s.Names[0].State != acme.Failed {
		t.Errorf("blocked: %+v", s)
	}

	// Nobody is on the ports: both ways are tried, then it waits at least ten minutes.
	w.want(ask(p, cam))
	s = w.until("refused ports", func(s acme.Status) bool { return strings.Contains(s.Trouble, "port 80") && !s.Busy })
	for _, word := range []string{"refused", cam, "192.0.2.7", "router"} {
		if !strings.Contains(s.Trouble, word) {
			t.Errorf("%q lacks %q", s.Trouble, word)
		}
	}
	if wait := time.Until(s.Next); wait < 9*time.Minute || s.Failures != 1 || way(s, cam) != "http-01 failed" {
		t.Errorf("next in %v, %+v", wait, s)
	}
	asked := orders(p)
	w.halt()
	w.run()
	s = w.until("waits", func(s acme.Status) bool { return s.Doing != "" && !s.Busy })
	if s.Trouble == "" || time.Until(s.Next) < 8*time.Minute || s.Names[0].Trouble == "" {
		t.Errorf("after a restart: %+v", s)
	}
	if n := orders(p); n != asked || n == 0 {
		t.Errorf("%d orders before the restart, %d after", asked, n)
	}

	// Somebody opens the port and asks to try now.
	w.open443()
	w.manager.TryNow()
	w.served(2)

	// A server that is not there, and one that nobody vouches for.
	gone := ask(p, cam)
	gone.Directory = fmt.Sprintf("https://127.0.0.1:%d/dir", acmetest.FreePort(t))
	w.want(gone)
	s = w.until("unreachable", func(s acme.Status) bool { return strings.Contains(s.Trouble, "refuses connections") })
	if wait := time.Until(s.Next); wait > 2*time.Minute {
		t.Errorf("a server that is away is asked again in %v", wait)
	}
	stranger := ask(p, "two."+acmetest.Zone)
	stranger.RootPEM = ""
	stranger.Directory = strings.Replace(p.Directory, "/dir", "/dir?", 1)
	w.want(stranger)
	w.until("no trust", func(s acme.Status) bool { return strings.Contains(s.Trouble, "nobody vouches") })
	if len(w.shelf.all()) != 2 {
		t.Error("what was in service is gone")
	}
}

// TestRestart cuts the power at each change that is kept on the way to a certificate, and once before it is in service: the
// next start goes on with the order that was under way, and nothing is asked for twice.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.open443()
	p, _ := w.pebble(acmetest.PebbleOptions{})
	s := ask(p, cam)
	s.RSA = false
	w.want(s)
	cut := make(chan struct{}, 1)
	w.keeper.gate = func(changes map[string][]byte) error {
		if _, ok := changes["order acme"]; ok {
			if w.keeper.m["order acme"] == nil {
				// The order is made and kept; what follows is not.
				w.keeper.m["order acme"] = changes["order acme"]
			}
			select {
			case cut <- struct{}{}:
			default:
			}
			return errCut
		}
		return nil
	}
	w.run()
	<-cut
	w.halt()
	w.keeper.gate = nil
	asked := orders(p)
	// The next one gets the certificate, and then system does not take it.
	w.shelf.failWith(errCut)
	w.run()
	got := w.failed()
	if !strings.Contains(got.Trouble, "could not be put in service") {
		t.Errorf("%+v", got)
	}
	w.halt()
	w.shelf.failWith(nil)
	w.run()
	w.manager.TryNow()
	w.served(1)
	w.leaf(acme.PairECDSA, p.Issuer(t), cam)
	if n := orders(p); n != asked || n == 0 {
		t.Errorf("%d orders before, %d after: the order was not gone on with", asked, n)
	}
}

// TestRehearsal: after a failure at Let's Encrypt the test server is asked until that works; only then the real one is.
func TestRehearsal(t *testing.T) {
	w := newWorld(t)
	production, bind := w.pebble(acmetest.PebbleOptions{})
	staging := acmetest.StartPebble(t, acmetest.PebbleOptions{HTTPPort: w.HTTP, TLSPort: w.TLS, DNS: bind.Address})
	w.options.Production, w.options.Staging = production.Directory, staging.Directory
	for _, p := range []*acmetest.Pebble{production, staging} {
		roots, err := acme.ParseRoots(p.RootPEM)
		if err != nil {
			t.Fatal(err)
		}
		w.options.Roots = append(w.options.Roots, roots...)
	}
	w.want(acme.Settings{Names: []string{cam}, Agreed: true})
	w.run()
	if s := w.failed(); !s.Rehearse || orders(staging) > 0 {
		t.Errorf("the first failure: %+v", s)
	}
	asked := orders(production)
	w.manager.TryNow()
	w.until("the second failure", func(s acme.Status) bool { return s.Failures == 2 && !s.Busy })
	if n := orders(production); n != asked || orders(staging) == 0 {
		t.Errorf("the real server was asked %d times, before %d", n, asked)
	}
	w.open443()
	w.manager.TryNow()
	w.served(1)
	w.leaf(acme.PairECDSA, production.Issuer(t), cam)
}

// TestForgottenAccount: a server that lost its accounts gets a new one.
func TestForgottenAccount(t *testing.T) {
	w := newWorld(t)
	w.open443()
	p, bind := w.pebble(acmetest.PebbleOptions{})
	one := ask(p, cam)
	one.RSA = false
	w.want(one)
	w.run()
	first := w.served(1)
	p.Stop()
	address := strings.TrimSuffix(strings.TrimPrefix(p.Directory, "https://"), "/dir")
	p = acmetest.StartPebble(t, acmetest.PebbleOptions{HTTPPort: w.HTTP, TLSPort: w.TLS, DNS: bind.Address, Address: address})
	two := ask(p, cam, "two."+acmetest.Zone)
	two.RSA = false
	w.want(two)
	w.until("another certificate", func(s acme.Status) bool {
		return len(s.Pairs) == 1 && s.Pairs[0].NotBefore != first.Pairs[0].NotBefore && !s.Busy
	})
	w.leaf(acme.PairECDSA, p.Issuer(t), "two."+acmetest.Zone)
}

// TestClock: with a clock that nobody set, nobody is asked.
func TestClock(t *testing.T) {
	w := newWorld(t)
	w.options.Built = time.Now().Add(time.Hour)
	w.want(acme.Settings{Names: []string{"cam.example.com"}, Agreed: true})
	w.run()
	w.until("the clock", func(s acme.Status) bool { return strings.Contains(s.Doing, "clock is not set") && s.Trouble == "" })
}
