package credential_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/console/credential"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := credential.NewLimiter()
		tries := func(addr string) (n int) {
			for l.Try(addr) == 0 {
				if n++; n > 1000 {
					t.Fatalf("%s is not limited", addr)
				}
			}
			return n
		}
		if n := tries("203.0.113.1"); n != 5 {
			t.Errorf("%d tries in a row, want 5", n)
		}
		if wait := l.Try("203.0.113.1"); wait <= 0 || wait > 20*time.Second {
			t.Errorf("told to wait %s", wait)
		}
		<-time.After(20 * time.Second)
		if n := tries("203.0.113.1"); n != 1 {
			t.Errorf("%d tries after 20 s, want 1", n)
		}
		l.Forgive("203.0.113.1")
		if n := tries("203.0.113.1"); n != 5 {
			t.Errorf("%d tries after a right password, want 5", n)
		}
		// One IPv6 subscriber has a whole /64.
		if n := tries("2001:db8::1"); n != 5 {
			t.Errorf("%d tries over IPv6, want 5", n)
		}
		if l.Try("2001:db8::ffff") == 0 {
			t.Error("a roaming IPv6 guesser is not limited")
		}
		if l.Try("::ffff:203.0.113.1") == 0 {
			t.Error("an IPv4 address in IPv6 clothes is another one")
		}
		<-time.After(time.Hour)
		// Many addresses together are limited too, without locking the house out or filling memory.
		allowed := 0
		for i := range 5000 {
			a := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
			if l.Try(a.String()) == 0 {
				allowed++
			}
		}
		if allowed != 20 {
			t.Errorf("%d tries from 5000 addresses, want 20", allowed)
		}
		if n := l.Remotes(); n > 1024 {
			t.Errorf("%d addresses are remembered", n)
		}
		for _, addr := range []string{"192.168.1.2", "fd00::1", "127.0.0.1"} {
			if n := tries(addr); n != 5 {
				t.Errorf("%d tries from the house at %s, want 5", n, addr)
			}
		}
	})
}

// TestMemory: what was right is believed for a while, as long as what it was compared with stays.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := credential.NewMemory(time.Minute, 8)
		k := m.Key("anna", "secret")
		if m.Recall(k, "hash") || m.Renew(k, "hash") {
			t.Error("something is known from the start")
		}
		m.Remember(k, "hash")
		for name, other := range map[string]credential.Key{
			"another secret": m.Key("anna", "secreT"), "another name": m.Key("ann", "asecret"), "another memory": credential.NewMemory(time.Minute, 8).Key("anna", "secret"),
		} {
			if m.Recall(other, "hash") {
				t.Errorf("%s is taken for the right one", name)
			}
		}
		if m.Recall(k, "other") || !m.Recall(k, "hash") {
			t.Error("a changed hash is not seen")
		}
		<-time.After(59 * time.Second)
		if !m.Renew(k, "hash") {
			t.Error("forgotten before its time")
		}
		<-time.After(59 * time.Second)
		if !m.Recall(k, "hash") {
			t.Error("not renewed")
		}
		<-time.After(2 * time.Second)
		if m.Recall(k, "hash") || m.Renew(k, "hash") {
			t.Error("known for ever")
		}
		// It does not grow: after more than it holds the last one is known still.
		for i := range 100 {
			k = m.Key(strings.Repeat("x", i), "s")
			m.Remember(k, "h")
		}
		if !m.Recall(k, "h") || m.Len() > 8 {
			t.Errorf("%d are remembered", m.Len())
		}
	})
}

// TestBuckets: looking counts nothing, and the one that was quiet for longest is forgotten first.
func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := credential.NewBuckets[string](time.Second, 2, 2)
		for range 10 {
			if b.Wait("a") != 0 {
				t.Fatal("a look counts")
			}
		}
		for i, over := range []bool{false, false, true, true} {
			if wait := b.Take("a"); wait > time.Second || over != (wait > 0) || over != (b.Wait("a") > 0) && i != 1 {
				t.Errorf("event %d: wait %s", i, wait)
			}
		}
		<-time.After(time.Second)
		if b.Take("b") != 0 || b.Take("c") != 0 || b.Len() != 2 {
			t.Errorf("%d keys", b.Len())
		}
		for i, over := range []bool{false, false, true} {
			if wait := b.Take("a"); over != (wait > 0) {
				t.Errorf("event %d of the one that was forgotten: wait %s", i, wait)
			}
		}
		b.Forget("a")
		if b.Take("a") != 0 {
			t.Error("not forgotten")
		}
	})
}

// TestHasher: what it makes it knows again, and endless passwords are not looked at.
func TestHasher(t *testing.T) {
	h := credential.NewHasher()
	phc, err := h.Hash(t.Context(), "ABC123XYZ")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s %v", phc, err)
	}
	for secret, want := range map[string]bool{"ABC123XYZ": true, "ABC123XYz": false, "": false, strings.Repeat("a", 2000): false} {
		if ok, err := h.Matches(t.Context(), secret, phc); ok != want || err != nil {
			t.Errorf("%.20q: %t, %v", secret, ok, err)
		}
	}
	if ok, err := h.Matches(t.Context(), "x", credential.Nobody); ok || err != nil {
		t.Errorf("nobody: %t, %v", ok, err)
	}
	if _, err := h.Matches(t.Context(), "x", "no hash"); err == nil {
		t.Error("a damaged hash is taken for a wrong password")
	}
}
