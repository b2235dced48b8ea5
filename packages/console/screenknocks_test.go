package main_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/program"
)

// TestTurnedAway: who fails at TLS or is refused stands beside the screen it is, or by itself, with what to do; and no
// more once it was let in.
func TestTurnedAway(t *testing.T) {
	d := newDevice(t)
	failed := func(address, reason string, ago time.Duration) map[string]any {
		return map[string]any{"address": address, "reason": reason, "count": 3, "last": time.Now().Add(-ago)}
	}
	p := &proxyFake{status: map[string]any{"handshakes": []any{
		failed("192.168.1.7", "does not trust this certificate", -time.Minute), // the tests' player, after it was let in, however long that takes
		failed("192.168.1.66", "takes the certificate for expired: check its clock", time.Minute),
		failed("192.168.1.67", "something new", 2*time.Minute),
		failed("192.168.1.68", "does not trust this certificate", 48*time.Hour),
	}}}
	d.peer("proxy", p)
	d.peer("player", playerWith("\xff\xd8picture"))
	d.start()
	b := d.claimed()
	path, code := addScreen(t, b, "name", "Window", "hostname", "tv-window", "may_edit", "1")
	login := func(hostname, code string) {
		d.api("Kiwy-Signage-Player/1.0", "POST", "/api/auth/player", "", map[string]string{"hostname": hostname, "quickconnect_code": code}, nil)
	}
	login("tv-window", code)
	login("rpi <b>", "whatever")
	page := b.get("/screens")
	checkPage(t, "screens", page)
	body := page.body
	card := func() string {
		_, rest, _ := strings.Cut(b.get("/screens").body, `data-key="`+strings.TrimPrefix(path, "/screens/")+`"`)
		rest, _, _ = strings.Cut(rest, "</article>")
		return rest
	}
	if c := card(); !strings.Contains(c, "Does not trust this device’s certificate") || !strings.Contains(c, `href="/ca.pem" download`) || !strings.Contains(c, "3 times, last just now") {
		t.Errorf("the card of who does not trust:\n%s", c)
	}
	_, strangers, _ := strings.Cut(body, "Turned away")
	for _, want := range []string{
		"192.168.1.66", "Takes the certificate for expired", "set date and time", "192.168.1.67", "something new",
		"rpi &lt;b&gt;", `href="/screens/new?hostname=rpi&#43;%3Cb%3E"`,
	} {
		if !strings.Contains(strangers, want) {
			t.Errorf("those turned away lack %q:\n%s", want, strangers)
		}
	}
	for _, no := range []string{"192.168.1.68", "<h3>192.168.1.7</h3>", "<b>"} {
		if strings.Contains(strangers, no) {
			t.Errorf("those turned away have %q:\n%s", no, strangers)
		}
	}
	if home := b.get("/").body; !strings.Contains(home, "3 more devices were turned away") || !strings.Contains(home, "1 to look after") {
		t.Errorf("the home page:\n%s", home)
	}

	// Wrong code: beside the screen, until it is right.
	login("tv-window", "wrong-code")
	if c := card(); !strings.Contains(c, "Could not log in") || !strings.Contains(c, path+"#connect") {
		t.Errorf("the card after a wrong code:\n%s", c)
	}
	login("tv-window", code)
	if c := card(); strings.Contains(c, "Could not log in") {
		t.Errorf("the card after the right code:\n%s", c)
	}

	// Without TLS.
	n := d.browser()
	n.header = http.Header{"X-Forwarded-Proto": {"http"}, "Porthole-Near": {"1"}, "User-Agent": {"Kiwy-Signage-Player/1.0"}}
	if a := n.json("POST", "/api/auth/player", map[string]string{"hostname": "tv-window", "quickconnect_code": code}); a.status != http.StatusUpgradeRequired {
		t.Fatalf("without TLS: %d %s", a.status, a.body)
	}
	if c := card(); !strings.Contains(c, "Comes without TLS") || !strings.Contains(c, "https://porthole.lan:8443") {
		t.Errorf("the card of who comes without TLS:\n%s", c)
	}
	if a := b.post(path, "name", "Window", "hostname", "tv-window", "group", "0", "playlist", "0", "orientation", "landscape", "enabled", "1", "plain_http", "1"); a.status != http.StatusSeeOther {
		t.Fatalf("let it in: %d\n%s", a.status, a.body)
	}
	if a := n.json("POST", "/api/auth/player", map[string]string{"hostname": "tv-window", "quickconnect_code": code}); a.status != http.StatusOK {
		t.Errorf("let in without TLS: %d %s", a.status, a.body)
	}
	if c := card(); strings.Contains(c, "Comes without TLS") {
		t.Errorf("the card of who was let in:\n%s", c)
	}
}

// TestPictures: who looks at a screen asks it for its next picture, and sees the last one.
func TestPictures(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	path, code := addScreen(t, b, "hostname", "pi-door")
	const agent = "Porthole/1.2"
	var login struct {
		AuthCode string `json:"auth_code"`
		ID       int64  `json:"player_id"`
	}
	d.api(agent, "POST", "/api/auth/player", "", map[string]string{"hostname": "pi-door", "quickconnect_code": code}, &login)
	if a := b.get(path + "/screen.jpg"); a.status != http.StatusNoContent {
		t.Errorf("without a picture: %d", a.status)
	}
	wish := func() int64 {
		var p program.Program
		if a := d.api(agent, "GET", fmt.Sprintf("/api/players/%d/program", login.ID), login.AuthCode, nil, &p); a.status != http.StatusOK {
			t.Fatalf("program: %d %s", a.status, a.body)
		}
		return p.Screenshot
	}
	if n := wish(); n != 0 {
		t.Errorf("a picture is wanted that nobody asked for: %d", n)
	}
	b.get(path + "/screen.jpg")
	first := wish()
	if first == 0 {
		t.Error("who looks does not ask for a picture")
	}
	eventually(t, "asking again is another wish", func() bool {
		return b.post(path+"/screenshot").status == http.StatusSeeOther && wish() > first
	})
	var shot bytes.Buffer
	if err := jpeg.Encode(&shot, image.NewGray(image.Rect(0, 0, 32, 18)), nil); err != nil {
		t.Fatal(err)
	}
	up := d.browser()
	up.header = http.Header{"Authorization": {"Bearer " + login.AuthCode}}
	if a := up.raw("POST", fmt.Sprintf("/api/players/%d/screenshot", login.ID), "image/jpeg", bytes.NewReader(shot.Bytes())); a.status != http.StatusNoContent {
		t.Fatalf("send a picture: %d %s", a.status, a.body)
	}
	if a := b.get(path + "/screen.jpg"); a.status != http.StatusOK || a.body != shot.String() || a.header.Get("Content-Type") != "image/jpeg" || a.header.Get("Last-Modified") == "" {
		t.Errorf("the picture: %d %v", a.status, a.header)
	}
}
