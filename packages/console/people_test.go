package main_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPeople: accounts are made, changed and deleted; each change counts at once, and somebody always administrates.
func TestPeople(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	checkPage(t, "people", b.get("/settings/people"))
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"short password": {[]string{"name", "Anna", "password", "short", "role", "editor"}, "password-error"},
		"bad name":       {[]string{"name", "a:b", "password", password, "role", "editor"}, "name-error"},
		"no name":        {[]string{"name", " ", "password", password, "role", "editor"}, "name-error"},
		"no role":        {[]string{"name", "Anna", "password", password, "role", "king"}, "role-error"},
		"taken":          {[]string{"name", "Admin", "password", password, "role", "editor"}, "there is an account of that name already"},
		"stream account": {[]string{"name", "porthole", "password", password, "role", "editor"}, "there is an account of that name already"},
	} {
		a := b.post("/settings/people", c.pairs...)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		checkPage(t, name, a)
		if strings.Contains(a.body, password) {
			t.Errorf("%s: the password comes back", name)
		}
	}
	if a := b.post("/settings/people", "name", "Anna  Müller", "password", "hunter2 hunter2", "role", "viewer"); a.status != http.StatusSeeOther {
		t.Fatalf("add: %d\n%s", a.status, a.body)
	}
	if body := b.get("/settings/people").body; !strings.Contains(body, "Anna Müller can log in now, as viewer of all cameras.") || !strings.Contains(body, `>Anna Müller<`) {
		t.Errorf("the list:\n%s", body)
	}
	anna := d.browser()
	login := func(b *browser, password string) answer {
		return b.post("/login", "user", "Anna Müller", "password", password)
	}
	if a := login(anna, "hunter2 hunter2"); a.status != http.StatusSeeOther {
		t.Fatalf("Anna cannot log in: %d", a.status)
	}
	if a := anna.get("/screens"); a.status != http.StatusForbidden {
		t.Errorf("a viewer sees screens: %d", a.status)
	}
	const page = "/settings/people/Anna%20M%C3%BCller"
	checkPage(t, page, b.get(page))
	if a := b.post(page, "role", "editor", "password", ""); a.status != http.StatusSeeOther {
		t.Fatalf("make her an editor: %d\n%s", a.status, a.body)
	}
	if a := anna.get("/screens"); a.status != http.StatusOK {
		t.Errorf("an editor does not see screens: %d", a.status)
	}
	if a := b.post(page, "role", "editor", "password", "short"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a short password: %d", a.status)
	}
	if a := b.post(page, "role", "editor", "password", "hunter2 anew hunter2"); a.status != http.StatusSeeOther {
		t.Fatalf("another password: %d", a.status)
	}
	if a := anna.get("/screens"); a.status != http.StatusSeeOther {
		t.Errorf("logged in with the old password: %d", a.status)
	}
	if a := login(anna, "hunter2 hunter2"); a.status != http.StatusForbidden {
		t.Errorf("the old password: %d", a.status)
	}
	if a := login(anna, "hunter2 anew hunter2"); a.status != http.StatusSeeOther {
		t.Errorf("the new password: %d", a.status)
	}

	// The last administrator stays, whoever asks.
	for _, a := range []answer{b.post("/settings/people/admin", "role", "viewer"), b.post("/settings/people/admin/delete")} {
		if a.status < 400 || !strings.Contains(strings.ToLower(a.body), "somebody has to administrate this device") {
			t.Errorf("the last administrator goes: %d\n%s", a.status, a.body)
		}
	}
	// Who gives oneself another password stays logged in here and nowhere else.
	elsewhere := d.browser()
	if a := elsewhere.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("log in elsewhere: %d", a.status)
	}
	if a := b.post("/settings/people/admin", "role", "admin", "password", password+" anew"); a.status != http.StatusSeeOther {
		t.Fatalf("own password: %d\n%s", a.status, a.body)
	}
	if here, there := b.get("/settings/people"), elsewhere.get("/settings/people"); here.status != http.StatusOK || there.status != http.StatusSeeOther {
		t.Errorf("after an own new password: %d here, %d elsewhere", here.status, there.status)
	}
	if a := b.post(page + "/delete"); a.status != http.StatusSeeOther {
		t.Errorf("delete: %d", a.status)
	}
	if a := anna.get("/screens"); a.status != http.StatusSeeOther {
		t.Errorf("deleted and still inside: %d", a.status)
	}
	if a := b.get(page); a.status != http.StatusNotFound {
		t.Errorf("the page of somebody deleted: %d", a.status)
	}
	if a := b.post(page, "role", "admin"); a.status != http.StatusNotFound {
		t.Errorf("change somebody deleted: %d", a.status)
	}
}

// TestSignageSettings: what holds for all screens is kept or refused as a whole.
func TestSignageSettings(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	menu := d.playlist("Menu")
	first := b.get("/settings/signage")
	checkPage(t, "signage", first)
	for _, want := range []string{`value="UTC"`, `<option value="Europe/Bucharest">`, `>Menu (not published yet)<`} {
		if !strings.Contains(first.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for name, pairs := range map[string][]string{
		"zone":     {"timezone", "Mars/Olympus", "default_playlist", "0"},
		"local":    {"timezone", "Local", "default_playlist", "0"},
		"playlist": {"timezone", "Europe/Berlin", "default_playlist", "99"},
		"number":   {"timezone", "Europe/Berlin", "default_playlist", "x"},
		"origin":   {"timezone", "Europe/Berlin", "default_playlist", "0", "cors_origins", "https://ok.example not an origin"},
	} {
		a := b.post("/settings/signage", pairs...)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "-error") {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		checkPage(t, name, a)
		if body := b.get("/settings/signage").body; !strings.Contains(body, `value="UTC"`) {
			t.Errorf("%s: the zone was kept nevertheless", name)
		}
	}
	if a := b.post("/settings/signage", "timezone", "Europe/Bucharest", "default_playlist", itoa(menu), "cors_origins", "https://Player.example.org/\nhttp://10.0.0.9:8080"); a.status != http.StatusSeeOther {
		t.Fatalf("save: %d\n%s", a.status, a.body)
	}
	body := b.get("/settings/signage").body
	for _, want := range []string{`value="Europe/Bucharest"`, "https://player.example.org\nhttp://10.0.0.9:8080", ` selected>Menu`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if body := b.get("/screens").body; !strings.Contains(body, "Menu is empty, or was never published") {
		t.Errorf("the own screen does not have the default playlist:\n%s", body)
	}
}
