package transfer_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/transfer"
)

// described is an exported file's list of contents, with names in the place of ids: two devices number differently.
func described(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(part(t, b, "manifest.json"), &m); err != nil {
		t.Fatal(err)
	}
	names := map[string]map[float64]any{}
	for kind, list := range m {
		all, _ := list.([]any)
		names[kind] = map[float64]any{}
		for _, x := range all {
			o := x.(map[string]any)
			if id, has := o["id"]; has {
				names[kind][id.(float64)] = o["name"]
				delete(o, "id")
			}
			delete(o, "created")
			delete(o, "by")
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for key, kind := range map[string]string{"playlist": "playlists", "default_playlist": "playlists", "group": "groups", "player": "players", "media": "media"} {
				if id, is := v[key].(float64); is {
					v[key] = names[kind][id]
				}
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(m)
	return m
}

func part(t *testing.T, b []byte, name string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return must(io.ReadAll(f))(t)
}

// TestRoundTrip: an empty device that takes a file exports the same; taking it again changes nothing.
func TestRoundTrip(t *testing.T) {
	a := newDevice(t)
	a.fill()
	b := a.export(true)
	for _, replace := range []bool{false, true} {
		d := newDevice(t)
		must(d.EnsureOwn(t.Context(), "shop"))(t)
		r := d.mustTake(b, replace)
		want := db.Applied{Media: db.Tally{Added: 3}, Playlists: db.Tally{Added: 2}, Groups: db.Tally{Added: 1}, Players: db.Tally{Added: 1, Changed: 1}, Rules: db.Tally{Added: 2}}
		if d := cmp.Diff(transfer.Report{Applied: want, Bytes: 27}, r); d != "" {
			t.Errorf("replace %v: %s", replace, d)
		}
		if d := cmp.Diff(described(t, b), described(t, d.export(true))); d != "" {
			t.Errorf("replace %v: %s", replace, d)
		}
		r = d.mustTake(b, replace)
		if r.Media != (db.Tally{Same: 3}) || r.Playlists != (db.Tally{Same: 2}) || r.Rules.Added-r.Rules.Removed != 0 || r.Bytes != 0 {
			t.Errorf("replace %v, again: %+v", replace, r)
		}
		if d := cmp.Diff(described(t, b), described(t, d.export(true))); d != "" {
			t.Errorf("replace %v, again: %s", replace, d)
		}
	}
}

// TestSecrets: hashes go only when asked for, auth codes never.
func TestSecrets(t *testing.T) {
	d := newDevice(t)
	d.fill()
	if m := part(t, d.export(false), "manifest.json"); bytes.Contains(m, []byte("argon2id")) {
		t.Errorf("%s", m)
	}
	b := d.export(true)
	if m := part(t, b, "manifest.json"); !bytes.Contains(m, []byte("$argon2id$code")) {
		t.Errorf("%s", m)
	}
	other := newDevice(t)
	other.mustTake(b, false)
	p := must(other.PlayerByHostname(t.Context(), "tv-1"))(t)
	if code, _, err := other.Hashes(t.Context(), p.ID); err != nil || code != "$argon2id$code" {
		t.Errorf("code %q, %v", code, err)
	}
	if _, err := other.PlayerByAuthCode(t.Context(), [32]byte{1}, made); !errors.Is(err, signage.ErrNotFound) {
		t.Errorf("an auth code came along: %v", err)
	}
	// Where the same screens are known, they stay logged in, and a file without hashes takes none away.
	d.mustTake(d.export(false), true)
	must(d.PlayerByAuthCode(t.Context(), [32]byte{1}, made))(t)
	if code, _, err := d.Hashes(t.Context(), must(d.PlayerByHostname(t.Context(), "tv-1"))(t).ID); err != nil || code == "" {
		t.Errorf("code %q, %v", code, err)
	}
}

// TestMerge: what has the same name becomes what the file says, everything else stays.
func TestMerge(t *testing.T) {
	a, ctx := newDevice(t), t.Context()
	a.fill()
	d := newDevice(t)
	d.upload("a.jpg", "another picture a")
	same := d.upload("other name.jpg", "picture b")
	base := must(d.CreatePlaylist(ctx, "Base"))(t)
	must(d.AddItems(ctx, base.ID, 0, []signage.Item{{Kind: signage.ItemMedia, MediaID: same.ID}}))(t)
	must(d.Publish(ctx, base.ID))(t)
	mine := must(d.CreatePlaylist(ctx, "Mine"))(t)
	must(d.CreatePlayer(ctx, signage.Player{Hostname: "tv-1", Playlist: mine.ID, Enabled: true}))(t)
	ok(t, d.SetTimezone(ctx, "America/New_York"))
	ok(t, d.SetDefaultPlaylist(ctx, mine.ID))
	b := a.export(false)
	r := d.mustTake(b, false)
	if r.Playlists != (db.Tally{Added: 1, Changed: 1}) || r.Media != (db.Tally{Added: 2, Same: 1}) || r.Players != (db.Tally{Added: 1, Changed: 1}) {
		t.Errorf("%+v", r)
	}
	var names []string
	for _, m := range must(d.AllMedia(ctx))(t) {
		names = append(names, m.Name)
	}
	for _, want := range []string{"a.jpg", "a (2).jpg", "other name.jpg", "copy of a.jpg"} {
		if !strings.Contains(strings.Join(names, "|"), want) {
			t.Errorf("%q is missing of %q", want, names)
		}
	}
	if p := must(d.Playlist(ctx, base.ID))(t); p.Version != 2 || !p.Changed || p.Items != 5 {
		t.Errorf("%+v", p)
	}
	if p := must(d.PlayerByHostname(ctx, "tv-1"))(t); p.Name != "Door" || p.Playlist == mine.ID {
		t.Errorf("%+v", p)
	}
	if zone, base := must(d.Timezone(ctx))(t), must(d.DefaultPlaylist(ctx))(t); zone != "America/New_York" || base != mine.ID {
		t.Errorf("zone %q, default playlist %d", zone, base)
	}
	if r := d.mustTake(b, false); r.Media.Added != 0 || r.Playlists != (db.Tally{Same: 2}) || r.Rules != (db.Tally{Same: 2}) {
		t.Errorf("again: %+v", r)
	}
}

// TestReplace: nothing of before is left, and content that was here is not stored anew.
func TestReplace(t *testing.T) {
	a, ctx := newDevice(t), t.Context()
	a.fill()
	d := newDevice(t)
	must(d.EnsureOwn(ctx, "porthole"))(t)
	d.upload("a.jpg", "another picture a")
	d.upload("other name.jpg", "picture b")
	gone := must(d.CreatePlaylist(ctx, "Gone"))(t)
	must(d.AddItems(ctx, gone.ID, 0, []signage.Item{{Kind: signage.ItemText, Text: "x"}}))(t)
	// Published here, never there.
	was := must(d.CreatePlaylist(ctx, "Draft only"))(t)
	must(d.AddItems(ctx, was.ID, 0, []signage.Item{{Kind: signage.ItemMedia, MediaID: d.upload("c.jpg", "c").ID}}))(t)
	must(d.Publish(ctx, was.ID))(t)
	must(d.CreateGroup(ctx, signage.Group{Name: "Gone", Playlist: gone.ID}))(t)
	must(d.CreatePlayer(ctx, signage.Player{Hostname: "gone"}))(t)
	b := a.export(true)
	r := d.mustTake(b, true)
	want := db.Applied{
		Media: db.Tally{Added: 2, Same: 1, Removed: 2}, Playlists: db.Tally{Added: 2, Removed: 1}, Groups: db.Tally{Added: 1, Removed: 1},
		Players: db.Tally{Added: 1, Changed: 1, Removed: 1}, Rules: db.Tally{Added: 2},
	}
	if d := cmp.Diff(want, r.Applied); d != "" {
		t.Error(d)
	}
	got, expected := described(t, d.export(true)), described(t, b)
	// The own screen keeps its device's name.
	for _, m := range []map[string]any{got, expected} {
		for _, p := range m["players"].([]any) {
			if p := p.(map[string]any); p["own"] == true {
				p["hostname"] = ""
			}
		}
		byName(m["media"].([]any))
	}
	if d := cmp.Diff(expected, got); d != "" {
		t.Error(d)
	}
}

// TestDamagedExport: an export says before it begins which file is not what it should be.
func TestDamagedExport(t *testing.T) {
	d := newDevice(t)
	d.fill()
	m := d.upload("broken.jpg", "will be cut")
	ok(t, os.Truncate(filepath.Join(d.dir, m.SHA256), 3))
	var b bytes.Buffer
	var p *transfer.Problem
	if err := d.Export(t.Context(), &b, transfer.ExportOptions{Now: made}); !errors.As(err, &p) || !strings.Contains(p.Reason, "broken.jpg") || b.Len() != 0 {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
	ok(t, os.Remove(filepath.Join(d.dir, m.SHA256)))
	if err := d.Export(t.Context(), &b, transfer.ExportOptions{Now: made}); !errors.As(err, &p) || !strings.Contains(p.Reason, "broken.jpg") || b.Len() != 0 {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
}

// TestCancelledImport leaves nothing behind.
func TestCancelledImport(t *testing.T) {
	a := newDevice(t)
	a.fill()
	path := filepath.Join(t.TempDir(), "x")
	ok(t, os.WriteFile(path, a.export(false), 0o600))
	f := must(os.Open(path))(t)
	defer f.Close()
	d := newDevice(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := d.Import(ctx, f, transfer.ImportOptions{Progress: func(done, all int64) {
		if done > 0 && done < all {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	d.untouched()
}

// untouched reports what a refused import left.
func (d *device) untouched() {
	d.t.Helper()
	st := must(d.State(d.t.Context()))(d.t)
	if diff := cmp.Diff(db.State{Timezone: "UTC"}, st); diff != "" {
		d.t.Errorf("a refused import left\n%s", diff)
	}
	if files, err := filepath.Glob(filepath.Join(d.dir, "????????????????*")); err != nil || len(files) > 0 {
		d.t.Errorf("a refused import left files: %q, %v", files, err)
	}
}

func byName(list []any) {
	slices.SortFunc(list, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
}
