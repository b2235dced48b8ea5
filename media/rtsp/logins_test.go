package rtsp

import (
	"bufio"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

func TestLogins(t *testing.T) {
	var l logins
	now := time.Now()
	addr := netip.MustParseAddr
	for range maxWrongLogins - 1 {
		l.failed(now, addr("2001:db8::1"), "anna")
	}
	if l.paused(now, addr("2001:db8::1"), "anna") {
		t.Error("paused too early")
	}
	// The window is over: counting begins anew.
	l.failed(now.Add(loginWindow+time.Second), addr("2001:db8::1"), "anna")
	now = now.Add(loginWindow + time.Second)
	if l.paused(now, addr("2001:db8::1"), "anna") {
		t.Error("what was wrong long ago counts")
	}
	for range maxWrongLogins - 1 {
		l.failed(now, addr("2001:db8::2%eth0"), "anna")
	}
	for a, want := range map[string]bool{"2001:db8::1": true, "2001:db8::ffff": true, "2001:db8:0:1::1": false, "192.0.2.1": false} {
		if got := l.paused(now, addr(a), "anna"); got != want {
			t.Errorf("%s: paused %v", a, got)
		}
	}
	if l.paused(now, addr("2001:db8::1"), "bert") {
		t.Error("another account there is paused, too")
	}
	// In the house each address is a device of its own.
	for range maxWrongLogins {
		l.failed(now, addr("fd00::1"), "anna")
	}
	if !l.paused(now, addr("fd00::1"), "anna") || l.paused(now, addr("fd00::2"), "anna") {
		t.Error("a device of the house is paused for another one's tries")
	}
	if l.paused(now.Add(loginPause), addr("2001:db8::1"), "anna") {
		t.Error("the pause does not end")
	}
	if l.failed(now, netip.Addr{}, "anna"); l.paused(now, netip.Addr{}, "anna") {
		t.Error("who has no address is paused")
	}
	for i := range maxLoginSources + 100 {
		l.failed(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "anna")
	}
	if n := len(l.sources); n > maxLoginSources {
		t.Errorf("%d sources are remembered", n)
	}
}

func TestLogRing(t *testing.T) {
	var l rtspLog
	for i := range logLines + 10 {
		l.add(sideReader, "192.0.2.1", []string{"a", "b"}[i%2], fromThem, "x")
	}
	if got := l.lines(0, ""); len(got) != logLines || got[0].Seq != logLines+10 || got[logLines-1].Seq != 11 {
		t.Fatalf("%d lines, %d to %d", len(got), got[0].Seq, got[len(got)-1].Seq)
	}
	if got := l.lines(logLines, "b"); len(got) != 5 || got[0].Stream != "b" {
		t.Errorf("%+v", got)
	}
	l.clear()
	if got := l.lines(0, ""); len(got) != 0 {
		t.Errorf("%d lines after clearing", len(got))
	}
	l.add(sideReader, "", "a", fromUs, "y")
	if got := l.lines(0, ""); len(got) != 1 || got[0].Seq != logLines+11 || got[0].Text != "y" {
		t.Errorf("%+v", got)
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"PLAY rtsp://u:p@h/x RTSP/1.0":              "PLAY rtsp://…@h/x RTSP/1.0",
		"a rtsp://h/t/abc/trackID=1;seq=2 b":        "a rtsp://h/t/…/trackID=1;seq=2 b",
		"rtsp://h/t/abc?x,url=rtsp://h/t/abc;y":     "rtsp://h/t/…?x,url=rtsp://h/t/…;y",
		"rtsp://c/user=a&password=b&channel=1":      "rtsp://c/user=a&password=…&channel=1",
		"rtsp://c/?pwd=b c":                         "rtsp://c/?pwd=… c",
		"bell \a and \x1b[2J":                       "bell � and �[2J",
		"a=fmtp:96 packetization-mode=1;sprop=Z0IA": "a=fmtp:96 packetization-mode=1;sprop=Z0IA",
	} {
		if got := maskText(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	req := &base.Request{Method: base.Play, Header: base.Header{
		"Authorization": {"Digest username=\"u\", response=\"abc\"", "secret-of-another-scheme"}, "Cookie": {"a=b"}, "Session": {"1"},
	}}
	want := "PLAY * RTSP/1.0\nAuthorization: Digest …\nAuthorization: …\nCookie: …\nSession: 1"
	if got := requestText(req); got != want {
		t.Errorf("%q", got)
	}
}

// FuzzRequest gives a server's first steps whatever a reader may send: the request as gortsplib reads it, what it is
// about, its credentials, and its line in the log.
func FuzzRequest(f *testing.F) {
	const token = "k3jq5zv2m7xw4hb6yt3rd5nc2f"
	for _, s := range []string{
		"DESCRIBE rtsp://cams.example.org:443/door RTSP/1.0\r\nAccept: application/sdp\r\nUser-Agent: Fire OS/6.0 stagefright/1.2 (Linux;Android 7.1.2)\r\nCSeq: 1\r\n\r\n",
		"SETUP rtsp://cams.example.org:443/door/trackID=0 RTSP/1.0\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\nCSeq: 3\r\nAuthorization: Digest username=\"porthole\",realm=\"Streaming Server\",nonce=\"00\",uri=\"rtsp://cams.example.org:443/door/trackID=0 \",response=\"d41d8cd98f00b204e9800998ecf8427e\"\r\n\r\n",
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"PLAY rtsp://h/t/" + token + "/ RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: LibVLC/3.0.6 (LIVE555 Streaming Media v2016.11.28)\r\nSession: 1\r\nRange: npt=0.000-\r\n\r\n",
		"GET_PARAMETER rtsp://u:p@h/door?x=1/trackID=2 RTSP/1.0\r\nCSeq: 8\r\nContent-Length: 2\r\n\r\nab",
		"SETUP rtsp://h/door%2F2/trackID=99999 RTSP/1.0\r\nAuthorization: Basic cG9ydGhvbGU6czNjcmV0OmNvbG9u\r\n\r\n",
	} {
		f.Add(s)
	}
	var known access
	known.set([]Source{{ID: "door", TokenHash: sha256Hex(token)}})
	fr := front{gate: testGate(), access: &known, log: &rtspLog{}}
	f.Fuzz(func(t *testing.T, s string) {
		var req base.Request
		if req.Unmarshal(bufio.NewReader(strings.NewReader(s))) != nil {
			return
		}
		p := &peer{via: ViaTLS, from: netip.MustParseAddr("192.0.2.1"), target: parseTarget(req.URL)}
		auth := fr.find(p)
		if p.target.stream != "" && p.target.stream != "door" {
			t.Errorf("%q is about %q", s, p.target.stream)
		}
		if p.target.byToken && p.target.stream != "" && !strings.Contains(s, token) {
			t.Errorf("%q has a token", s)
		}
		fr.gate.logins = logins{}
		if fr.admit(p, &req, auth); p.answer == nil && p.by != "basic" && p.by != "digest" {
			t.Errorf("%q was let in by %q", s, p.by)
		}
		text := requestText(&req)
		if len(text) > maxLogText+len(mask) || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\r") || strings.Contains(text, token) && strings.Contains(s, "/t/"+token+" ") {
			t.Errorf("the log says %q", text)
		}
		if req.URL != nil {
			p.target.rewrite(req.URL, req.Method == base.Setup)
			if again := parseTarget(req.URL); again.path != p.target.path && req.Method != base.Setup {
				t.Errorf("%q became %q", p.target.path, again.path)
			}
		}
	})
}
