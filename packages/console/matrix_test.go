package main_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	console "porthole/packages/console"
	"porthole/packages/console/credential"
	"porthole/packages/internal/identity"
)

// The auth codes of the two players of a matrix, and what no lower role may see.
const (
	codeA, codeB = "auth-code-of-player-a-0123456789", "auth-code-of-player-b-0123456789"
	cameraSecret = "camera-hunter2"
)

// matrix is a device with somebody of every role.
type matrix struct {
	*device
	// people are browsers by role; "stranger" has no session.
	people map[string]*browser
	// secrets may be seen by nobody, or by administrators only.
	hashes, adminOnly []string
}

// roles in the order of what they may.
var roles = []string{"stranger", "viewer", "editor", "admin"}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	d := newDevice(t).start()
	m := &matrix{device: d, people: map[string]*browser{"stranger": d.browser(), "admin": d.claimed()}}
	d.addCamera(m.people["admin"], "name", "Yard", "url", "rtsp://192.168.1.30/s", "user", "cam", "password", cameraSecret)
	db, err := sql.Open("sqlite", "file:"+d.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, role := range []identity.Role{identity.Viewer, identity.Editor} {
		// The same password as the administrator's.
		if _, err := db.Exec("INSERT INTO accounts (name, hash, role, created) SELECT ?, hash, ?, created FROM accounts WHERE name = 'admin'", string(role), role); err != nil {
			t.Fatal(err)
		}
		b := d.browser()
		if a := b.post("/login", "user", string(role), "password", password); a.status != http.StatusSeeOther {
			t.Fatalf("%s logs in: %d\n%s", role, a.status, a.body)
		}
		m.people[string(role)] = b
	}
	m.fill(t, db)
	// What was written behind console's back is seen after a restart.
	d.stop()
	d.start()
	return m
}

// fill puts signage into the database: two players with a playlist each.
func (m *matrix) fill(t *testing.T, db *sql.DB) {
	t.Helper()
	now := time.Now().Unix()
	quickConnect, err := credential.NewHasher().Hash(m.t.Context(), "their-quick-connect-code")
	if err != nil {
		t.Fatal(err)
	}
	sum := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{"INSERT INTO playlists (id, name, version, created) VALUES (1, 'A''s', 1, ?), (2, 'B''s', 1, ?)", []any{now, now}},
		{"INSERT INTO playlist_items (id, origin, playlist, stage, position, kind, text, duration_ms) VALUES (1, 0, 1, 'draft', 1, 'text', 'text-of-a', 1000), (2, 1, 1, 'live', 1, 'text', 'text-of-a', 1000), (3, 0, 2, 'draft', 1, 'text', 'text-of-b', 1000), (4, 3, 2, 'live', 1, 'text', 'text-of-b', 1000)", nil},
		{"INSERT INTO player_groups (id, name) VALUES (1, 'shop')", nil},
		{"INSERT INTO players (id, name, hostname, playlist, created, quickconnect_hash, password_hash) VALUES (101, 'A', 'a', 1, ?, ?, ?), (102, 'B', 'b', 2, ?, ?, ?)", []any{
			now, quickConnect, "", now, quickConnect, ""}},
		{"INSERT INTO player_auth_codes (hash, player, created, expires) VALUES (?, 101, ?, ?), (?, 102, ?, ?)", []any{sum(codeA), now, now + 86400, sum(codeB), now, now + 86400}},
		{"INSERT INTO schedule_rules (id, name, playlist, from_minute, to_minute, weekdays) VALUES (1, 'always', 1, 0, 1440, 127)", nil},
	} {
		if _, err := db.Exec(q.sql, q.args...); err != nil {
			t.Fatalf("%s: %v", q.sql, err)
		}
	}
	rows, err := db.Query("SELECT hash FROM accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			t.Fatal(err)
		}
		m.hashes = append(m.hashes, hash)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	m.hashes = append(m.hashes, "$argon2id$", quickConnect, codeA, codeB, hex.EncodeToString(sum(codeA)))
	var account, token string
	if err := db.QueryRow("SELECT password FROM stream_account").Scan(&account); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("SELECT token FROM stream_tokens LIMIT 1").Scan(&token); err != nil {
		t.Fatal(err)
	}
	m.adminOnly = []string{account, token, cameraSecret}
}

// parameter is one in a pattern of net/http.
var parameter = regexp.MustCompile(`\{[a-z_]+(?:\.\.\.)?\}`)

// target fills a pattern's parameters with every, or with things that are there.
func (m *matrix) target(path, every string) string {
	path = strings.TrimSuffix(path, "{$}")
	return parameter.ReplaceAllStringFunc(path, func(p string) string {
		name := strings.TrimSuffix(strings.Trim(p, "{}"), "...")
		switch {
		case every != "":
			return every
		case name == "user":
			return "porthole"
		case strings.HasPrefix(path, "/screens/"):
			return "101"
		case strings.Contains(path, "camera"):
			return "yard"
		}
		return "1"
	})
}

// ask sends an empty form, or nothing.
func (m *matrix) ask(b *browser, method, target string, header http.Header) answer {
	m.t.Helper()
	h := http.Header{}
	if method != http.MethodGet && method != http.MethodHead {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	maps.Copy(h, header)
	return m.send(b, method, target, "", h)
}

// send sends a request that ends in time.
func (m *matrix) send(b *browser, method, target, body string, header http.Header) answer {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+b.host+target, strings.NewReader(body))
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, target, err)
	}
	req.Header.Set("X-Forwarded-For", b.remote)
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", b.host)
	maps.Copy(req.Header, header)
	res, err := b.client.Do(req)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, readSome(m.t, res)}
}

// behind opens the database behind console's back.
func (m *matrix) behind(do func(*sql.DB) error) error {
	db, err := sql.Open("sqlite", "file:"+m.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

func (m *matrix) exec(q string) error {
	return m.behind(func(db *sql.DB) error {
		_, err := db.Exec(q)
		return err
	})
}

func (m *matrix) query(q string, to any) error {
	return m.behind(func(db *sql.DB) error { return db.QueryRow(q).Scan(to) })
}

// method splits a pattern; one without a method is for all.
func method(pattern string) (method, path string) {
	if m, p, ok := strings.Cut(pattern, " "); ok {
		return m, p
	}
	return http.MethodGet, pattern
}

// checkSecrets: nobody ever sees a hash; what administrators see, others do not.
func (m *matrix) checkSecrets(role, what string, a answer) {
	m.t.Helper()
	list := m.hashes
	if role != "admin" {
		list = append(append([]string{}, list...), m.adminOnly...)
	}
	for _, s := range list {
		if strings.Contains(a.body, s) {
			m.t.Errorf("%s as %s shows a secret (%.12s…)", what, role, s)
		}
	}
}

// TestRoles walks through all pages as everybody, and nobody gets further than the table says.
func TestRoles(t *testing.T) {
	m := newMatrix(t)
	reach := map[string]int{"anyone": 0, "user": 1, "editor": 2, "admin": 3}
	// From those who may least on: what they do must change nothing for those who come.
	for rank, role := range roles {
		b := m.people[role]
		for _, r := range console.Routes() {
			verb, path := method(r.Pattern)
			if path == "/" || path == "/logout" {
				continue
			}
			what := verb + " " + path + " (for " + r.Who + ") as " + role
			// A browser's own forms.
			a := m.ask(b, verb, m.target(path, ""), http.Header{"Sec-Fetch-Site": {"same-origin"}})
			m.checkSecrets(role, what, a)
			toLogin := a.status == http.StatusSeeOther && strings.HasPrefix(a.location, "/login")
			switch {
			case rank >= reach[r.Who]:
				// What is asked for need not be there, and the other processes are not; but it is not a matter of who asks.
				if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden && !ownReason[verb+" "+path] || a.status == http.StatusInternalServerError || toLogin && r.Who != "anyone" {
					t.Errorf("%s: %d %s %.300s", what, a.status, a.location, a.body)
				}
			case role == "stranger":
				if !toLogin && a.status != http.StatusUnauthorized {
					t.Errorf("%s: %d %s", what, a.status, a.location)
				}
			case a.status != http.StatusForbidden:
				t.Errorf("%s: %d %s", what, a.status, a.location)
			}
		}
	}
}

// ownReason are the pages that refuse for another reason than who asks: a wrong password, and the first RTSP account stays.
var ownReason = map[string]bool{"POST /login": true, "POST /settings/proxy/accounts/{user}/delete": true}

// TestOtherSites: no form of another site does anything, whoever is logged in.
func TestOtherSites(t *testing.T) {
	m := newMatrix(t)
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.lan"}},
		// A browser from before Sec-Fetch-Site.
		{"Origin": {"https://evil.example"}},
	} {
		for _, r := range console.Routes() {
			verb, path := method(r.Pattern)
			if verb == http.MethodGet || path == "/" {
				continue
			}
			if verb == http.MethodHead || verb == http.MethodOptions {
				// They change nothing, and no script of the other site reads the answer.
				if a := m.ask(m.people["admin"], verb, m.target(path, ""), header); a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s %s from another site: %v", verb, path, a.header)
				}
				continue
			}
			if a := m.ask(m.people["admin"], verb, m.target(path, ""), header); a.status != http.StatusForbidden {
				t.Errorf("%s %s from another site (%v): %d", verb, path, header, a.status)
			}
		}
	}
	if a := m.people["admin"].get("/settings/proxy"); a.status != http.StatusOK {
		t.Errorf("the session has ended: %d", a.status)
	}
}

// TestPathNames: whatever stands where a path has a name, it is a name and nothing else.
func TestPathNames(t *testing.T) {
	m := newMatrix(t)
	evil := []string{
		"..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fporthole.db", "..%5c..%5cwin.ini", "%2fetc%2fpasswd", "....%2f%2f", "%00", "a%00.jpg",
		"a%0d%0aSet-Cookie:%20x=y", "%3cscript%3ealert(1)%3c%2fscript%3e", "%27%20OR%201=1--", "-1", "99999999999999999999", "0x1", "1e3", "%ff%fe", strings.Repeat("a", 5000),
	}
	for _, role := range []string{"stranger", "admin"} {
		b := m.people[role]
		for _, r := range append(console.Routes(), plain()...) {
			verb, path := method(r.Pattern)
			if !parameter.MatchString(path) {
				continue
			}
			for _, e := range evil {
				what := verb + " " + m.target(path, e) + " as " + role
				a := m.ask(b, verb, m.target(path, e), http.Header{"Sec-Fetch-Site": {"same-origin"}, "Authorization": {"Bearer " + codeA}})
				m.checkSecrets(role, what, a)
				switch {
				case a.status == http.StatusInternalServerError:
					t.Errorf("%.120s: %d %.200s", what, a.status, a.body)
				case strings.Contains(a.body, "root:x:") || strings.Contains(a.body, "SQLite format 3"):
					t.Errorf("%.120s shows a file", what)
				case strings.Contains(a.body, "<script>alert(1)"):
					t.Errorf("%.120s repeats a script", what)
				case len(a.header["Set-Cookie"]) > 0 && strings.Contains(strings.Join(a.header["Set-Cookie"], " "), "x=y"):
					t.Errorf("%.120s splits the answer", what)
				}
			}
		}
	}
}

// plain are the routes without a session, as pages.
func plain() []console.Route {
	var all []console.Route
	for _, p := range console.PlainRoutes() {
		all = append(all, console.Route{Pattern: p, Who: "anyone"})
	}
	return all
}

// readSome reads what fits of an answer.
func readSome(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		t.Fatalf("%s: %v", res.Request.URL, err)
	}
	return string(b)
}
