package main_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porthole/packages/internal/settings"
)

// noTokens leaves the tokens' hashes out of a comparison of cameras: they are random.
var noTokens = cmpopts.IgnoreFields(settings.Camera{}, "TokenHashes")

// TestMigration: a database of the first version keeps its cameras and gets tokens, once.
func TestMigration(t *testing.T) {
	d := newDevice(t)
	script, err := os.ReadFile("migrations/0001_start.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(d.database()), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", d.database())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(script), `PRAGMA user_version = 1`,
		`INSERT INTO cameras (id, name, url, user, password, transport) VALUES ('yard', 'Yard', 'rtsp://192.168.1.30/s', 'joe', 'hunter2', 'tcp')`,
		`INSERT INTO stream_account (only, user, password) VALUES (1, 'porthole', 'as it was before')`} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.start()
	p := d.proxySettings()
	yard := settings.Camera{ID: "yard", Name: "Yard", URL: "rtsp://192.168.1.30/s", User: "joe", Password: "hunter2", Transport: settings.TCP, Auth: settings.AnyAuth}
	if d := cmp.Diff([]settings.Camera{yard}, p.Cameras, noTokens); d != "" {
		t.Error(d)
	}
	if len(p.Cameras[0].TokenHashes) != 1 || len(p.Accounts) != 1 || p.Accounts[0].HA1SHA256 == "" {
		t.Errorf("tokens %q, accounts %+v", p.Cameras[0].TokenHashes, p.Accounts)
	}
	if !p.PlainHTTP || p.TestSocket || p.Access.Restricted {
		t.Errorf("switches after the update: %+v", p)
	}
	d.stop()
	d.start()
	if again := d.proxySettings(); again.Revision != p.Revision || again.Cameras[0].TokenHashes[0] != p.Cameras[0].TokenHashes[0] {
		t.Errorf("the next start changed it: %+v", again)
	}
}
