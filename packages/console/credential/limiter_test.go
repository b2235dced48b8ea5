package credential_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/console/credential"
)

// heard counts the tries that are heard of many in a row, without those that are only pretended to be.
func heard(l *credential.Limiter, t credential.Try, many int) (n int) {
	for range many {
		if v := l.Try(t); v.Wait == 0 && !v.Pretend {
			n++
		}
	}
	return n
}

// TestLimiter: a few tries in a row, then one in a while, of each account from each address.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := credential.NewLimiter()
		anna := credential.Try{Remote: "203.0.113.1", Account: "anna", Known: true}
		if n := heard(l, anna, 100); n != 5 {
			t.Errorf("%d tries in a row, want 5", n)
		}
		if wait := l.Try(anna).Wait; wait <= 0 || wait > 20*time.Second {
			t.Errorf("told to wait %s", wait)
		}
		<-time.After(20 * time.Second)
		if n := heard(l, anna, 100); n != 1 {
			t.Errorf("%d tries after 20 s, want 1", n)
		}
		<-time.After(time.Hour)
		for range 50 {
			if l.Try(anna).Wait > 0 {
				t.Fatal("who is always right has to wait")
			}
			l.Forgive(anna)
		}
		// One IPv6 subscriber has a whole /64; an IPv4 address in IPv6 clothes is the same one.
		six := credential.Try{Remote: "2001:db8::1", Account: "bert", Known: true}
		if n := heard(l, six, 100); n != 5 {
			t.Errorf("%d tries over IPv6, want 5", n)
		}
		if six.Remote = "2001:db8::ffff"; heard(l, six, 1) != 0 {
			t.Error("a roaming IPv6 guesser is not limited")
		}
		heard(l, anna, 100)
		if anna.Remote = "::ffff:203.0.113.1"; heard(l, anna, 1) != 0 {
			t.Error("an IPv4 address in IPv6 clothes is another one")
		}
		// In the house each IPv6 address is a device of its own.
		for i := range 3 {
			if n := heard(l, credential.Try{Remote: fmt.Sprintf("2001:db8:7::%x", i+1), Near: true, Account: "carl", Known: true}, 100); n != 5 {
				t.Errorf("device %d at home: %d tries, want 5", i, n)
			}
		}
	})
}

// TestLimiterFloods: whatever is tried ten thousand times, everybody else is heard as if nothing happened.
func TestLimiterFloods(t *testing.T) {
	address := func(i int) string {
		return netip.AddrFrom4([4]byte{198, byte(18 + i>>16&1), byte(i >> 8), byte(i)}).String()
	}
	home := func(i int) string { return netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + i%240)}).String() }
	const many = 10000
	for name, c := range map[string]struct {
		flood func(i int) credential.Try
		// most is how many of the flood are heard and cost a hash.
		most int
		// heard are the others.
		others map[string]credential.Try
	}{
		"one address, one account": {
			func(int) credential.Try { return credential.Try{Remote: address(0), Account: "admin", Known: true} }, 5,
			map[string]credential.Try{
				"the same account elsewhere":     {Remote: address(1), Account: "admin", Known: true},
				"another account there":          {Remote: address(0), Account: "anna", Known: true},
				"at home":                        {Remote: "192.168.1.7", Account: "admin", Known: true},
				"at home over IPv6":              {Remote: "2001:db8::7", Near: true, Account: "admin", Known: true},
				"a known browser there":          {Remote: address(0), Account: "admin", Known: true, Device: "phone"},
				"an account that does not exist": {Remote: address(9), Account: "nobody"},
			},
		},
		"many addresses, one account": {
			func(i int) credential.Try { return credential.Try{Remote: address(i), Account: "admin", Known: true} }, 10,
			map[string]credential.Try{
				"another account outside":      {Remote: "203.0.113.1", Account: "anna", Known: true},
				"at home":                      {Remote: "192.168.1.7", Account: "admin", Known: true},
				"a known browser outside":      {Remote: "203.0.113.1", Account: "admin", Known: true, Device: "phone"},
				"a known browser among them":   {Remote: address(5), Account: "admin", Known: true, Device: "laptop"},
				"at home over its own network": {Remote: "2001:db8::7", Near: true, Account: "admin", Known: true},
			},
		},
		"one address, many accounts": {
			func(i int) credential.Try {
				return credential.Try{Remote: address(0), Account: fmt.Sprint("name", i), Known: i%100 == 0}
			}, 20,
			map[string]credential.Try{
				"outside":               {Remote: address(1), Account: "anna", Known: true},
				"at home":               {Remote: "192.168.1.7", Account: "anna", Known: true},
				"a known browser there": {Remote: address(0), Account: "anna", Known: true, Device: "phone"},
			},
		},
		"many addresses, many accounts": {
			func(i int) credential.Try { return credential.Try{Remote: address(i), Account: fmt.Sprint("name", i)} }, 5,
			map[string]credential.Try{
				"outside":         {Remote: "203.0.113.1", Account: "anna", Known: true},
				"at home":         {Remote: "192.168.1.7", Account: "anna", Known: true},
				"a known browser": {Remote: "203.0.113.1", Account: "anna", Known: true, Device: "phone"},
			},
		},
		"the whole house": {
			// Two of each address, and 40 of all together, of which each had its first two.
			func(i int) credential.Try { return credential.Try{Remote: home(i), Account: "admin", Known: true} }, 2*240 + 40,
			map[string]credential.Try{
				"a quiet device at home": {Remote: "192.168.1.7", Account: "admin", Known: true},
				"another account there":  {Remote: "192.168.1.11", Account: "anna", Known: true},
				"outside":                {Remote: address(1), Account: "admin", Known: true},
				"a known browser":        {Remote: home(0), Account: "admin", Known: true, Device: "phone"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := credential.NewLimiter()
				n := 0
				for i := range many {
					n += heard(l, c.flood(i), 1)
				}
				if n == 0 || n > c.most {
					t.Errorf("%d of the flood are heard, want at most %d", n, c.most)
				}
				for who, try := range c.others {
					// A person mistypes once and then knows better.
					if got := heard(l, try, 2); got != 2 {
						t.Errorf("%s: %d of 2 tries are heard", who, got)
					}
				}
				if n := l.Remembered(); n > 12*1024 {
					t.Errorf("%d things are remembered", n)
				}
				// It ends soon after the flood.
				<-time.After(10 * time.Minute)
				if heard(l, c.flood(0), 1) != 1 {
					t.Error("nobody is heard ten minutes later")
				}
			})
		})
	}
}
