package main_test

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"

	console "porthole/packages/console"
	"porthole/packages/internal/identity"
)

// TestEveryPageSaysWhoMaySeeIt: a page without an access level would keep console from starting.
func TestEveryPageSaysWhoMaySeeIt(t *testing.T) {
	routes := console.Routes()
	if len(routes) < 40 {
		t.Fatalf("only %d pages", len(routes))
	}
	for _, r := range routes {
		if r.Who == "" {
			t.Errorf("%q does not say who may see it", r.Pattern)
		}
	}
	for who, ok := range map[int]bool{-1: false, 0: false, 1: true, 4: true, 5: false} {
		if err := console.CheckRoute(who); (err == nil) != ok {
			t.Errorf("access %d: %v", who, err)
		}
	}
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		role identity.Role
		may  string
	}{
		{"", "anyone"},
		{"janitor", "anyone"},
		{identity.Viewer, "anyone user"},
		{identity.Editor, "anyone user editor"},
		{identity.Admin, "anyone user editor admin"},
	} {
		for _, who := range []string{"anyone", "user", "editor", "admin", "nonsense"} {
			if got, want := console.May(c.role, who), strings.Contains(" "+c.may+" ", " "+who+" "); got != want {
				t.Errorf("%q on a page for %s: %v", c.role, who, got)
			}
		}
	}
}

// TestGuardAsksTheDatabase: a role that is taken away counts at the next click.
func TestGuardAsksTheDatabase(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	if a := b.get("/settings/proxy"); a.status != http.StatusOK {
		t.Fatalf("an administrator: %d", a.status)
	}
	d.setRole("admin", identity.Editor)
	if a := b.get("/settings/proxy"); a.status != http.StatusForbidden || !strings.Contains(a.body, "Only an administrator") {
		t.Errorf("an editor: %d", a.status)
	}
	if a := b.get("/certificate"); a.status != http.StatusOK {
		t.Errorf("an editor on a page for all: %d", a.status)
	}
}

// setRole changes an account behind console's back.
func (d *device) setRole(name string, role identity.Role) {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+d.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE accounts SET role = ? WHERE name = ?", role, name); err != nil {
		d.t.Fatal(err)
	}
}
