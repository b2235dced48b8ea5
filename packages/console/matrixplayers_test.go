package main_test

import (
	"net/http"
	"strings"
	"testing"
)

// playerCall is a call of players, with the ids and names of one of them.
type playerCall struct{ method, path, body string }

// callsOf are the calls of the contract and ours that concern the player.
func callsOf(id, hostname string) []playerCall {
	return []playerCall{
		{"GET", "/api/playlists/" + id, ""},
		{"GET", "/api/playlists?hostname=" + hostname, ""},
		{"GET", "/api/players/" + id + "/program", ""},
		{"POST", "/api/players/" + id + "/screenshot", "\xff\xd8\xff\xd9"},
		{"POST", "/api/player-feedback", `{"hostname":"` + hostname + `","status":"playing","message":"forged","timestamp":"2026-01-01T00:00:00"}`},
	}
}

func (m *matrix) call(b *browser, c playerCall, header http.Header) answer {
	m.t.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	if strings.HasSuffix(c.path, "/screenshot") {
		h.Set("Content-Type", "image/jpeg")
	}
	for k, v := range header {
		h[k] = v
	}
	return m.send(b, c.method, c.path, c.body, h)
}

func bearer(code string) http.Header { return http.Header{"Authorization": {"Bearer " + code}} }

// TestPlayersApart: a player gets at its own and at nothing of another's; people's sessions open nothing of players'.
func TestPlayersApart(t *testing.T) {
	m := newMatrix(t)
	b := m.people["stranger"]
	refused := func(who string, c playerCall, a answer) {
		t.Helper()
		m.checkSecrets("stranger", c.path+" as "+who, a)
		if a.status < 400 || a.status >= 500 || a.status == http.StatusTooManyRequests || strings.Contains(a.body, "text-of-") {
			t.Errorf("%s %s as %s: %d %.200s", c.method, c.path, who, a.status, a.body)
		}
	}
	for _, c := range callsOf("101", "a") {
		a := m.call(b, c, bearer(codeA))
		m.checkSecrets("stranger", c.path, a)
		// The picture is none.
		if a.status != http.StatusOK && !strings.HasSuffix(c.path, "/screenshot") || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
			t.Errorf("%s %s as itself: %d %.200s", c.method, c.path, a.status, a.body)
		}
		if strings.Contains(a.body, "text-of-b") {
			t.Errorf("%s shows the other's: %.300s", c.path, a.body)
		}
	}
	if a := m.call(b, playerCall{"GET", "/api/players/101/program", ""}, bearer(codeA)); !strings.Contains(a.body, "text-of-a") {
		t.Errorf("its own program: %d %.300s", a.status, a.body)
	}
	for _, c := range callsOf("102", "b") {
		// What names another by its host name only is answered with the caller's own, or taken for its own.
		if a := m.call(b, c, bearer(codeA)); !strings.Contains(c.path, "/102") && a.status == http.StatusOK {
			m.checkSecrets("stranger", c.path, a)
			if strings.Contains(a.body, "text-of-b") || strings.Contains(a.body, "102") {
				t.Errorf("%s %s shows the other's: %.300s", c.method, c.path, a.body)
			}
		} else {
			refused("the other player", c, a)
		}
		refused("a stranger", c, m.call(b, c, nil))
		refused("somebody with a wrong code", c, m.call(b, c, bearer("wrong")))
		for _, role := range roles[1:] {
			refused(role, c, m.call(m.people[role], c, nil))
		}
	}
	for _, c := range callsOf("-1", "") {
		refused("a player without end", c, m.call(b, c, nil))
	}
	for _, path := range []string{"/api/media/x/a.jpg", "/api/media/" + strings.Repeat("A", 60) + "/a.jpg", "/api/media/../../porthole.db", "/api/", "/api/v1/accounts"} {
		c := playerCall{"GET", path, ""}
		a := m.call(m.people["admin"], c, bearer(codeA))
		if a.status < 300 || strings.Contains(a.body, "SQLite") {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
	}
	m.notForged(t)
}

// notForged looks into the database for what the other player is said to have said.
func (m *matrix) notForged(t *testing.T) {
	t.Helper()
	// console keeps at its end what players have told.
	m.stop()
	var n int
	if err := m.query("SELECT count(*) FROM player_feedback WHERE player = 102", &n); err != nil || n != 0 {
		t.Errorf("%d reports of the other player: %v", n, err)
	}
	if err := m.query("SELECT count(*) FROM players WHERE id = 102 AND (last_seen > 0 OR screenshot > 0)", &n); err != nil || n != 0 {
		t.Errorf("the other player was seen: %v", err)
	}
}

// TestPlayersWithoutTLS: without TLS a player is told where to go, unless it may come so and is near; others are, too.
func TestPlayersWithoutTLS(t *testing.T) {
	m := newMatrix(t)
	b := m.people["stranger"]
	plain := func(c playerCall, code string, near bool) answer {
		t.Helper()
		h := bearer(code)
		h.Set("X-Forwarded-Proto", "http")
		if near {
			h.Set("Porthole-Near", "1")
		}
		return m.call(b, c, h)
	}
	elsewhere := func(c playerCall, a answer) {
		t.Helper()
		m.checkSecrets("stranger", c.path, a)
		if a.status != http.StatusUpgradeRequired || !strings.Contains(a.body, `"https_url":"https://`) || !strings.Contains(a.header.Get("Upgrade"), "TLS") || strings.Contains(a.body, "text-of-") {
			t.Errorf("%s %s: %d %q %.200s", c.method, c.path, a.status, a.header.Get("Upgrade"), a.body)
		}
	}
	calls := append(callsOf("101", "a"), playerCall{"POST", "/api/auth/player", `{"hostname":"a","quickconnect_code":"their-quick-connect-code"}`},
		playerCall{"POST", "/api/auth/verify", "{}"}, playerCall{"POST", "/api/pair", `{}`})
	for _, near := range []bool{true, false} {
		for _, c := range calls {
			elsewhere(c, plain(c, codeA, near))
		}
	}
	for _, path := range []string{"/api/health", "/api/certificate"} {
		if a := plain(playerCall{"GET", path, ""}, codeA, false); a.status == http.StatusUpgradeRequired || a.status >= 300 && a.status < 400 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	m.stop()
	if err := m.exec("UPDATE players SET plain_http = 1 WHERE id = 101"); err != nil {
		t.Fatal(err)
	}
	m.start()
	own := playerCall{"GET", "/api/playlists/101", ""}
	if a := plain(own, codeA, true); a.status != http.StatusOK {
		t.Errorf("a player that may: %d %s", a.status, a.body)
	}
	elsewhere(own, plain(own, codeA, false))
	elsewhere(own, plain(playerCall{"GET", "/api/playlists/102", ""}, codeB, true))
}
