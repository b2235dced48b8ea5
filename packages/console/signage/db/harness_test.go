package db_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/internal/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is a database as console has it: one connection writes, some read.
type file struct{ w, r *sql.DB }

func (f file) Reader() *sql.DB { return f.r }

func (f file) Write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := f.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func open(t testing.TB, path string) file {
	t.Helper()
	dsn := "file:" + path + "?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&"
	w, err := sql.Open("sqlite", dsn+"_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", dsn+"_pragma=query_only(1)")
	if err != nil {
		t.Fatal(err)
	}
	r.SetMaxOpenConns(4)
	f := file{w, r}
	t.Cleanup(f.close)
	return f
}

func (f file) close() {
	f.r.Close()
	f.w.Close()
}

// newStore returns a Store over console's own schema, and what its database is.
func newStore(t testing.TB) (*db.Store, file) {
	t.Helper()
	f := open(t, filepath.Join(t.TempDir(), "porthole.db"))
	scripts, err := filepath.Glob("../../migrations/*.sql")
	if err != nil || len(scripts) < 3 {
		t.Fatalf("migrations %q, %v", scripts, err)
	}
	for _, s := range scripts {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.w.Exec(string(b)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db.New(f), f
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// field reports whether err is a *settings.FieldError of the field.
func field(t testing.TB, err error, name string) {
	t.Helper()
	var f *settings.FieldError
	if !errors.As(err, &f) || f.Field != name {
		t.Errorf("error %v, want one of field %q", err, name)
	}
}

func picture(name string) signage.Media {
	return signage.Media{
		SHA256: "00" + name, SizeBytes: 1000, Name: name, Kind: signage.Image, MIME: "image/jpeg", Width: 1920, Height: 1080,
		Probe: signage.Probe{Container: "jpeg", Codec: "jpeg"}, By: "admin",
	}
}

func film(name string) signage.Media {
	m := picture(name)
	m.Kind, m.MIME, m.Duration = signage.Video, "video/mp4", 90*time.Second
	return m
}

func addMedia(t testing.TB, s *db.Store, m signage.Media) signage.Media {
	t.Helper()
	return must(s.AddMedia(t.Context(), m))(t)
}

func mediaItem(m signage.Media) signage.Item {
	return signage.Item{Kind: signage.ItemMedia, MediaID: m.ID}
}
