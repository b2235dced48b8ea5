package link_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"porthole/packages/internal/settings"
	"porthole/packages/player/cache"
	"porthole/packages/player/link"
)

// original is a server that speaks the contract as its documents show it: testdata/original.py.
type original struct {
	t      *testing.T
	dir    string
	scheme string
	port   string
}

type originalItem map[string]any

// newOriginal runs one, with a certificate made as document 001 says.
func newOriginal(t *testing.T, withTLS bool) *original {
	t.Helper()
	o := &original{t: t, dir: t.TempDir(), scheme: "http"}
	if err := os.Mkdir(filepath.Join(o.dir, "media"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.configure(nil)
	if withTLS {
		o.scheme = "https"
		out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", filepath.Join(o.dir, "key.pem"),
			"-out", filepath.Join(o.dir, "cert.pem"), "-days", "365", "-subj", "/CN=digiserver/O=Organization/C=US").CombinedOutput()
		if err != nil {
			t.Fatalf("openssl (apt-get install openssl): %v\n%s", err, out)
		}
	}
	cmd := exec.Command("python3", "-B", filepath.Join("testdata", "original.py"), o.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("python3 (apt-get install python3): %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", &stderr)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	o.port = strings.TrimSpace(line)
	return o
}

// configure writes what it serves: a player with these items, and more.
func (o *original) configure(more map[string]any, items ...originalItem) {
	o.t.Helper()
	if items == nil {
		items = []originalItem{}
	}
	config := map[string]any{"players": map[string]any{"till": map[string]any{"id": 3, "name": "Till", "code": "ABC123XYZ", "version": 5, "playlist": items}}}
	for k, v := range more {
		config[k] = v
	}
	b, err := json.Marshal(config)
	if err != nil {
		o.t.Fatal(err)
	}
	file := filepath.Join(o.dir, "config.json")
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		o.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		o.t.Fatal(err)
	}
}

func (o *original) settings() settings.PlayerSettings {
	return settings.PlayerSettings{Server: o.scheme + "://127.0.0.1:" + o.port, Hostname: "till", QuickConnectCode: "ABC123XYZ"}
}

func (o *original) seen(path string) []call {
	o.t.Helper()
	b, err := os.ReadFile(filepath.Join(o.dir, "requests.jsonl"))
	if err != nil {
		return nil
	}
	var list []call
	for line := range bytes.Lines(b) {
		var c call
		if json.Unmarshal(line, &c) == nil && strings.HasPrefix(c.Path, path) {
			list = append(list, c)
		}
	}
	return list
}

// TestOriginal: an original server with a certificate of its own making: trusted without anybody, played, told.
func TestOriginal(t *testing.T) {
	o, p := newOriginal(t, true), newPlayer(t)
	if err := os.WriteFile(filepath.Join(o.dir, "media", "menu.jpg"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.configure(nil,
		originalItem{"id": 11, "file_name": "menu.jpg", "type": "image", "duration": 15, "position": 1, "url": "/static/uploads/menu.jpg", "description": "Menu"},
		originalItem{"id": "12", "filename": "clip.mp4", "type": "video", "duration": "20", "url": o.scheme + "://digiserver.internal/static/uploads/clip.mp4", "sha256": strings.Repeat("AB", 32), "size": "77"},
		originalItem{"id": 13, "file_name": "page", "type": "webpage", "duration": 5, "url": "https://example.com"},
	)
	p.to(o.settings())
	prog := p.next()
	if err := prog.Validate(); err != nil {
		t.Fatal(err)
	}
	items := prog.Playlists[0].Items
	if len(items) != 2 || prog.PlayerName != "Till" || prog.PlayerID != 3 || prog.Orientation != "landscape" || prog.Revision < 5 || prog.Playlists[0].Version != 5 || prog.Base != prog.Playlists[0].ID {
		t.Fatalf("program %+v", prog)
	}
	if i := items[0]; i.ID != 11 || i.Kind != "image" || i.DurationMS != 15_000 || i.FileName != "menu.jpg" || i.SHA256 != "" || i.URL != "/static/uploads/menu.jpg" {
		t.Errorf("item %+v", i)
	}
	if i := items[1]; i.ID != 12 || i.Kind != "video" || i.DurationMS != 20_000 || i.FileName != "clip.mp4" || i.SHA256 != strings.Repeat("ab", 32) || i.SizeBytes != 77 {
		t.Errorf("item %+v", i)
	}
	p.well()
	s := p.State()
	if s.Kind != link.DigiServer || s.Trust != "pinned key" || len(s.LeftOut) != 1 || !strings.Contains(s.LeftOut[0], "webpage") || s.PlayerName != "Till" {
		t.Errorf("state %+v", s)
	}

	p.media(t, o, items[0].URL)
	p.Report(event("playing", "menu.jpg"))
	eventually(t, "reports and signs of life", func() bool {
		beats := 0
		for _, c := range o.seen("/api/player-feedback") {
			if c.Body["status"] == "playing" && c.Body["message"] == "menu.jpg" && c.Body["hostname"] == "till" && c.Bearer != "" && c.Body["timestamp"] != "" {
				beats++
			}
		}
		return beats > 2 && p.State().Spooled == 0
	})

	// The same again is no news; another one is, with a greater revision, also when the server's version stays.
	if len(p.programs) != 0 {
		t.Errorf("another program: %+v", p.next())
	}
	o.configure(nil, originalItem{"id": 14, "file_name": "b.png", "type": "image", "url": "/static/uploads/b.png"})
	next := p.next()
	if next.Revision <= prog.Revision || next.Playlists[0].Items[0].DurationMS != 10_000 {
		t.Errorf("program %+v", next)
	}
	o.configure(nil)
	p.trouble(link.CauseEmpty)
	for _, c := range o.seen("/") {
		if c.Query != "" {
			t.Errorf("a query: %+v", c)
		}
	}
	if n := len(o.seen("/api/auth/player")); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// media gets a medium whole, and the rest of one.
func (p *player) media(t *testing.T, o *original, url string) {
	t.Helper()
	part, err := p.Get(t.Context(), url, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(part.Body); err != nil || string(b) != "0123456789" || part.Size != 10 || part.From != 0 || part.Tag == "" {
		t.Errorf("%q, %v, %+v", b, err, part)
	}
	part.Body.Close()
	rest, err := p.Get(t.Context(), url, 6, part.Tag)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(rest.Body); err != nil || string(b) != "6789" || rest.Size != 10 || rest.From != 6 {
		t.Errorf("%q, %v, %+v", b, err, rest)
	}
	rest.Body.Close()
	// The name in the address is known to nobody but the server: it is asked itself.
	elsewhere, err := p.Get(t.Context(), o.scheme+"://digiserver.internal:1/static/uploads/menu.jpg", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Body.Close()
	if _, err := p.Get(t.Context(), "/static/uploads/none.jpg", 0, ""); err == nil || !strings.Contains(err.Error(), cache.ErrGone.Error()) {
		t.Errorf("what is not there: %v", err)
	}
}

// TestOriginalWithoutAuthCodes: the version before them knows hostname and code in the query only. That is done where there
// is no other way, and nowhere else; the code is in no log.
func TestOriginalWithoutAuthCodes(t *testing.T) {
	for _, form := range []string{"", "list", "items"} {
		t.Run("form "+form, func(t *testing.T) {
			o, p := newOriginal(t, false), newPlayer(t)
			o.configure(map[string]any{"legacy": true, "form": form}, originalItem{"id": 1, "file_name": "a.jpg", "type": "image", "url": "/static/uploads/a.jpg"})
			p.to(o.settings())
			if prog := p.next(); prog.Playlists[0].Items[0].FileName != "a.jpg" || prog.Validate() != nil {
				t.Errorf("program %+v", prog)
			}
			p.well()
			if s := p.State(); s.Trust != "" || s.Fingerprint != "" {
				t.Errorf("state %+v", s)
			}
			p.Report(event("error", "b.jpg is damaged"))
			eventually(t, "the report", func() bool { return p.State().Spooled == 0 })
			if !slices.ContainsFunc(o.seen("/api/player-feedback"), func(c call) bool { return c.Body["message"] == "b.jpg is damaged" }) {
				t.Errorf("reports %+v", o.seen("/api/player-feedback"))
			}
			for _, c := range o.seen("/") {
				if (c.Query != "") != (c.Path == "/api/playlists") {
					t.Errorf("call %+v", c)
				}
			}
			if p.clock.heard() != 0 {
				t.Error("the time of a server that nobody verified was taken")
			}
			s := o.settings()
			s.QuickConnectCode = "wrong"
			p.to(s)
			p.trouble(link.CauseAuth, "Invalid credentials", "till")
		})
	}
}

// TestOriginalWithoutIDs: one that has auth codes, and playlists by hostname only.
func TestOriginalWithoutIDs(t *testing.T) {
	o, p := newOriginal(t, true), newPlayer(t)
	o.configure(map[string]any{"noid": true}, originalItem{"id": 1, "file_name": "a.jpg", "type": "image", "url": "/static/uploads/a.jpg"})
	p.to(o.settings())
	p.next()
	p.well()
	o.configure(map[string]any{"noid": true}, originalItem{"id": 2, "file_name": "b.jpg", "type": "image", "url": "/static/uploads/b.jpg"})
	p.next()
	n := len(o.seen("/api/playlists/3"))
	eventually(t, "more questions", func() bool { return len(o.seen("/api/playlists")) > n+5 })
	if n != 1 || len(o.seen("/api/playlists/3")) != 1 {
		t.Errorf("asked %d times what the server does not know", n)
	}
	for _, c := range o.seen("/api/playlists") {
		if c.Bearer == "" {
			t.Errorf("call %+v", c)
		}
	}
}

// TestOriginalForgets: an original server that has lost its auth codes, as at a restart, is told the code again.
func TestOriginalForgets(t *testing.T) {
	o, p := newOriginal(t, true), newPlayer(t)
	o.configure(map[string]any{"login": true}, originalItem{"id": 1, "file_name": "menu.jpg", "type": "image", "url": "/static/uploads/menu.jpg"})
	if err := os.WriteFile(filepath.Join(o.dir, "media", "menu.jpg"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.to(o.settings())
	p.next()
	p.well()
	part, err := p.Get(t.Context(), "/static/uploads/menu.jpg", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	part.Body.Close()
	p.stop()
	file := filepath.Join(p.dir, "server.json")
	b, _ := readFile(t, file)
	var kept map[string]any
	if err := json.Unmarshal([]byte(b), &kept); err != nil {
		t.Fatal(err)
	}
	kept["auth_code"] = "the-auth-code"
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s", must(json.Marshal(kept))), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.to(o.settings())
	p.next()
	p.well()
	if n := len(o.seen("/api/auth/player")); n != 2 {
		t.Errorf("%d logins", n)
	}
	// Without a code there is nothing that a person could type at the server.
	s := o.settings()
	s.QuickConnectCode = ""
	p.to(s)
	p.trouble(link.CauseAuth, "quick-connect code", "Enter")
}

func must(b []byte, err error) []byte {
	if err != nil {
		return []byte(err.Error())
	}
	return b
}
