package transfer_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"porthole/packages/console/signage/transfer"
)

// piece is a part of an archive.
type piece struct {
	name    string
	content string
	method  uint16
}

func archive(t testing.TB, pieces ...piece) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, p := range pieces {
		w, err := z.CreateHeader(&zip.FileHeader{Name: p.name, Method: p.method})
		if err == nil {
			_, err = w.Write([]byte(p.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

const picture = "a picture, or so"

// list is a list of contents with one medium and one playlist, changed by edit.
func list(t testing.TB, edit func(m map[string]any)) string {
	t.Helper()
	var m map[string]any
	err := json.Unmarshal(fmt.Appendf(nil, `{"format":"porthole-signage","version":1,"made":"2027-06-07T12:00:00Z","timezone":"UTC",
		"media":[{"id":1,"name":"a.jpg","sha256":%q,"size":%d,"kind":"image","mime":"image/jpeg","version":1,"created":"2027-06-07T12:00:00Z"}],
		"playlists":[{"id":1,"name":"Base","transition":"cut","published":true,"live_is_draft":true,"draft":[{"kind":"media","media":1,"duration_ms":5000,"fit":"fit"}]}],
		"groups":[{"id":1,"name":"g","playlist":1}],
		"players":[{"id":1,"name":"tv","hostname":"tv","group":1,"orientation":"landscape","may_edit":true,"enabled":true}],
		"rules":[{"playlist":1,"group":1,"from_minute":0,"to_minute":1440,"weekdays":127,"priority":5,"enabled":true}]}`, hash(picture), len(picture)), &m)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func first(m map[string]any, kind string) map[string]any { return m[kind].([]any)[0].(map[string]any) }

// TestHostile: what is not as Porthole exported it is refused with a sentence, and nothing of it is kept.
func TestHostile(t *testing.T) {
	edited := func(edit func(m map[string]any)) []byte {
		return archive(t, piece{"manifest.json", list(t, edit), zip.Deflate}, piece{"media/" + hash(picture), picture, zip.Store})
	}
	good := edited(nil)
	newDevice(t).mustTake(good, false)
	flip := bytes.Clone(good)
	flip[bytes.Index(flip, []byte(picture))] ^= 1
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":                  {nil, "not a file that Porthole exported"},
		"no archive":             {[]byte(strings.Repeat("x", 5000)), "not a file that Porthole exported"},
		"cut short":              {good[:len(good)-30], "not complete"},
		"beginning is missing":   {good[40:], ""},
		"a bit differs":          {flip, "damaged"},
		"no list":                {archive(t, piece{"media/" + hash(picture), picture, zip.Store}), "no list of contents"},
		"no medium":              {archive(t, piece{"manifest.json", list(t, nil), zip.Store}), `"a.jpg" is missing`},
		"path name":              {archive(t, piece{"../../etc/passwd", "x", zip.Store}), "../../etc/passwd"},
		"path of a medium":       {archive(t, piece{"media/../" + hash(picture), "x", zip.Store}), "nothing was taken"},
		"folder":                 {archive(t, piece{"media/", "", zip.Store}), "nothing was taken"},
		"two lists":              {archive(t, piece{"manifest.json", list(t, nil), zip.Store}, piece{"manifest.json", list(t, nil), zip.Store}), "manifest.json"},
		"medium twice":           {archive(t, piece{"media/" + hash(picture), picture, zip.Store}, piece{"media/" + hash(picture), picture, zip.Store}), "nothing was taken"},
		"more than is listed":    {archive(t, piece{"manifest.json", list(t, nil), zip.Store}, piece{"media/" + hash(picture), picture, zip.Store}, piece{"media/" + hash("x"), "x", zip.Store}), "not in its list"},
		"another content":        {archive(t, piece{"manifest.json", list(t, nil), zip.Store}, piece{"media/" + hash(picture), strings.ToUpper(picture), zip.Store}), "SHA-256 differs"},
		"another size":           {archive(t, piece{"manifest.json", list(t, nil), zip.Store}, piece{"media/" + hash(picture), picture + "!", zip.Store}), "bytes, and should have"},
		"compressed bomb":        {bomb(t), "compressed"},
		"list is a bomb":         {archive(t, piece{"manifest.json", strings.Repeat(" ", 65<<20), zip.Deflate}), "manifest.json"},
		"list is no JSON":        {archive(t, piece{"manifest.json", "{", zip.Store}), "not a file that Porthole's signage server exported"},
		"another format":         {edited(func(m map[string]any) { m["format"] = "xibo" }), "not a file that Porthole's signage server exported"},
		"a newer format":         {edited(func(m map[string]any) { m["version"], m["news"] = 2, "x" }), "Update this Porthole"},
		"format zero":            {edited(func(m map[string]any) { m["version"] = 0 }), "format 0"},
		"unknown field":          {edited(func(m map[string]any) { m["script"] = "x" }), "mistake"},
		"name with a path":       {edited(func(m map[string]any) { first(m, "media")["name"] = "../a.jpg" }), "../a.jpg"},
		"hash is a path":         {edited(func(m map[string]any) { first(m, "media")["sha256"] = "../../x" }), "SHA-256"},
		"negative size":          {edited(func(m map[string]any) { first(m, "media")["size"] = -5 }), "size"},
		"id twice":               {edited(func(m map[string]any) { m["media"] = append(m["media"].([]any), m["media"].([]any)[0]) }), "twice"},
		"unknown medium":         {edited(func(m map[string]any) { first(first(m, "playlists"), "draft")["media"] = 7 }), "not in the file"},
		"unknown kind":           {edited(func(m map[string]any) { first(first(m, "playlists"), "draft")["kind"] = "web" }), "kind"},
		"endless duration":       {edited(func(m map[string]any) { first(first(m, "playlists"), "draft")["duration_ms"] = int64(1) << 62 }), "duration"},
		"unknown transition":     {edited(func(m map[string]any) { first(m, "playlists")["transition"] = "wipe" }), "transition"},
		"unknown playlist":       {edited(func(m map[string]any) { first(m, "groups")["playlist"] = 7 }), "not in the file"},
		"unknown group":          {edited(func(m map[string]any) { first(m, "players")["group"] = 7 }), "not in the file"},
		"unknown orientation":    {edited(func(m map[string]any) { first(m, "players")["orientation"] = "up" }), "orientation"},
		"unknown zone":           {edited(func(m map[string]any) { m["timezone"] = "Mars" }), "timezone"},
		"wrong rule":             {edited(func(m map[string]any) { first(m, "rules")["weekdays"] = 0 }), "weekdays"},
		"rule of two":            {edited(func(m map[string]any) { first(m, "rules")["player"] = 1 }), "target"},
		"two own screens":        {edited(func(m map[string]any) { m["players"] = own(2) }), "own screens"},
		"unknown default":        {edited(func(m map[string]any) { m["default_playlist"] = 7 }), "not in the file"},
		"thousands of playlists": {edited(func(m map[string]any) { m["playlists"] = many(501) }), "more playlists"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			_, err := d.take(c.file, false)
			var p *transfer.Problem
			if !errors.As(err, &p) || !strings.Contains(p.Reason, c.want) {
				t.Errorf("%v", err)
			}
			d.untouched()
		})
	}
}

// TestRefusedMedium: what the library refuses is not taken, nor what came before it.
func TestRefusedMedium(t *testing.T) {
	a := newDevice(t)
	a.fill()
	d := newDevice(t)
	d.refuse = "b.jpg"
	_, err := d.take(a.export(false), true)
	var p *transfer.Problem
	if !errors.As(err, &p) || !strings.Contains(p.Reason, `"b.jpg" was refused: This file is no picture.`) {
		t.Errorf("%v", err)
	}
	d.untouched()
}

func own(n int) []any {
	var all []any
	for i := range n {
		all = append(all, map[string]any{"id": i + 1, "name": "tv", "hostname": fmt.Sprint(i), "own": true, "orientation": "landscape", "may_edit": true, "enabled": true})
	}
	return all
}

func many(n int) []any {
	var all []any
	for i := range n {
		all = append(all, map[string]any{"id": i + 1, "name": fmt.Sprint(i), "transition": "cut", "published": false, "draft": []any{}})
	}
	return all
}

// bomb is a medium of many bytes that takes few.
func bomb(t testing.TB) []byte {
	t.Helper()
	content := strings.Repeat("\x00", 8<<20)
	l := list(t, func(m map[string]any) {
		first(m, "media")["sha256"], first(m, "media")["size"] = hash(content), len(content)
	})
	return archive(t, piece{"manifest.json", l, zip.Store}, piece{"media/" + hash(content), content, zip.Deflate})
}

// TestManyParts: an archive of very many empty parts is refused before they are all looked at.
func TestManyParts(t *testing.T) {
	var pieces []piece
	for n := range 70000 {
		pieces = append(pieces, piece{fmt.Sprintf("media/%064x-and-a-name-that-is-long-enough-to-make-the-directory-grow-beyond-what-is-read", n), "", zip.Store})
	}
	d := newDevice(t)
	_, err := d.take(archive(t, pieces...), false)
	var p *transfer.Problem
	if !errors.As(err, &p) || !strings.Contains(p.Reason, "parts") {
		t.Errorf("%v", err)
	}
}

// FuzzManifest feeds lists of contents: whatever one says, import refuses it in words or takes it and can export it again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(list(f, nil)))
	f.Add([]byte(list(f, func(m map[string]any) { first(m, "playlists")["live"] = []any{} })))
	f.Add([]byte(`{"format":"porthole-signage","version":2}`))
	f.Add([]byte(`{"format":"porthole-signage","version":1,"media":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := transfer.ParseManifest(b)
		var p *transfer.Problem
		if err != nil {
			if !errors.As(err, &p) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := transfer.ParseManifest(transfer.WriteManifest(t, st, made))
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Media) != len(st.Media) || len(again.Rules) != len(st.Rules) || len(again.Playlists) != len(st.Playlists) {
			t.Fatalf("%+v became %+v", st, again)
		}
	})
}

// FuzzArchive feeds archives.
func FuzzArchive(f *testing.F) {
	f.Add(archive(f, piece{"manifest.json", list(f, nil), zip.Store}, piece{"media/" + hash(picture), picture, zip.Store}))
	f.Add(archive(f, piece{"manifest.json", list(f, nil), zip.Deflate}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p *transfer.Problem
		if err := transfer.OpenArchive(b); err != nil && !errors.As(err, &p) {
			t.Fatal(err)
		}
	})
}
