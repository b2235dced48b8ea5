package main_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestProvisionScreens: the players that porthole.toml declares are there and log in; a file whose codes were taken out
// changes what it says and leaves the codes; what cannot be is said, and the rest is taken.
func TestProvisionScreens(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	plain := true
	s.offer("one", map[string]any{
		"admin_password": password, "hostname": "shop",
		"player": map[string]any{"orientation": "portrait", "show": "status"},
		"screens": []any{
			map[string]any{"own": true, "name": "Till", "group": "Inside", "orientation": "portrait"},
			map[string]any{"hostname": "tv-window", "name": "Window", "quickconnect_code": "ABC123XYZ", "group": "Street", "plain_http": plain},
			map[string]any{"hostname": "tv-door", "group": "Street", "playlist": "Nothing"},
			map[string]any{"hostname": "shop"},
		},
	}, nil)
	d.peer("system", s)
	d.start()
	b := d.browser()
	eventually(t, "the file is taken", func() bool { return len(s.tookAll()) == 1 })
	if a := b.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("log in: %d", a.status)
	}
	body := b.get("/screens").body
	for _, want := range []string{">Till<", ">Window<", ">tv-door<", "Group Inside", "Group Street"} {
		if !strings.Contains(body, want) {
			t.Errorf("the screens lack %q:\n%s", want, body)
		}
	}
	if n := strings.Count(body, "data-key="); n != 3 {
		t.Errorf("%d screens", n)
	}
	home := b.get("/").body
	for _, want := range []string{"there is no playlist &#34;Nothing&#34; yet", "&#34;shop&#34; is this device itself"} {
		if !strings.Contains(home, want) {
			t.Errorf("nothing says that %s:\n%s", want, home)
		}
	}
	if groups := b.get("/groups").body; strings.Count(groups, `href="/groups/`) != 4 || !strings.Contains(groups, "2 screens") {
		t.Errorf("the groups:\n%s", groups)
	}
	login := func(hostname, code string) int {
		return d.api("Kiwy-Signage-Player/1.0", "POST", "/api/auth/player", "", map[string]string{"hostname": hostname, "quickconnect_code": code}, nil).status
	}
	if got := login("tv-window", "ABC123XYZ"); got != http.StatusOK {
		t.Errorf("the declared code: %d", got)
	}
	if got := login("tv-door", "ABC123XYZ"); got != http.StatusUnauthorized {
		t.Errorf("a screen without a code: %d", got)
	}
	own := d.query("SELECT orientation || ' ' || name FROM players WHERE own = 1")
	if own != "portrait Till" {
		t.Errorf("the own screen: %q", own)
	}
	if kept := d.query("SELECT quickconnect_hash FROM players WHERE hostname = 'tv-window'"); !strings.HasPrefix(kept, "$argon2id$") {
		t.Errorf("the code is kept as %q", kept)
	}

	// The same file after its secrets were taken out, and with another name.
	d.stop()
	s.offer("two", map[string]any{"screens": []any{
		map[string]any{"own": true, "name": "Till 1"},
		map[string]any{"hostname": "tv-window", "name": "Big window", "plain_http": false},
	}}, nil)
	d.start()
	eventually(t, "the second file is taken", func() bool { return len(s.tookAll()) == 2 })
	row := d.query("SELECT p.name || ' ' || p.plain_http || ' ' || g.name FROM players p JOIN player_groups g ON g.id = p.player_group WHERE hostname = 'tv-window'")
	if row != "Big window 0 Street" {
		t.Errorf("after the second file: %q", row)
	}
	if got := login("tv-window", "ABC123XYZ"); got != http.StatusOK {
		t.Errorf("the code after the second file: %d", got)
	}
	if strings.Contains(d.log.String(), "ABC123XYZ") {
		t.Error("a code is in the log")
	}
}
