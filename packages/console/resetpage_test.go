package main_test

import (
	"database/sql"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestResetPage: a factory reset needs the word and the password of who asks, and is noted before it begins.
func TestResetPage(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.claimed()
	if a := b.get("/settings/reset"); a.status != http.StatusOK || !strings.Contains(a.body, "cannot be brought back") || !strings.Contains(a.body, "/settings/transfer") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	for _, c := range []struct{ word, password, says string }{
		{"", password, "type the word reset here"},
		{"yes", password, "type the word reset here"},
		{"reset", "", "this is not your password"},
		{"reset", "wrong horse battery", "this is not your password"},
	} {
		want := http.StatusUnprocessableEntity
		if c.word == "reset" {
			want = http.StatusForbidden
		}
		a := b.post("/settings/reset", "word", c.word, "password", c.password)
		if a.status != want || !strings.Contains(a.body, c.says) {
			t.Errorf("%q and %q: %d\n%s", c.word, c.password, a.status, a.body)
		}
		checkPage(t, "reset refused", a)
	}
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	a := b.post("/settings/reset", "word", "reset", "password", password)
	if a.status != http.StatusBadGateway || !strings.Contains(a.body, "Nothing was reset") || !strings.Contains(a.body, "factory-reset.txt") || strings.Contains(a.body, "no space left") {
		t.Errorf("system cannot: %d\n%s", a.status, a.body)
	}
	checkPage(t, "reset failed", a)
	s.mu.Lock()
	if s.broken = false; len(s.resets) != 0 {
		t.Errorf("reset by %q", s.resets)
	}
	s.mu.Unlock()
	a = b.post("/settings/reset", "word", " Reset ", "password", password)
	if a.status != http.StatusAccepted || !strings.Contains(a.body, "The device is being reset") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	checkPage(t, "reset begun", a)
	s.mu.Lock()
	if !slices.Equal(s.resets, []string{"admin"}) {
		t.Errorf("reset by %q", s.resets)
	}
	s.mu.Unlock()
	db, err := sql.Open("sqlite", "file:"+d.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT count(*) FROM audit WHERE who = 'admin' AND remote = '192.168.1.7' AND area = 'device' AND what = 'ordered a factory reset'").Scan(&n); err != nil || n != 2 {
		t.Errorf("noted %d times: %v", n, err)
	}
}

// TestResetIsLimited: somebody at a browser that was left open does not guess the password here.
func TestResetIsLimited(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.claimed()
	limited := false
	for range 50 {
		a := b.post("/settings/reset", "word", "reset", "password", "guess")
		limited = limited || a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "" && strings.Contains(a.body, "Too many wrong tries")
	}
	if !limited {
		t.Error("fifty wrong passwords, and nobody minds")
	}
	if len(s.resets) != 0 {
		t.Errorf("reset by %q", s.resets)
	}
}
