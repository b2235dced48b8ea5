package main_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	session := b.session()
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
