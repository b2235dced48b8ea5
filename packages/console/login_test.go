package main_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	console "porthole/packages/console"
)

func TestLoginLogout(t *testing.T) {
	d := newDevice(t).start()
	d.claimed()
	b := d.browser()
	if a := b.get("/logs/proxy?x=1"); a.location != "/login?next="+url.QueryEscape("/logs/proxy?x=1") {
		t.Fatalf("without a session: %d to %q", a.status, a.location)
	}
	if a := b.get("/fragments/home"); a.status != http.StatusUnauthorized {
		t.Errorf("fragment without a session: %d", a.status)
	}
	for _, c := range [][2]string{{"admin", "wrong password"}, {"nobody", password}, {"porthole", password}, {"", ""}} {
		a := b.post("/login", "user", c[0], "password", c[1], "next", "/logs/proxy")
		if a.status != http.StatusForbidden || !strings.Contains(a.body, "User name or password is wrong") || !strings.Contains(a.body, `value="/logs/proxy"`) {
			t.Errorf("login as %q: %d", c[0], a.status)
		}
	}
	a := b.post("/login", "user", "admin", "password", password, "next", "/logs/proxy")
	if a.status != http.StatusSeeOther || a.location != "/logs/proxy" {
		t.Fatalf("login: %d to %q", a.status, a.location)
	}
	cookies := a.header.Values("Set-Cookie")
	if len(cookies) != 2 {
		t.Fatalf("a login sets %q", cookies)
	}
	for i, mark := range [][]string{{"__Host-porthole-known=", "; Max-Age=34560000"}, {"__Host-porthole=", "; Max-Age=2592"}} {
		for _, want := range append(mark, "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax") {
			if !strings.Contains(cookies[i], want) {
				t.Errorf("cookie %q lacks %q", cookies[i], want)
			}
		}
		if strings.Contains(cookies[i], "Domain") {
			t.Errorf("cookie %q names a domain", cookies[i])
		}
	}
	if a := b.get("/"); a.status != http.StatusOK || a.header.Get("Set-Cookie") != "" {
		t.Errorf("home: %d, and a look at it sets %q", a.status, a.header.Get("Set-Cookie"))
	}
	if a := b.get("/login?next=/logs/x"); a.location != "/logs/x" {
		t.Errorf("login page while logged in: %d to %q", a.status, a.location)
	}
	// Logging out ends the session itself, not only the cookie.
	stolen := d.browser()
	home, err := url.Parse("https://" + b.host)
	if err != nil {
		t.Fatal(err)
	}
	stolen.client.Jar.SetCookies(home, b.client.Jar.Cookies(home))
	if a := stolen.get("/"); a.status != http.StatusOK {
		t.Fatalf("the same cookie elsewhere: %d", a.status)
	}
	if a := b.post("/logout"); a.location != "/login" {
		t.Errorf("logout: %d to %q", a.status, a.location)
	}
	for who, b := range map[string]*browser{"who logged out": b, "who kept the cookie": stolen} {
		if a := b.get("/"); a.location != "/login" {
			t.Errorf("%s: %d to %q", who, a.status, a.location)
		}
	}
}

func TestLoginIsLimited(t *testing.T) {
	d := newDevice(t).start()
	d.claimed()
	b := d.browser()
	b.remote = "203.0.113.9"
	for i := range 5 {
		if a := b.post("/login", "user", "admin", "password", "guess"); a.status != http.StatusForbidden {
			t.Fatalf("try %d: %d", i, a.status)
		}
	}
	a := b.post("/login", "user", "admin", "password", password)
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("after five wrong tries: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	if !strings.Contains(a.body, "Too many wrong tries. Wait ") {
		t.Errorf("the page does not say what to do:\n%s", a.body)
	}
	home := d.browser()
	if a := home.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Errorf("the family at home: %d", a.status)
	}
}

// TestTokenIsRenewed: a session planted before the login is worth nothing after it.
func TestTokenIsRenewed(t *testing.T) {
	d := newDevice(t).start()
	d.claimed()
	b := d.browser()
	home, err := url.Parse("https://" + b.host)
	if err != nil {
		t.Fatal(err)
	}
	planted := &http.Cookie{Name: "__Host-porthole", Value: "planted", Path: "/", Secure: true}
	b.client.Jar.SetCookies(home, []*http.Cookie{planted})
	if a := b.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("login: %d", a.status)
	}
	for _, c := range b.client.Jar.Cookies(home) {
		if c.Value == "planted" {
			t.Error("the planted token is the session's")
		}
	}
	thief := d.browser()
	thief.client.Jar.SetCookies(home, []*http.Cookie{planted})
	if a := thief.get("/"); a.status != http.StatusSeeOther {
		t.Errorf("the planted token works: %d", a.status)
	}
}

func TestSessionSurvivesRestart(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	d.stop()
	b.client.CloseIdleConnections()
	d.start()
	if a := b.get("/"); a.status != http.StatusOK {
		t.Errorf("after a restart: %d to %q", a.status, a.location)
	}
	// Who reads the database does not get sessions out of it.
	db, err := sql.Open("sqlite", filepath.Join(d.options.Env.PermDir, "console", "porthole.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all, plain int
	token := b.cookie("__Host-porthole").Value
	if err := db.QueryRow("SELECT count(*), count(*) FILTER (WHERE token = ? OR instr(data, ?)) FROM sessions", token, token).Scan(&all, &plain); err != nil || all != 1 || plain != 0 {
		t.Errorf("%d sessions, %d with their token, %v", all, plain, err)
	}
	if err := db.QueryRow("SELECT count(*) FROM accounts WHERE hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'").Scan(&all); err != nil || all != 1 {
		t.Errorf("%d accounts with the hash they should have, %v", all, err)
	}
}

func TestNextIsLocal(t *testing.T) {
	for next, want := range map[string]string{
		"":                              "/",
		"/":                             "/",
		"/logs/proxy":                   "/logs/proxy",
		"/livestream/viewer?camera=a":   "/livestream/viewer?camera=a",
		"/a#b":                          "/a#b",
		"logs":                          "/",
		"https://evil.example/":         "/",
		"//evil.example/":               "/",
		"///evil.example/":              "/",
		`/\evil.example/`:               "/",
		`\\evil.example/`:               "/",
		"/\t/evil.example/":             "/",
		"/\n/evil.example/":             "/",
		" //evil.example":               "/",
		"/%2F/evil.example":             "/",
		"/%5Cevil.example":              "/",
		"javascript:alert(1)":           "/",
		"/%zz":                          "/",
		"/\x00":                         "/",
		"https:evil.example":            "/",
		"/.//evil.example":              "/.//evil.example", // a path on this host; the redirect cleans it
		"/a?next=https://evil.example/": "/a?next=https://evil.example/",
	} {
		if got := console.LocalPath(next); got != want {
			t.Errorf("next=%q leads to %q, want %q", next, got, want)
		}
	}
	d := newDevice(t).start()
	d.claimed()
	for next, want := range map[string]string{"//evil.example": "/", "/.//evil.example": "/evil.example", "/a?b=c": "/a?b=c"} {
		if a := d.browser().post("/login", "user", "admin", "password", password, "next", next); a.location != want {
			t.Errorf("login with next=%q leads to %q", next, a.location)
		}
	}
}

// FuzzLocalPath: wherever next leads, a browser stays on this host.
func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b#c", "/%2f/x", "http://x", "/\t/x", "/.//x", "?", "/a:b@c"} {
		f.Add(s)
	}
	base, err := url.Parse("https://porthole.lan/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := console.LocalPath(next)
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != "https" || u.User != nil {
			t.Errorf("%q leads to %q: %v, %v", next, got, u, err)
		}
		if strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, got)
		}
	})
}

func TestCrossSite(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	for name, h := range map[string]http.Header{
		"fetch metadata":   {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		"same site":        {"Sec-Fetch-Site": {"same-site"}},
		"origin only":      {"Origin": {"https://evil.example"}},
		"null origin":      {"Origin": {"null"}},
		"other port":       {"Origin": {"https://porthole.lan:9443"}},
		"host in the path": {"Origin": {"https://evil.example/porthole.lan:8443"}},
	} {
		b.header = h
		for _, path := range []string{"/settings/cameras/new", "/logout", "/processes/proxy/restart", "/login", "/claim"} {
			a := b.post(path, "id", "x", "url", "rtsp://h/s")
			if a.status != http.StatusForbidden || !strings.Contains(a.body, "came from another site") {
				t.Errorf("%s: POST %s: %d", name, path, a.status)
			}
		}
	}
	b.header = nil
	if a := b.get("/"); a.status != http.StatusOK || !strings.Contains(a.body, "No camera yet") {
		t.Errorf("another site logged us out or added a camera: %d", a.status)
	}
	for name, h := range map[string]http.Header{
		"own page":        {"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://porthole.lan:8443"}},
		"old browser":     {"Origin": {"https://porthole.lan:8443"}},
		"typed by a user": {"Sec-Fetch-Site": {"none"}},
		"program":         {},
	} {
		b.header = h
		if a := b.post("/settings/cameras/new"); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}
