package main_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	console "porthole/packages/console"
)

func (d *device) database() string {
	return filepath.Join(d.options.Env.PermDir, "console", "porthole.db")
}

func TestDatabaseIsPrivate(t *testing.T) {
	d := newDevice(t).start()
	d.claimed()
	entries, err := os.ReadDir(filepath.Dir(d.database()))
	if err != nil || len(entries) < 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	if st, err := os.Stat(filepath.Dir(d.database())); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", st.Mode(), err)
	}
	for _, e := range entries {
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700 // the library's
		}
		if st, err := e.Info(); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", e.Name(), st.Mode(), err)
		}
	}
	// Modes that somebody loosened are put right at the next start.
	d.stop()
	for p, m := range map[string]os.FileMode{d.database(): 0o666, filepath.Dir(d.database()): 0o777} {
		if err := os.Chmod(p, m); err != nil {
			t.Fatal(err)
		}
	}
	d.start()
	if st, err := os.Stat(d.database()); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("database after a restart: %v, %v", st.Mode(), err)
	}
}

// TestDamagedDatabase: console ends with a sentence that says what to do, and changes nothing.
func TestDamagedDatabase(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	for i := range 40 {
		d.addCamera(b, "id", "camera-"+itoa(int64(i)), "url", "rtsp://192.168.1.30/"+strings.Repeat("s", 200))
	}
	d.stop()
	whole, err := os.ReadFile(d.database())
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"no database":   func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"cut short":     func(b []byte) []byte { return b[:len(b)/2] },
		"header gone":   func(b []byte) []byte { return append(make([]byte, 100), b[100:]...) },
		"pages of junk": func(b []byte) []byte { return append(b[:4096:4096], bytes.Repeat([]byte{0xa5}, len(b)-4096)...) },
	} {
		bad := damage(bytes.Clone(whole))
		if err := os.WriteFile(d.database(), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		err := console.Run(context.Background(), d.options)
		if err == nil || !strings.Contains(err.Error(), "database is damaged") || !strings.Contains(err.Error(), "Restore a backup") {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(d.database()); err != nil || !bytes.Equal(after, bad) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	if err := os.WriteFile(d.database(), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
	if a := d.browser().get("/"); a.location != "/login" {
		t.Errorf("with the backup: %d to %q", a.status, a.location)
	}
}

func TestRunFailsWhereItCannotWrite(t *testing.T) {
	d := newDevice(t)
	if err := os.WriteFile(d.options.Env.PermDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := console.Run(context.Background(), d.options); err == nil {
		t.Error("no error without a folder for the database")
	}
}

func TestBuiltinCameraFlag(t *testing.T) {
	var f console.CameraFlag
	for _, v := range []string{"demo=rtsp://127.0.0.1:8554/demo?a=b", "lab=rtsp://u:hunter2@h/s"} {
		if err := f.Set(v); err != nil {
			t.Fatal(err)
		}
	}
	if f[0].Name != "Demo camera" || f[0].URL != "rtsp://127.0.0.1:8554/demo?a=b" || f[1].Name != "lab" || f[1].Password != "hunter2" {
		t.Errorf("%+v", f)
	}
	if f.String() != "demo,lab" {
		t.Errorf("the flag says %q", f.String())
	}
	for _, v := range []string{"", "demo", "=rtsp://h", "a=http://h/", "demo=rtsp://h/s"} {
		if err := f.Set(v); err == nil {
			t.Errorf("%q was taken", v)
		}
	}
}

// TestBodiesAreBounded: nobody fills memory with a form.
func TestBodiesAreBounded(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	if a := b.post("/settings/cameras/new", "name", strings.Repeat("x", 1<<20)); a.status != http.StatusBadRequest {
		t.Errorf("a form of a megabyte: %d", a.status)
	}
}
