package main_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// picture is a JPEG of that size whose colours tell it from others.
func picture(t *testing.T, w, h, tint int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(40 + tint*53%200), uint8(x * 255 / w), uint8(y * 255 / h), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// clip is a short MP4 that every board plays.
func clip(t *testing.T, seconds int) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc=duration=%d:size=640x360:rate=24", seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart", file).CombinedOutput()
	if err != nil {
		t.Fatalf("make a clip (apt-get install ffmpeg): %v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// upload sends files as a browser without scripts does.
func (b *browser) upload(files ...any) answer {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i < len(files); i += 2 {
		w, err := form.CreateFormFile("file", files[i].(string))
		if err != nil {
			b.t.Fatal(err)
		}
		w.Write(files[i+1].([]byte))
	}
	form.Close()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "https://"+b.host+"/media/upload", &body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("X-Forwarded-For", b.remote)
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", b.host)
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

// withDecoder lets the library look into videos with this machine's ffmpeg.
func (d *device) withDecoder() *device {
	d.t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		d.t.Fatal("this test needs ffmpeg: apt-get install ffmpeg")
	}
	d.options.Decoder = path
	for _, dir := range []string{"/usr/lib", "/usr/local/lib", "/lib", "/lib64", "/etc"} {
		if _, err := os.Stat(dir); err == nil {
			d.options.Libraries = append(d.options.Libraries, dir)
		}
	}
	return d
}

// insert puts rows into the database beside console, for what this area's pages only read.
func (d *device) insert(statements ...string) {
	d.t.Helper()
	base, err := sql.Open("sqlite", "file:"+filepath.Join(d.options.Env.PermDir, "console", "porthole.db")+"?_pragma=busy_timeout(20000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer base.Close()
	for _, s := range statements {
		if _, err := base.ExecContext(d.t.Context(), s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

// screens are two screens of a group and one of none.
var screens = []string{
	"INSERT INTO player_groups (id, name) VALUES (1, 'Shop floor')",
	"INSERT INTO players (id, name, hostname, player_group, created) VALUES (11, 'Window left', 'win-l', 1, 1), (12, 'Window right', 'win-r', 1, 1), (13, 'Till', 'till', NULL, 1)",
}

// media returns the ids of the media by name.
func (b *browser) media() map[string]string {
	b.t.Helper()
	ids := map[string]string{}
	for _, m := range regexp.MustCompile(`<h3 id="name(\d+)"><a href="/media/\d+">([^<]+)</a>`).FindAllStringSubmatch(b.get("/media").body, -1) {
		ids[m[2]] = m[1]
	}
	return ids
}

// made follows the way to what a form has made, and returns its path.
func (b *browser) made(a answer) string {
	b.t.Helper()
	if a.status != http.StatusSeeOther {
		b.t.Fatalf("not made: %d\n%s", a.status, a.body)
	}
	path, _, _ := strings.Cut(a.location, "?")
	return path
}
