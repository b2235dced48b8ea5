package transfer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/library"
	"porthole/packages/console/signage/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is a database as console has it.
type file struct{ *sql.DB }

func (f file) Reader() *sql.DB { return f.DB }

func (f file) Write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := f.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// device is a signage server with its files.
type device struct {
	*db.Store
	*transfer.Transfer
	t   *testing.T
	dir string
	// refuse makes Add refuse a file of that name.
	refuse string
}

func newDevice(t *testing.T) *device {
	t.Helper()
	d := &device{t: t, dir: t.TempDir()}
	conn, err := sql.Open("sqlite", "file:"+filepath.Join(d.dir, "porthole.db")+
		"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	scripts, err := filepath.Glob("../../migrations/*.sql")
	if err != nil || len(scripts) < 3 {
		t.Fatalf("migrations %q, %v", scripts, err)
	}
	for _, s := range scripts {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(string(b)); err != nil {
			t.Fatal(err)
		}
	}
	d.Store = db.New(file{conn})
	d.Transfer = transfer.New(d.Store, d)
	return d
}

// Open and Add are what library does, without looking into files.
func (d *device) Open(sha string) (*os.File, error) { return os.Open(filepath.Join(d.dir, sha)) }

// Forget does what library does.
func (d *device) Forget(ctx context.Context, sha string) error {
	used, err := d.HashesInUse(ctx)
	if err == nil && !used[sha] {
		err = os.Remove(filepath.Join(d.dir, sha))
	}
	return err
}

func (d *device) Add(ctx context.Context, r io.Reader, name, by string) (signage.Media, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return signage.Media{}, err
	}
	if name == d.refuse {
		return signage.Media{}, &library.Refusal{Reason: "This file is no picture."}
	}
	sum := sha256.Sum256(b)
	sha := hex.EncodeToString(sum[:])
	if err := os.WriteFile(filepath.Join(d.dir, sha), b, 0o600); err != nil {
		return signage.Media{}, err
	}
	return d.AddMedia(ctx, signage.Media{SHA256: sha, SizeBytes: int64(len(b)), Name: name, Kind: signage.Image, MIME: "image/jpeg", By: by})
}

func (d *device) upload(name, content string) signage.Media {
	d.t.Helper()
	m, err := d.Add(d.t.Context(), bytes.NewReader([]byte(content)), name, "admin")
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

var made = time.Date(2027, 6, 7, 12, 0, 0, 0, time.UTC)

func (d *device) export(secrets bool) []byte {
	d.t.Helper()
	var b bytes.Buffer
	if err := d.Export(d.t.Context(), &b, transfer.ExportOptions{Secrets: secrets, Now: made}); err != nil {
		d.t.Fatal(err)
	}
	return b.Bytes()
}

func (d *device) take(b []byte, replace bool) (transfer.Report, error) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "import.zip")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		d.t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	return d.Import(d.t.Context(), f, transfer.ImportOptions{Replace: replace, By: "importer"})
}

func (d *device) mustTake(b []byte, replace bool) transfer.Report {
	d.t.Helper()
	r, err := d.take(b, replace)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill gives a device something of everything.
func (d *device) fill() {
	t, ctx := d.t, d.t.Context()
	t.Helper()
	must(d.EnsureOwn(ctx, "shop"))(t)
	a, b := d.upload("a.jpg", "picture a"), d.upload("b.jpg", "picture b")
	d.upload("copy of a.jpg", "picture a")
	base := must(d.CreatePlaylist(ctx, "Base"))(t)
	must(d.AddItems(ctx, base.ID, 0, []signage.Item{
		{Kind: signage.ItemMedia, MediaID: a.ID, Duration: 5 * time.Second, Fit: "fill", Description: "first"},
		{Kind: signage.ItemCamera, Camera: "yard"}, {Kind: signage.ItemStream, URL: "rtsp://192.168.1.9/s"}, {Kind: signage.ItemText, Text: "hello"},
	}))(t)
	must(d.Publish(ctx, base.ID))(t)
	must(d.AddItems(ctx, base.ID, 1, []signage.Item{{Kind: signage.ItemMedia, MediaID: b.ID}}))(t)
	empty := must(d.CreatePlaylist(ctx, "Draft only"))(t)
	must(d.AddItems(ctx, empty.ID, 0, []signage.Item{{Kind: signage.ItemText, Text: "not yet"}}))(t)
	g := must(d.CreateGroup(ctx, signage.Group{Name: "Windows", Playlist: base.ID}))(t)
	p := must(d.CreatePlayer(ctx, signage.Player{Name: "Door", Hostname: "tv-1", Group: g.ID, Playlist: empty.ID, Orientation: "portrait", PlainHTTP: true, Enabled: true}))(t)
	ok(t, d.SetCode(ctx, p.ID, "$argon2id$code"))
	ok(t, d.AddAuthCode(ctx, p.ID, [32]byte{1}, made.Add(100000*time.Hour)))
	must(d.CreateRule(ctx, signage.Rule{Name: "Night", Playlist: base.ID, Target: signage.Target{Group: g.ID}, FromDate: "2027-01-01", FromMinute: 1320, ToMinute: 360, Weekdays: 31, Priority: 7, Enabled: true}))(t)
	must(d.CreateRule(ctx, signage.Rule{Playlist: empty.ID, Target: signage.Target{Player: p.ID}, ToMinute: 1440, Weekdays: 127, Priority: 1}))(t)
	ok(t, d.SetTimezone(ctx, "Europe/Bucharest"))
	ok(t, d.SetDefaultPlaylist(ctx, base.ID))
}
