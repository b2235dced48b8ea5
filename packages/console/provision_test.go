package main_test

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

const file = `hostname = "shop"
hostnam = "typo"
[admin]
password = "correct horse battery"
[[camera]]
id = "yard"
name = "Back yard"
url = "rtsp://192.168.1.30/s"
user = "joe"
password = "hunter2"
[[camera]]
id = "demo"
url = "rtsp://192.168.1.31/s"
[player]
server = "https://signage.example.com"
orientation = "portrait"
`

func offered(s *system, digest, text string) {
	f, problems := provision.Parse([]byte(text))
	s.offer(digest, f, problems)
}

func (d *device) took(s *system, digest string) {
	d.t.Helper()
	eventually(d.t, "provisioning "+digest+" taken", func() bool { return slices.Contains(s.tookAll(), digest) })
}

func (d *device) proxySettings() settings.Proxy {
	d.t.Helper()
	var p settings.Proxy
	if _, err := d.internal().Call(d.t.Context(), http.MethodGet, "/settings/proxy?after=0", nil, &p); err != nil {
		d.t.Fatal(err)
	}
	return p
}

func TestProvision(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	// system comes up after console: it is asked until it answers.
	d.start()
	s := newSystem(t)
	offered(s, "one", file)
	d.peer("system", s)
	d.took(s, "one")

	p := d.proxySettings()
	yard := settings.Camera{ID: "yard", Name: "Back yard", URL: "rtsp://192.168.1.30/s", User: "joe", Password: "hunter2", Transport: settings.Auto, Auth: settings.AnyAuth}
	if d := cmp.Diff([]settings.Camera{demoCamera(), yard}, p.Cameras, noTokens); d != "" || p.Hostname != "shop" {
		t.Errorf("hostname %q, cameras:\n%s", p.Hostname, d)
	}
	var player struct {
		Hostname string
		Settings map[string]string
	}
	if _, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/player?after=0", nil, &player); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"server": "https://signage.example.com", "orientation": "portrait"}, player.Settings); d != "" {
		t.Error(d)
	}
	if code := d.claimCode(); code != "" {
		t.Errorf("provisioned with a password, and still a claim code: %q", code)
	}
	b := d.browser()
	if a := b.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("login with the provisioned password: %d", a.status)
	}
	home := b.get("/").body
	for _, want := range []string{"Back yard", "Some of porthole.toml was not taken", "Line 2, <code>hostnam</code>", "built-in camera", "shop"} {
		if !strings.Contains(home, want) {
			t.Errorf("the home page lacks %q", want)
		}
	}
	if !strings.Contains(d.log.String(), "hostnam") {
		t.Error("the problems are not in the log")
	}

	// It is applied once: what the owner changes later stays, whatever restarts.
	if a := b.post("/settings/cameras/yard/delete"); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	before := len(s.tookAll())
	d.stop()
	b.client.CloseIdleConnections()
	d.start()
	eventually(t, "system is told again", func() bool { return len(s.tookAll()) > before })
	if p := d.proxySettings(); len(p.Cameras) != 1 {
		t.Errorf("the deleted camera is back: %+v", p.Cameras)
	}
	if a := b.get("/"); a.status != http.StatusOK {
		t.Errorf("the session ended: %d", a.status)
	}
	// A read notice stays away.
	id := home[strings.Index(home, "/notices/provision-"):]
	id = id[:strings.Index(id, `"`)]
	if a := b.post(id); a.status != http.StatusSeeOther {
		t.Errorf("dismiss %s: %d", id, a.status)
	}
	if a := b.get("/"); strings.Contains(a.body, "was not taken") {
		t.Error("the notice is still there")
	}
	if a := b.post("/notices/other/dismiss"); a.status != http.StatusNotFound {
		t.Errorf("dismiss what is not there: %d", a.status)
	}
}

// TestProvisionAgain: a new file updates the device; what system took out of it for safety is not lost.
func TestProvisionAgain(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	offered(s, "one", file)
	d.peer("system", s)
	d.start()
	d.took(s, "one")
	b := d.browser()
	if a := b.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("login: %d", a.status)
	}
	redacted, changed := provision.Redact([]byte(file))
	if !changed || strings.Contains(string(redacted), "hunter2") {
		t.Fatalf("still a secret in\n%s", redacted)
	}
	offered(s, "two", strings.Replace(string(redacted), `"shop"`, `"kiosk"`, 1))
	d.stop()
	b.client.CloseIdleConnections()
	d.start()
	d.took(s, "two")
	p := d.proxySettings()
	if p.Hostname != "kiosk" || p.Cameras[0].User != "joe" || p.Cameras[0].Password != "hunter2" {
		t.Errorf("after the redacted file: %q, %+v", p.Hostname, p.Cameras[0])
	}
	if a := b.get("/"); a.status != http.StatusOK {
		t.Errorf("the same password again ended the session: %d", a.status)
	}
	// Another camera at that id does not get the old one's password.
	offered(s, "three", "[admin]\npassword = \"a new password\"\n[[camera]]\nid = \"yard\"\nurl = \"rtsp://192.168.1.99/s\"\nuser = \"joe\"\n")
	d.stop()
	b.client.CloseIdleConnections()
	d.start()
	d.took(s, "three")
	if p = d.proxySettings(); p.Cameras[0].Password != "" || p.Cameras[0].URL != "rtsp://192.168.1.99/s" {
		t.Errorf("after the third file: %+v", p.Cameras[0])
	}
	// A new password ends what was open with the old one.
	if a := b.get("/"); a.location != "/login" {
		t.Errorf("session with the old password: %d to %q", a.status, a.location)
	}
	if a := b.post("/login", "user", "admin", "password", "a new password"); a.status != http.StatusSeeOther {
		t.Errorf("login with the new password: %d", a.status)
	}
}

func TestNoProvision(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.claimed()
	if a := b.get("/"); strings.Contains(a.body, "porthole.toml was not taken") || a.status != http.StatusOK {
		t.Errorf("home: %d\n%s", a.status, a.body)
	}
	if got := s.tookAll(); len(got) != 0 {
		t.Errorf("console took %q, there is no file", got)
	}
}

// TestProblems: what system says is wrong stands on an admin's page for as long as it says so.
func TestProblems(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.claimed()
	say := func(problems ...map[string]string) string {
		t.Helper()
		s.mu.Lock()
		s.problems = problems
		s.mu.Unlock()
		var page string
		eventually(t, "the page follows", func() bool {
			page = b.get("/").body
			return strings.Contains(page, "stopped working") == (len(problems) > 0)
		})
		return page
	}
	page := say(
		map[string]string{"area": "storage", "text": "The storage was damaged & repaired."},
		map[string]string{"area": "processes", "text": "proxy does not run."},
		map[string]string{"area": "porthole.toml", "text": "Line 2, nonsense"},
	)
	for _, want := range []string{"The storage was damaged &amp; repaired.", "proxy does not run."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "Line 2, nonsense") || strings.Contains(page, "/notices/problem") {
		t.Error("the page says it twice, or offers to put a problem away")
	}
	if page := say(); strings.Contains(page, "repaired") {
		t.Error("the problem is mended and still there")
	}
}

// TestProvisionAccess: a file's RTSP accounts, the way in and a camera's streams arrive where proxy sees them, and stay
// once the passwords have left the file.
func TestProvisionAccess(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	const text = `[admin]
password = "` + password + `"
[[camera]]
id = "yard"
url = "rtsp://192.168.1.30/s"
url2 = "rtsp://192.168.1.30/small"
auth = "digest"
always_on = true
options = "drop_audio"
[[account]]
user = "kitchen"
password = "eight characters"
[[account]]
user = "alexa"
password = "12345678"
[[account]]
user = "nobody"
[access]
public_name = "cams.example.org"
only_own_network = true
allowed = "203.0.113.7 friend.example.org"
`
	offered(s, "one", text)
	d.peer("system", s)
	d.start()
	d.took(s, "one")
	check := func() {
		t.Helper()
		p := d.proxySettings()
		yard := settings.Camera{
			ID: "yard", Name: "yard", URL: "rtsp://192.168.1.30/s", MoreURLs: []string{"rtsp://192.168.1.30/small"}, Transport: settings.Auto,
			Auth: settings.DigestAuth, AlwaysOn: true, Options: settings.StreamOptions{DropAudio: true},
		}
		if d := cmp.Diff([]settings.Camera{yard}, p.Cameras, noTokens); d != "" {
			t.Error(d)
		}
		access := settings.Access{Restricted: true, Allowed: []string{"203.0.113.7", "friend.example.org"}}
		if p.PublicName != "cams.example.org" || cmp.Diff(access, p.Access) != "" || !p.PlainHTTP {
			t.Errorf("%+v", p)
		}
		// MD5 and SHA-256 of "alexa:Streaming Server:12345678".
		var users []string
		for _, a := range p.Accounts {
			users = append(users, a.User)
			if a.User == "alexa" && (a.HA1 != fmt.Sprintf("%x", md5.Sum([]byte("alexa:Streaming Server:12345678"))) || len(a.HA1SHA256) != 64) {
				t.Errorf("%+v", a)
			}
		}
		// "eight characters" has a space, which devices write in different ways; nobody has no password.
		if want := []string{"porthole", "alexa"}; !slices.Equal(users, want) {
			t.Errorf("accounts %v, want %v", users, want)
		}
	}
	check()
	for _, want := range []string{"line=12 key=account.password", "nobody"} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("nobody says %s, an account that was left out", want)
		}
	}
	redacted, _ := provision.Redact([]byte(text))
	offered(s, "two", string(redacted))
	d.stop()
	d.start()
	d.took(s, "two")
	check()
}
