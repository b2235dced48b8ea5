package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"porthole/media/decode/decodetest"
	"porthole/packages/internal/identity"
)

// send is a request of a script in the browser's page.
func (b *browser) send(method, target string, body []byte, pairs ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+b.host+target, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("X-Forwarded-For", b.remote)
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", b.host)
	maps.Copy(req.Header, b.header)
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Set(pairs[i], pairs[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, string(text)}
}

// uploaded sends a file and waits until it is a medium.
func (d *device) uploaded(b *browser, name string, content []byte) (id string) {
	d.t.Helper()
	a := b.send("POST", "/uploads/", nil, "Upload-Length", strconv.Itoa(len(content)), "Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte(name)))
	if a.status != http.StatusCreated {
		d.t.Fatalf("create: %d %s", a.status, a.body)
	}
	path := a.location
	a = b.send("PATCH", path, content, "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
	if a.status != http.StatusNoContent {
		d.t.Fatalf("send: %d %s", a.status, a.body)
	}
	eventually(d.t, "the upload has been looked at", func() bool {
		var v struct {
			State, Reason string
			Media         struct{ ID int64 }
		}
		a := b.get("/media/status?upload=" + strings.TrimPrefix(path, "/uploads/"))
		if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.State == "refused" {
			d.t.Fatalf("%d %s", a.status, a.body)
		}
		id = itoa(v.Media.ID)
		return v.State == "ready"
	})
	return id
}

// TestUploads: from an editor's page to a medium that can be looked at, over a restart; strangers and viewers get nothing of it.
func TestUploads(t *testing.T) {
	d := newDevice(t)
	d.options.Decoder = decodetest.Binary(t)
	d.start()
	b := d.claimed()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	d.setRole("admin", identity.Editor)
	id := d.uploaded(b, "menu.png", picture.Bytes())
	if again := d.uploaded(b, "menu.png", picture.Bytes()); again == id {
		t.Error("the same name twice is one medium")
	}
	d.stop()
	d.start()
	a := b.get("/media/" + id + "/file")
	if a.status != http.StatusOK || a.body != picture.String() || a.header.Get("Content-Type") != "image/png" || a.header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("file: %d %v", a.status, a.header)
	}
	if a := b.get("/media/" + id + "/thumb.jpg"); a.status != http.StatusOK || a.header.Get("Content-Type") != "image/jpeg" || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Errorf("thumbnail: %d %v", a.status, a.header)
	}
	for _, path := range []string{"/media/999/file", "/media/x/file", "/media/0/thumb.jpg"} {
		if a := b.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	// A file that the card has lost half of is not served, and the home page says so.
	d.setRole("admin", identity.Admin)
	stored, err := filepath.Glob(filepath.Join(d.options.Env.PermDir, "console", "media", "*"))
	if err != nil || len(stored) != 1 {
		t.Fatalf("%v, %v", stored, err)
	}
	if err := os.Truncate(stored[0], 20); err != nil {
		t.Fatal(err)
	}
	if a := b.get("/media/" + id + "/file"); a.status != http.StatusGone {
		t.Errorf("half a file: %d", a.status)
	}
	if a := b.get("/"); !strings.Contains(a.body, "A stored file needs a look") || !strings.Contains(a.body, "Upload it again") {
		t.Errorf("the home page does not say that a file is damaged:\n%s", a.body)
	}
	// Another site's page cannot upload with the person's cookie.
	for _, method := range []string{"POST", "PATCH", "DELETE"} {
		if a := b.send(method, "/uploads/ABCDEFGHIJKLMNOPQRSTUVWXYZ", nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); a.status != http.StatusForbidden {
			t.Errorf("%s from another site: %d", method, a.status)
		}
	}
	stranger := d.browser()
	if a := stranger.send("POST", "/uploads/", nil, "Upload-Length", "5"); a.status != http.StatusUnauthorized {
		t.Errorf("a stranger uploads: %d", a.status)
	}
	d.setRole("admin", identity.Viewer)
	for _, c := range [][2]string{{"POST", "/uploads/"}, {"OPTIONS", "/uploads/"}, {"GET", "/media/status?upload=x"}, {"GET", "/media/" + id + "/file"}, {"GET", "/media/" + id + "/thumb.jpg"}} {
		if a := b.send(c[0], c[1], nil, "Upload-Length", "5"); a.status != http.StatusForbidden {
			t.Errorf("a viewer, %s %s: %d", c[0], c[1], a.status)
		}
		if a := stranger.send(c[0], c[1], nil, "Upload-Length", "5"); a.status != http.StatusUnauthorized && a.status != http.StatusSeeOther {
			t.Errorf("a stranger, %s %s: %d", c[0], c[1], a.status)
		}
	}
}
