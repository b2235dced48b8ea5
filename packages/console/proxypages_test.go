package main_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/rtsp"
	console "porthole/packages/console"
	"porthole/packages/internal/settings"
)

func TestSessions(t *testing.T) {
	d := newDevice(t)
	now := time.Now()
	p := &proxyFake{sessions: []rtsp.SessionStatus{
		{ID: "s2", Stream: "yard/2", Peer: "203.0.113.7", Via: rtsp.ViaTLS, Auth: "token", UserAgent: "Fire OS/6.0 <stagefright>", Transport: "tcp", Since: now.Add(-90 * time.Second), BytesOut: 17_000_000, Dropped: 9, DroppedGOPs: 2},
		{ID: "s1", Stream: "yard", Peer: "192.168.1.7", Via: rtsp.ViaTest, User: "joe", Auth: "digest", Transport: "udp", Since: now.Add(-2 * time.Hour), Ended: now.Add(-time.Hour), Reason: "the reader left"},
		{ID: "s0", Stream: "yard", Via: rtsp.ViaSocket, Auth: "trusted", Transport: "tcp", Since: now.Add(-time.Minute), Ended: now, Reason: "a snapshot was made"},
	}}
	d.peer("proxy", p)
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "url2", "rtsp://192.168.1.30/t")
	a := b.get("/sessions")
	checkPage(t, "sessions", a)
	expect(t, "sessions", a.body, "Yard, stream 2", "203.0.113.7", "Fire OS/6.0 &lt;stagefright&gt;", ">token<", "TCP in TLS", ">1 min<", "17 MB", "2 gaps, 9 packets", `action="/sessions/s2/end"`,
		"192.168.1.7", "Digest, joe", "UDP, test socket", "1 h 0 min, ended 1 h 0 min ago", "the reader left", "!a snapshot was made", `!action="/sessions/s1/end"`)
	if a := b.post("/sessions/s2/end"); a.status != http.StatusSeeOther || a.location != "/sessions" {
		t.Fatalf("end: %d to %q", a.status, a.location)
	}
	p.mu.Lock()
	if d := cmp.Diff([]string{"s2"}, p.ended); d != "" {
		t.Error(d)
	}
	p.mu.Unlock()
	expect(t, "sessions after", b.get("/sessions").body, "The session was ended.", "Nobody reads a camera", "ended from the web page")
	if a := b.post("/sessions/gone/end"); a.status != http.StatusSeeOther {
		t.Errorf("end what is gone: %d", a.status)
	}
	expect(t, "sessions then", b.get("/sessions").body, "had ended already")
}

func TestRTSPLog(t *testing.T) {
	d := newDevice(t)
	at := time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)
	p := &proxyFake{lines: []rtsp.LogLine{
		{Seq: 3, Time: at, Stream: "yard", Side: "reader", Peer: "203.0.113.7", From: "us", Text: "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n"},
		{Seq: 2, Time: at, Stream: "yard", Side: "reader", Peer: "203.0.113.7", From: "them", Text: "DESCRIBE rtsp://h/<yard> RTSP/1.0\r\nCSeq: 1\x1b[31m\r\n"},
		{Seq: 1, Time: at, Stream: "shed", Side: "camera", Peer: "192.168.1.31", From: "us", Text: "OPTIONS rtsp://192.168.1.31/s RTSP/1.0"},
	}}
	d.peer("proxy", p)
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	a := b.get("/rtsp-log")
	checkPage(t, "log", a)
	expect(t, "log", a.body, "12:00:05.000", "reader 203.0.113.7 → Porthole", "Porthole → camera 192.168.1.31", "DESCRIBE rtsp://h/&lt;yard&gt; RTSP/1.0\nCSeq: 1", "3 entries", "!\x1b")
	if first, second := strings.Index(a.body, "401"), strings.Index(a.body, "OPTIONS rtsp"); first > second {
		t.Error("the newest is not first")
	}
	expect(t, "log of a stream", b.get("/rtsp-log?stream=shed").body, "OPTIONS", "1 entry", "!DESCRIBE rtsp")
	expect(t, "log with a text", b.get("/fragments/rtsp-log?text=unauthorized").body, "401", "!DESCRIBE rtsp", "!<html")
	expect(t, "log with what is not there", b.get("/rtsp-log?text=nothing+of+it").body, "Nothing fits the filter.", `value="nothing of it"`)
	text := b.get("/rtsp-log.txt?stream=yard")
	if ct := text.header.Get("Content-Type"); ct != "text/plain; charset=utf-8" || !strings.Contains(text.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("download: %q, %q", ct, text.header.Get("Content-Disposition"))
	}
	want := `2026-03-01T12:00:05.000Z Porthole → reader 203.0.113.7 [yard]
    RTSP/1.0 401 Unauthorized
    CSeq: 1
2026-03-01T12:00:05.000Z reader 203.0.113.7 → Porthole [yard]
    DESCRIBE rtsp://h/<yard> RTSP/1.0
    CSeq: 1
`
	if d := cmp.Diff(want, text.body); d != "" {
		t.Error(d)
	}
	if a := b.post("/rtsp-log/clear"); a.status != http.StatusSeeOther {
		t.Errorf("clear: %d", a.status)
	}
	expect(t, "log after", b.get("/rtsp-log").body, "The log was cleared.", "Nothing was said yet.")

	alone := newDevice(t).start().claimed()
	if a := alone.get("/rtsp-log.txt"); a.status != http.StatusServiceUnavailable {
		t.Errorf("download without proxy: %d", a.status)
	}
	alone.post("/rtsp-log/clear")
	expect(t, "log without proxy", alone.get("/rtsp-log").body, "could not be cleared", "proxy does not answer")
}

func TestCertificatePage(t *testing.T) {
	d := newDevice(t)
	d.peer("system", newSystem(t))
	d.peer("proxy", &proxyFake{status: map[string]any{"https": map[string]any{"tls": map[string]int{"TLS 1.3 TLS_AES_128_GCM_SHA256": 30, "TLS 1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": 10}}}})
	d.start()
	b := d.claimed()
	b.header = http.Header{"Porthole-Tls": {"TLS 1.3 TLS_AES_256_GCM_SHA384"}}
	a := b.get("/certificate")
	checkPage(t, "certificate", a)
	expect(t, "certificate", a.body, "TLS 1.3 TLS_AES_256_GCM_SHA384", "CN=porthole", "CN=Porthole CA, this device’s own authority", "ECDSA, P-256", "good for 823 days",
		">30<", "75 %", "25 %", "porthole.local", `href="/trust"`)
	if strings.Index(a.body, "75 %") > strings.Index(a.body, "25 %") {
		t.Error("the most frequent is not first")
	}
}

// TestProxySettings: what is saved reaches the processes; what is wrong is said at once and nothing is saved.
func TestProxySettings(t *testing.T) {
	d := newDevice(t)
	d.peer("proxy", &proxyFake{status: map[string]any{
		"refused": map[string]int{"not_allowed": 8214},
		"access":  map[string]any{"own": []string{"203.0.113.77"}, "networks": []string{"192.168.1.0/24"}, "problems": []string{"friend.example.org does not resolve"}},
	}})
	d.start()
	b := d.claimed()
	expect(t, "at first", b.get("/settings/proxy").body, "taken from everywhere", `name="plain_http" value="1" checked`, `name="signaling_port" value="1" checked`, `!name="test_socket" value="1" checked`)
	a := b.post("/settings/proxy", "public_name", " https://Home.example.org:443/ ", "restricted", "1", "allowed", "friend.example.org, 198.51.100.9/24\n2001:db8::1", "open", "192.168.1.7/24",
		"default_auth", "digest", "test_socket", "1", "trusted_proxies", "192.168.1.5, 10.0.5.1/24")
	if a.status != http.StatusSeeOther {
		t.Fatalf("save: %d\n%s", a.status, a.body)
	}
	p := d.proxySettings()
	want := settings.Access{Restricted: true, Allowed: []string{"friend.example.org", "198.51.100.0/24", "2001:db8::1"}, Open: []string{"192.168.1.0/24"}, TrustedProxies: []string{"192.168.1.5", "10.0.5.0/24"}}
	if d := cmp.Diff(want, p.Access); d != "" || p.PublicName != "home.example.org" || p.PlainHTTP || !p.TestSocket {
		t.Errorf("%+v\n%s", p, d)
	}
	var s settings.Signaling
	if _, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/signaling?after=0", nil, &s); err != nil || s.SignalingPort {
		t.Errorf("signaling: %+v, %v", s, err)
	}
	page := b.get("/settings/proxy")
	checkPage(t, "proxy", page)
	expect(t, "the page", page.body, "Saved.", "taken only from this device, your networks (192.168.1.0/24), your own public address (203.0.113.77), friend.example.org", "8214", "Not on the allow list",
		"friend.example.org does not resolve", "cameras set to “None” are read without an account", "test socket is on", `<option value="digest" selected>`)
	expect(t, "the form of a new camera", b.get("/settings/cameras/new").body, `<option value="digest" selected>`)
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	b.header = http.Header{"X-Forwarded-Host": {"[fd00::5]:8443"}}
	expect(t, "the camera", b.get("/camera/yard").body, "@[fd00::5]:5001/yard")
	b.header = nil

	a = b.post("/settings/proxy", "public_name", "10.0.0.1", "allowed", "what ever!", "open", "0.0.0.0/0", "default_auth", "maybe", "trusted_proxies", "proxy.example.org")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.status)
	}
	checkPage(t, "proxy with errors", a)
	expect(t, "the form", a.body, `id="public_name-error"`, `id="allowed-error"`, `id="open-error"`, `id="trusted_proxies-error"`, "proxy.example.org", `id="default_auth-error"`, "what ever!", "the whole internet")
	if again := d.proxySettings(); again.Revision != p.Revision+1 || again.PublicName != "home.example.org" {
		t.Errorf("nonsense was saved: %+v", again)
	}
}

func TestRTSPAccounts(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	users := func() (list []string) {
		for _, a := range d.proxySettings().Accounts {
			list = append(list, a.User)
		}
		return list
	}
	for _, form := range [][]string{{"user", "echo"}, {"user", "recorder", "password", "hunter2hunter2"}} {
		if a := b.post("/settings/proxy/accounts", form...); a.status != http.StatusSeeOther {
			t.Fatalf("add %q: %d\n%s", form, a.status, a.body)
		}
	}
	if d := cmp.Diff([]string{"porthole", "echo", "recorder"}, users()); d != "" {
		t.Error(d)
	}
	page := b.get("/settings/proxy").body
	expect(t, "the page", page, `data-whole="hunter2hunter2"`, "3 accounts may read")
	for name, c := range map[string]struct {
		form []string
		want string
	}{
		"a name twice":   {[]string{"user", "echo"}, "already"},
		"the first":      {[]string{"user", "porthole"}, "already"},
		"a colon":        {[]string{"user", "a:b"}, `id="user-error"`},
		"no name":        {[]string{"user", " "}, `id="user-error"`},
		"short password": {[]string{"user", "x", "password", "1234567"}, `id="password-error"`},
		"odd password":   {[]string{"user", "x", "password", "pass wörter"}, `id="password-error"`},
	} {
		a := b.post("/settings/proxy/accounts", c.form...)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d, lacks %q", name, a.status, c.want)
		}
		checkPage(t, name, a)
	}
	b.post("/settings/proxy/accounts", "user", "my-proxy")
	expect(t, "the page", b.get("/settings/proxy").body, "VLC takes that word")

	was := d.proxySettings().Accounts
	for _, user := range []string{"porthole", "echo"} {
		if a := b.post("/settings/proxy/accounts/" + user); a.status != http.StatusSeeOther {
			t.Errorf("new password for %s: %d", user, a.status)
		}
	}
	now := d.proxySettings().Accounts
	if now[0].HA1 == was[0].HA1 || now[1].HA1SHA256 == was[1].HA1SHA256 || now[2].HA1 != was[2].HA1 {
		t.Errorf("%+v became %+v", was, now)
	}
	if a := b.post("/settings/proxy/accounts/echo", "password", "short"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a short new password: %d", a.status)
	}
	for user, want := range map[string]int{"echo": http.StatusSeeOther, "porthole": http.StatusForbidden, "nobody": http.StatusNotFound} {
		if a := b.post("/settings/proxy/accounts/" + user + "/delete"); a.status != want {
			t.Errorf("delete %s: %d", user, a.status)
		}
	}
	if d := cmp.Diff([]string{"porthole", "my-proxy", "recorder"}, users()); d != "" {
		t.Error(d)
	}
}

// FuzzAccessLists: whatever is typed, what is taken are addresses, networks and names as proxy reads them, and taking it
// again changes nothing.
func FuzzAccessLists(f *testing.F) {
	for _, s := range []string{"192.168.1.7/24", "fe80::1%eth0", "::ffff:10.0.0.1", "Friend.Example.org.", "https://h.example.org/x", "0.0.0.0/0", "::/0", "a b", "", "xn--bcher-kva.example", "10.0.0.0/33"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		open, reason := console.CheckOpen([]string{typed})
		if reason == "" {
			for _, s := range open {
				if p, err := netip.ParsePrefix(s); err != nil || p.Bits() == 0 || p != p.Masked() {
					t.Errorf("open network %q from %q: %v", s, typed, err)
				}
			}
		}
		allowed, reason := console.CheckAllowed([]string{typed})
		if reason != "" {
			return
		}
		for _, s := range allowed {
			_, notAddr := netip.ParseAddr(s)
			_, notNet := netip.ParsePrefix(s)
			if notAddr != nil && notNet != nil && console.CleanName(s) != s {
				t.Errorf("%q from %q is nothing that proxy knows", s, typed)
			}
		}
		if again, reason := console.CheckAllowed(allowed); reason != "" || !cmp.Equal(again, allowed) {
			t.Errorf("%q becomes %q (%s)", allowed, again, reason)
		}
	})
}
