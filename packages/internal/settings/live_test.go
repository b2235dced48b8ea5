package settings_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

func TestLive(t *testing.T) {
	in := settings.Live{
		PublicAddress: " HTTPS://Home.Example.org/live ", STUN: "stun:STUN.example.org", PerCamera: 500, Total: 1, MaxMinutes: 1440,
		TURN: settings.TURN{URLs: []string{"turn:relay.example.org", "", "TURNS:[2001:db8::1]?transport=tcp"}, Secret: "s3cret"},
	}
	want := settings.Live{
		PublicAddress: "home.example.org", STUN: "stun.example.org:3478", PerCamera: 500, Total: 1, MaxMinutes: 1440,
		TURN: settings.TURN{URLs: []string{"turn:relay.example.org:3478", "turns:[2001:db8::1]:5349?transport=tcp"}, Secret: "s3cret"},
	}
	got, wrong := in.Normalize()
	if d := cmp.Diff(want, got); d != "" || wrong != nil {
		t.Errorf("%v\n%s", wrong, d)
	}
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "[2001:DB8::7]": "2001:db8::7", "::ffff:203.0.113.7": "203.0.113.7", "cam": "cam", "": "",
		"10.1.2.3": "10.1.2.3", // a router behind another router
	} {
		if got, wrong := (settings.Live{PublicAddress: in}).Normalize(); got.PublicAddress != want || wrong != nil {
			t.Errorf("%q: %q, %v", in, got.PublicAddress, wrong)
		}
	}
}

// TestLiveWrong: everything that is wrong is named at once, by its field, with what to write instead.
func TestLiveWrong(t *testing.T) {
	turn := func(u ...string) settings.Live { return settings.Live{TURN: settings.TURN{URLs: u, Secret: "x"}} }
	for name, c := range map[string]struct {
		in   settings.Live
		want string // "field: piece; field: piece"
	}{
		"port":           {settings.Live{PublicAddress: "home.example.org:443"}, "public_address: without a port"},
		"address port":   {settings.Live{PublicAddress: "203.0.113.7:443"}, "public_address: without a port"},
		"loopback":       {settings.Live{PublicAddress: "127.0.0.1"}, "public_address: from outside"},
		"everything":     {settings.Live{PublicAddress: "::"}, "public_address: from outside"},
		"no name":        {settings.Live{PublicAddress: "my home"}, "public_address: neither"},
		"half a number":  {settings.Live{PublicAddress: "203.0.113"}, "public_address: neither"},
		"only a scheme":  {settings.Live{PublicAddress: "https://"}, "public_address: no name"},
		"stun port":      {settings.Live{STUN: "stun.example.org:99999"}, "stun: 3478"},
		"stun name":      {settings.Live{STUN: "a b"}, "stun: 3478"},
		"stun is turn":   {settings.Live{STUN: "turn:relay.example.org"}, "stun: not a plain"},
		"turn scheme":    {turn("relay.example.org:3478"), "turn_urls: begin with turn:"},
		"turn nothing":   {turn("turn:"), "turn_urls: no server"},
		"turn user":      {turn("turn:u:p@relay.example.org"), "turn_urls: must not hold a user"},
		"turn query":     {turn("turn:relay.example.org?transport=sctp"), "turn_urls: transport=udp"},
		"turn, five":     {turn("turn:a", "turn:b", "turn:c", "turn:d", "turn:e"), "turn_urls: at most 4"},
		"turn, two bad":  {turn("x", "y"), "turn_urls: begin with"},
		"turn no secret": {settings.Live{TURN: settings.TURN{URLs: []string{"turn:a"}}}, "turn_secret: is missing"},
		"secret, spaces": {settings.Live{TURN: settings.TURN{URLs: []string{"turn:a"}, Secret: "a b"}}, "turn_secret: without spaces"},
		"numbers":        {settings.Live{PerCamera: -1, Total: 501, MaxMinutes: 1441}, "per_camera: 1 to 500; total: 0 for 50; max_minutes: never"},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := c.in.Normalize()
			want := strings.Split(c.want, "; ")
			if len(wrong) != len(want) {
				t.Fatalf("got %v, want %v", wrong, want)
			}
			for i, w := range want {
				field, piece, _ := strings.Cut(w, ": ")
				if wrong[i].Field != field || !strings.Contains(wrong[i].Reason, piece) {
					t.Errorf("got %v, want %s", wrong[i], w)
				}
			}
		})
	}
}

// FuzzLive: what is taken is taken again as it is, and holds no spaces or control characters.
func FuzzLive(f *testing.F) {
	f.Add("https://home.example.org", "stun:[::1]:3478", "turns:relay.example.org:443?transport=tcp", "secret")
	f.Add("cam", "stun", "turn:turn", "x")
	f.Add("[::ffff:1.2.3.4]", "a:1", "turn://a@b", " ")
	f.Fuzz(func(t *testing.T, address, stun, turn, secret string) {
		got, wrong := settings.Live{PublicAddress: address, STUN: stun, TURN: settings.TURN{URLs: []string{turn}, Secret: secret}}.Normalize()
		if wrong != nil {
			return
		}
		again, wrong := got.Normalize()
		if d := cmp.Diff(got, again); d != "" || wrong != nil {
			t.Errorf("%v\n%s", wrong, d)
		}
		all := got.PublicAddress + got.STUN + strings.Join(got.TURN.URLs, "") + got.TURN.Secret
		if strings.ContainsFunc(all, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.Errorf("taken: %+v", got)
		}
	})
}
