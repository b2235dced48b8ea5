package main_test

import (
	"database/sql"
	"strings"
	"testing"
)

// query reads one value behind console's back.
func (d *device) query(query string) string { return d.queryIn(d.database(), query) }

// queryIn reads one value of a database.
func (d *device) queryIn(path, query string) string {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	var v string
	if err := db.QueryRow(query).Scan(&v); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return v
}

const ownRow = "SELECT count(*) || ' ' || max(hostname) || ' ' || max(name) FROM players WHERE own = 1"

// TestOwnScreen: the device's own screen is there from the first start, once, under the device's name.
func TestOwnScreen(t *testing.T) {
	d := newDevice(t).start()
	if got := d.query(ownRow); got != "1 porthole This screen" {
		t.Errorf("after the first start: %q", got)
	}
	d.stop()
	d.start()
	if got := d.query(ownRow); got != "1 porthole This screen" {
		t.Errorf("after the second: %q", got)
	}
	provisioned := newDevice(t)
	s := newSystem(t)
	offered(s, "one", file)
	provisioned.peer("system", s)
	provisioned.start().took(s, "one")
	if got := provisioned.query(ownRow); got != "1 shop This screen" {
		t.Errorf("with a hostname from porthole.toml: %q", got)
	}
}

// TestOwnersZone: schedules are in the zone of the browser that claimed the device, if that says a zone.
func TestOwnersZone(t *testing.T) {
	const zone = "SELECT coalesce(max(value), '') FROM settings WHERE key = 'timezone'"
	for typed, want := range map[string]string{"Europe/Bucharest": "Europe/Bucharest", "Local": "", "../x": "", "": ""} {
		d := newDevice(t).start()
		b := d.browser()
		if a := b.get("/claim"); !strings.Contains(a.body, `name="timezone"`) || !strings.Contains(a.body, "/assets/claim.js") {
			t.Errorf("the claim page does not ask for the zone\n%s", a.body)
		}
		b.post("/claim", "code", d.claimCode(), "password", password, "confirm", password, "timezone", typed)
		if got := d.query(zone); got != want {
			t.Errorf("%q: kept %q", typed, got)
		}
		d.stop()
	}
}
