package main_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// api makes a call of a player, as proxy brings it over TLS, and decodes its answer.
func (d *device) api(agent, method, path, bearer string, body, into any) answer {
	d.t.Helper()
	b := d.browser()
	b.header = http.Header{"User-Agent": {agent}}
	if bearer != "" {
		b.header.Set("Authorization", "Bearer "+bearer)
	}
	a := b.json(method, path, body)
	if into != nil && a.status < 300 {
		if err := json.Unmarshal([]byte(a.body), into); err != nil {
			d.t.Fatalf("%s %s: %v\n%s", method, path, err, a.body)
		}
	}
	return a
}

var codeOnPage = regexp.MustCompile(`<pre class="copy"><code>([A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4})</code>`)

// addScreen adds a screen by hand and returns the path of its page and its quick-connect code.
func addScreen(t *testing.T, b *browser, pairs ...string) (path, code string) {
	t.Helper()
	a := b.post("/screens/new", append([]string{"group", "0", "playlist", "0", "orientation", "landscape"}, pairs...)...)
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/screens/") {
		t.Fatalf("add a screen: %d\n%s", a.status, a.body)
	}
	found := codeOnPage.FindStringSubmatch(b.get(a.location).body)
	if found == nil {
		t.Fatal("the page does not show the code")
	}
	return a.location, found[1]
}

// json makes a call with a JSON body.
func (b *browser) json(method, target string, body any) answer {
	b.t.Helper()
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	return b.raw(method, target, "application/json", r)
}

// postAll is post with names that may come several times.
func (b *browser) postAll(target string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, target, form)
}

// playlist makes an empty playlist.
func (d *device) playlist(name string) (id int64) {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+d.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("INSERT INTO playlists (name, created) VALUES (?, 1) RETURNING id", name).Scan(&id); err != nil {
		d.t.Fatal(err)
	}
	return id
}

// playlistOf makes a published playlist of one picture.
func (d *device) playlistOf(name, sha256 string, size int64) (id int64) {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+d.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	var medium int64
	err = db.QueryRow(`INSERT INTO media (sha256, size_bytes, name, kind, mime, width, height, duration_ms, created)
		VALUES (?, ?, ?, 'image', 'image/png', 1920, 1080, 0, 1) RETURNING id`, sha256, size, name+".png").Scan(&medium)
	if err == nil {
		err = db.QueryRow("INSERT INTO playlists (name, created, version, published) VALUES (?, 1, 1, 1) RETURNING id", name).Scan(&id)
	}
	var draft int64
	if err == nil {
		err = db.QueryRow("INSERT INTO playlist_items (playlist, stage, position, kind, media, duration_ms) VALUES (?, 'draft', 1, 'media', ?, 10000) RETURNING id", id, medium).Scan(&draft)
	}
	if err == nil {
		_, err = db.Exec("INSERT INTO playlist_items (playlist, stage, position, kind, media, duration_ms, origin) VALUES (?, 'live', 1, 'media', ?, 10000, ?)", id, medium, draft)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}
