package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/unixsock"
)

// ownSocket is the player process on console's internal socket.
type ownSocket struct {
	t *testing.T
	c *http.Client
}

func (d *device) ownSocket() *ownSocket {
	tr := unixsock.Transport(d.options.Env.Socket("console-internal"))
	d.t.Cleanup(tr.CloseIdleConnections)
	return &ownSocket{d.t, &http.Client{Transport: tr}}
}

// call returns the status, header and body of an answer.
func (o *ownSocket) call(method, path string, header http.Header, body string) (int, http.Header, []byte) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), method, "http://porthole"+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header = header
	if req.Header == nil {
		req.Header = http.Header{}
	}
	res, err := o.c.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return res.StatusCode, res.Header, b
}

func (o *ownSocket) program(path, tag string) (program.Program, string) {
	o.t.Helper()
	status, header, body := o.call("GET", path, http.Header{"If-None-Match": {tag}}, "")
	var p program.Program
	if err := json.Unmarshal(body, &p); status != http.StatusOK || err != nil {
		o.t.Fatalf("program: %d %v\n%s", status, err, body)
	}
	return p, header.Get("ETag")
}

// TestOwnScreenPairsItself: the player process gets its program, its media and a place for its reports on the socket that
// only it may open, without a code and without TLS, and hears of changes at once.
func TestOwnScreenPairsItself(t *testing.T) {
	d := newDevice(t)
	content := []byte("\x89PNG not really")
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	d.start()
	b := d.claimed()
	folder := filepath.Join(d.options.Env.PermDir, "console", "media")
	if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	menu := d.playlistOf("Menu", name, int64(len(content)))
	own := d.ownSocket()

	p, tag := own.program("/signage/program", "")
	if p.PlayerName != "This screen" || p.Base != 0 || tag == "" || time.Since(p.Time) > time.Minute {
		t.Fatalf("first program: %+v, %q", p, tag)
	}
	if status, _, body := own.call("GET", "/signage/program", http.Header{"If-None-Match": {tag}}, ""); status != http.StatusNotModified || len(body) != 0 {
		t.Errorf("the same program: %d", status)
	}

	// Who waits hears of it.
	type answer struct {
		program program.Program
		tag     string
	}
	news := make(chan answer)
	go func() {
		p, tag := own.program("/signage/program?wait=55", tag)
		news <- answer{p, tag}
	}()
	if a := b.post("/settings/signage", "timezone", "Europe/Bucharest", "default_playlist", itoa(menu)); a.status != http.StatusSeeOther {
		t.Fatalf("default playlist: %d\n%s", a.status, a.body)
	}
	var got answer
	for deadline := time.After(30 * time.Second); ; {
		select {
		case got = <-news:
		case <-deadline:
			t.Fatal("no news within 30 s")
		}
		if got.program.Base == menu && got.program.Timezone == "Europe/Bucharest" {
			break
		}
		// The zone and the playlist are two changes.
		go func(tag string) {
			p, tag := own.program("/signage/program?wait=55", tag)
			news <- answer{p, tag}
		}(got.tag)
	}
	if len(got.program.Playlists) != 1 || len(got.program.Playlists[0].Items) != 1 {
		t.Fatalf("program: %+v", got.program)
	}
	item := got.program.Playlists[0].Items[0]
	if item.SHA256 != name || item.URL != "/signage/media/"+name || item.SizeBytes != int64(len(content)) {
		t.Errorf("item: %+v", item)
	}

	status, header, body := own.call("GET", item.URL, nil, "")
	if status != http.StatusOK || !bytes.Equal(body, content) || header.Get("ETag") != `"`+name+`"` {
		t.Errorf("medium: %d %q", status, body)
	}
	status, header, body = own.call("GET", item.URL, http.Header{"Range": {"bytes=4-"}}, "")
	if status != http.StatusPartialContent || !bytes.Equal(body, content[4:]) || header.Get("Content-Range") == "" {
		t.Errorf("the rest of a medium: %d %q", status, body)
	}
	for _, path := range []string{"/signage/media/" + strings.Repeat("a", 64), "/signage/media/x", "/signage/media/..%2fporthole.db", "/signage/nothing"} {
		if status, _, _ := own.call("GET", path, nil, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}

	report := `{"id":"1","status":"playing","message":"Menu","item":"menu.png","version":1,"timestamp":"2026-11-21T10:00:00Z"}`
	for range 2 {
		if status, _, body := own.call("POST", "/signage/feedback", nil, report); status != http.StatusOK || !strings.Contains(string(body), `"success":true`) {
			t.Fatalf("feedback: %d %s", status, body)
		}
	}
	page := b.get("/screens/" + itoa(p.PlayerID)).body
	if strings.Count(page, `data-label="Item">menu.png<`) != 1 {
		t.Errorf("its report is not on its page, once:\n%s", page)
	}
}
