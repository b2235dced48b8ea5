package main_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	console "porthole/packages/console"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestAuth asks as proxy and signaling do.
func TestAuth(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	home, err := url.Parse("https://" + b.host)
	if err != nil {
		t.Fatal(err)
	}
	session := b.client.Jar.Cookies(home)[0].String()
	stream := streamPassword(t, b)
	asker := identity.NewAsker(d.internal())
	admin, viewer := identity.Identity{User: "admin", Role: identity.Admin}, identity.Identity{User: "porthole", Role: identity.Viewer}
	for name, c := range map[string]struct {
		creds identity.Credentials
		want  identity.Identity // zero: denied
	}{
		"nothing":                 {identity.Credentials{}, identity.Identity{}},
		"session":                 {identity.Credentials{Cookie: session}, admin},
		"session among others":    {identity.Credentials{Cookie: "a=b; =; " + session + "; theme=\"dark"}, admin},
		"session, wrong password": {identity.Credentials{Cookie: session, Authorization: basic("admin", "x")}, admin},
		"unknown session":         {identity.Credentials{Cookie: "__Host-porthole=AAAA"}, identity.Identity{}},
		"unknown session, stream": {identity.Credentials{Cookie: "__Host-porthole=AAAA", Authorization: basic("porthole", stream)}, viewer},
		"other cookie":            {identity.Credentials{Cookie: "porthole=" + session}, identity.Identity{}},
		"stream account":          {identity.Credentials{Authorization: basic("porthole", stream)}, viewer},
		"stream, wrong":           {identity.Credentials{Authorization: basic("porthole", stream+"x")}, identity.Identity{}},
		"admin":                   {identity.Credentials{Authorization: basic("admin", password)}, admin},
		"admin, lower case":       {identity.Credentials{Authorization: "basic" + basic("admin", password)[5:]}, admin},
		"admin, wrong":            {identity.Credentials{Authorization: basic("admin", "wrong")}, identity.Identity{}},
		"nobody":                  {identity.Credentials{Authorization: basic("nobody", password)}, identity.Identity{}},
		"bearer":                  {identity.Credentials{Authorization: "Bearer abc"}, identity.Identity{}},
		"digest":                  {identity.Credentials{Authorization: `Digest username="porthole"`}, identity.Identity{}},
		"garbage":                 {identity.Credentials{Authorization: "Basic \x00"}, identity.Identity{}},
	} {
		c.creds.Remote = "192.168.1." + itoa(int64(len(name)))
		got, err := asker.Ask(t.Context(), c.creds)
		if denied := c.want.User == ""; denied != errors.Is(err, identity.ErrDenied) || (!denied && err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
		if c.want.User != "" && !got.MaySee("demo") {
			t.Errorf("%s: may not see the cameras", name)
		}
	}
	if a := b.post("/logout"); a.status != http.StatusSeeOther {
		t.Fatalf("logout: %d", a.status)
	}
	if _, err := asker.Ask(t.Context(), identity.Credentials{Cookie: session}); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("after the logout: %v", err)
	}
}

func TestAuthIsLimited(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://h/s")
	stream := streamPassword(t, b)
	asker := identity.NewAsker(d.internal())
	const guesser = "203.0.113.9"
	ask := func(remote, authorization string) error {
		_, err := asker.Ask(t.Context(), identity.Credentials{Authorization: authorization, Remote: remote})
		return err
	}
	// What was right before stays right, whatever others do behind the same address.
	if err := ask(guesser, basic("admin", password)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := ask(guesser, basic("admin", "guess")); !errors.Is(err, identity.ErrDenied) {
			t.Fatal(err)
		}
	}
	for name, authorization := range map[string]string{"known password": basic("admin", password), "stream account": basic("porthole", stream)} {
		if err := ask(guesser, authorization); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ask("203.0.113.10", basic("admin", password)); err != nil {
		t.Errorf("another address: %v", err)
	}
	var refused struct{ Error string }
	status, err := d.internal().Call(t.Context(), http.MethodPost, "/auth", identity.Credentials{Authorization: basic("nobody", password), Remote: guesser}, &refused)
	if status != http.StatusUnauthorized || err == nil {
		t.Errorf("one more guess: %d, %v", status, err)
	}
	if status, _ := d.internal().Call(t.Context(), http.MethodPost, "/auth", "no object", nil); status != http.StatusBadRequest {
		t.Errorf("not understood: %d", status)
	}
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := console.NewLimiter()
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
