package main_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	console "porthole/packages/console"
)

// TestNewerDatabase: an update was tried, its program migrated the database, and the former program runs again.
func TestNewerDatabase(t *testing.T) {
	t.Run("it can work with it", func(t *testing.T) {
		d := newDevice(t).start()
		d.claimed()
		d.stop()
		d.insert("PRAGMA user_version = 99", "CREATE TABLE news (x)", "ALTER TABLE accounts ADD COLUMN news TEXT NOT NULL DEFAULT ''")
		d.start()
		if a := d.browser().get("/"); a.location != "/login" {
			t.Errorf("the device does not know its accounts any more: %d to %q", a.status, a.location)
		}
		d.stop()
		if v := d.query("PRAGMA user_version"); v != "99" {
			t.Errorf("the schema is counted as %s", v)
		}
	})
	t.Run("it cannot, and there is a copy", func(t *testing.T) {
		d := newDevice(t).start()
		d.claimed()
		d.stop()
		d.insert("VACUUM INTO '" + d.database() + ".schema-" + d.query("PRAGMA user_version") + "'")
		d.insert("PRAGMA user_version = 99", "UPDATE schema SET compatible = 99", "DROP TABLE accounts")
		d.start()
		if a := d.browser().get("/"); a.location != "/login" {
			t.Errorf("the device does not know its accounts any more: %d to %q", a.status, a.location)
		}
		d.stop()
		if v := d.queryIn(d.database()+".newer", "PRAGMA user_version"); v != "99" {
			t.Errorf("what was put aside has schema %s", v)
		}
		if v := d.query("SELECT what FROM audit WHERE who = 'console' ORDER BY id DESC"); !strings.Contains(v, "before an update that was taken back") {
			t.Errorf("the audit log says %q", v)
		}
		d.start() // and again, without any of it
	})
	t.Run("it cannot, and there is none", func(t *testing.T) {
		d := newDevice(t).start()
		d.stop()
		d.insert("PRAGMA user_version = 99", "UPDATE schema SET compatible = 99")
		if err := console.Run(context.Background(), d.options); err == nil || !strings.Contains(err.Error(), "newer Porthole") {
			t.Errorf("a database from the future: %v", err)
		}
		if v := d.query("PRAGMA user_version"); v != "99" {
			t.Errorf("it was changed: schema %s", v)
		}
	})
}

// TestCopyBeforeMigration: a migration leaves the database as it was beside it, whole, and no older copies.
func TestCopyBeforeMigration(t *testing.T) {
	d := newDevice(t)
	if err := os.MkdirAll(filepath.Dir(d.database()), 0o700); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range []string{"0001_start", "0002_camera_proxy"} {
		script, err := os.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(script))
	}
	d.insert(append(all, "PRAGMA user_version = 2", "INSERT INTO cameras (id, name, url, user, password, transport) VALUES ('yard', 'Yard', 'rtsp://192.168.1.30/s', '', '', 'tcp')")...)
	if err := os.WriteFile(d.database()+".schema-1", []byte("an older copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.stop()
	if v := d.queryIn(d.database()+".schema-2", "PRAGMA user_version"); v != "2" {
		t.Errorf("the copy has schema %s", v)
	}
	if v := d.queryIn(d.database()+".schema-2", "SELECT id FROM cameras"); v != "yard" {
		t.Errorf("the copy has the camera %q", v)
	}
	info, err := os.Stat(d.database() + ".schema-2")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %v, %v", info, err)
	}
	if _, err := os.Stat(d.database() + ".schema-1"); !os.IsNotExist(err) {
		t.Errorf("the older copy: %v", err)
	}
	// Nothing to migrate: nothing to copy.
	d.start()
	d.stop()
	if left, err := filepath.Glob(d.database() + ".*"); err != nil || len(left) != 1 {
		t.Errorf("beside the database lie %q, %v", left, err)
	}
}
