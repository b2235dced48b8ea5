package rtsp_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

const (
	token     = "k3jq5zv2m7xw4hb6yt3rd5nc2f"
	transport = "Transport: RTP/AVP/TCP;interleaved=0-1"
)

// TestToken reads a stream by its token, without an account. Nothing that is said names the camera or its id.
func TestToken(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.3:0", samples.Demo(), "admin", "camera-pw")
	src := cam.source("door/2")
	src.User, src.Password, src.TokenHash = "admin", "camera-pw", sha256Hex(token)
	h := startHub(t, patient, src)
	k := dial(t, h)
	const url = "rtsp://cams.example.org:443/t/" + token
	described := k.ask("DESCRIBE", url)
	if described.status != 200 || described.header.Get("Content-Base") != url+"/" {
		t.Fatalf("%s: %v", described.line, described.header)
	}
	setup := k.ask("SETUP", url+"/trackID=0", transport)
	session := "Session: " + strings.Split(setup.header.Get("Session"), ";")[0]
	second := k.ask("SETUP", url+"/trackID=1", "Transport: RTP/AVP/TCP;interleaved=2-3", session)
	play := k.ask("PLAY", url+"/", session)
	if info := play.header.Get("RTP-Info"); play.status != 200 || !strings.Contains(info, "url="+url+"/trackID=0") || !strings.Contains(info, "url="+url+"/trackID=1") {
		t.Fatalf("%s: %s, RTP-Info %q", second.line, play.line, info)
	}
	checkCold(t, k)
	for _, m := range []string{"OPTIONS", "GET_PARAMETER", "PAUSE", "TEARDOWN"} {
		if a := k.ask(m, url+"/", session); a.status != 200 {
			t.Errorf("%s: %s", m, a.line)
		}
	}
	for _, a := range []answer{described, setup, second, play} {
		text := strings.Join(append([]string{a.line, a.body}, flatten(a.header)...), "\n")
		for _, secret := range []string{"127.0.0.3", "camera-pw", "live/main", "door"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q in the answer:\n%s", secret, text)
			}
		}
	}
	for _, other := range []string{"rtsp://h/t/x", "rtsp://h/t/" + strings.ToUpper(token), "rtsp://h/t/" + sha256Hex(token), "rtsp://h/t/" + token + "x"} {
		if a := dial(t, h).ask("DESCRIBE", other); a.status != 404 {
			t.Errorf("%s: %s", other, a.line)
		}
	}
	if a := dial(t, h).ask("DESCRIBE", "rtsp://h/door/2"); a.status != 401 {
		t.Errorf("by the id without an account: %s", a.line)
	}
	// A rotated token is worth nothing; the stream goes on.
	src.TokenHash = sha256Hex("another")
	h.SetSources([]rtsp.Source{src})
	if a := dial(t, h).ask("DESCRIBE", url); a.status != 404 {
		t.Errorf("the old token: %s", a.line)
	}
	if a := dial(t, h).ask("DESCRIBE", "rtsp://h/t/another"); a.status != 200 {
		t.Errorf("the new token: %s", a.line)
	}
}

// TestForeignSession: a session is of use on its own connection only, whoever knows its name.
func TestForeignSession(t *testing.T) {
	t.Parallel()
	h := startHub(t, patient, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("cam"))
	k := dial(t, h)
	setup := k.ask("SETUP", "rtsp://h/cam/trackID=0", transport, basic(password))
	session := "Session: " + strings.Split(setup.header.Get("Session"), ";")[0]
	for _, m := range []string{"OPTIONS", "SETUP", "PLAY", "PAUSE", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN"} {
		if a := dial(t, h).ask(m, "rtsp://h/cam/trackID=1", session, transport, basic(password)); a.status != 454 {
			t.Errorf("%s: %s", m, a.line)
		}
	}
	if a := k.ask("OPTIONS", "rtsp://h/cam", session, basic("wrong")); a.status != 401 {
		t.Errorf("a wrong password in a session: %s", a.line)
	}
	if a := k.ask("PLAY", "rtsp://h/cam", session, basic(password)); a.status != 200 {
		t.Errorf("PLAY on its own connection: %s", a.line)
	}
}

// TestReaderAuth: what is asked and taken, stream by stream, and who is asked nothing.
func TestReaderAuth(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	var sources []rtsp.Source
	for _, a := range []rtsp.Auth{rtsp.AnyAuth, rtsp.DigestAuth, rtsp.BasicAuth, rtsp.NoAuth} {
		src := cam.source(string(a))
		src.Auth = a
		sources = append(sources, src)
	}
	h := startHub(t, patient, sources...)
	ask := func(id string, lines ...string) answer {
		return dial(t, h).ask("DESCRIBE", "rtsp://h/"+id, lines...)
	}
	for id, want := range map[string][]string{
		"any":    {`Digest realm="Streaming Server", nonce`, `Basic realm="Streaming Server"`},
		"none":   {`Digest realm="Streaming Server", nonce`, `Basic realm="Streaming Server"`},
		"digest": {`Digest realm="Streaming Server", nonce`, `Digest realm="Streaming Server", nonce`},
		"basic":  {`Basic realm="Streaming Server"`},
		"nobody": {`Digest realm="Streaming Server", nonce`, `Basic realm="Streaming Server"`},
	} {
		a := ask(id)
		got := a.header.Values("WWW-Authenticate")
		if a.status != 401 || len(got) != len(want) {
			t.Errorf("%s: %s, %q", id, a.line, got)
			continue
		}
		for i := range want {
			if head, _, _ := strings.Cut(got[i], "="+`"x`); !strings.HasPrefix(head, want[i]) {
				t.Errorf("%s: %q", id, got)
			}
		}
		if sha := strings.Contains(got[0], "SHA-256"); sha != (id == "digest") || sha && strings.Contains(got[1], "SHA-256") {
			t.Errorf("%s: %q", id, got)
		}
	}
	url := func(id string) string { return "rtsp://h/" + id }
	for id, want := range map[string][2]int{"any": {200, 200}, "digest": {401, 200}, "basic": {200, 401}, "none": {200, 200}} {
		if a := ask(id, basic(password)); a.status != want[0] {
			t.Errorf("%s with Basic: %s", id, a.line)
		}
		if a := ask(id, digest(t, ask("any"), "DESCRIBE", url(id), password)); a.status != want[1] {
			t.Errorf("%s with Digest: %s", id, a.line)
		}
	}
	h.SetOpen([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	if a := ask("none"); a.status != 401 {
		t.Errorf("from elsewhere: %s", a.line)
	}
	h.SetOpen([]netip.Prefix{netip.MustParsePrefix("127.0.0.9/8")})
	for id, want := range map[string]int{"none": 200, "any": 401, "digest": 401, "nobody": 401} {
		if a := ask(id); a.status != want {
			t.Errorf("%s from an open network: %s", id, a.line)
		}
	}
}

// TestLoginPause: many wrong passwords keep an address from trying on; tokens, trusted peers and running readers are
// not concerned.
func TestLoginPause(t *testing.T) {
	t.Parallel()
	src := startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("cam")
	src.TokenHash = sha256Hex(token)
	var failed, refused atomic.Int32
	cfg := patient
	cfg.AuthFailed = func(from netip.Addr) {
		if from.IsLoopback() {
			failed.Add(1)
		}
	}
	cfg.Refused = func(_ netip.Addr, why rtsp.Refusal) {
		if why == rtsp.TooManyLogins {
			refused.Add(1)
		}
	}
	h := startHub(t, cfg, src)
	reader := dial(t, h)
	setup := reader.ask("SETUP", "rtsp://h/cam/trackID=0", transport, basic(password))
	session := "Session: " + strings.Split(setup.header.Get("Session"), ";")[0]
	if a := reader.ask("PLAY", "rtsp://h/cam", session, basic(password)); a.status != 200 {
		t.Fatal(a.line)
	}
	for range 10 {
		if a := dial(t, h).ask("DESCRIBE", "rtsp://h/cam", basic("guess")); a.status != 401 {
			t.Fatal(a.line)
		}
	}
	k := dial(t, h)
	if a := k.ask("DESCRIBE", "rtsp://h/cam", basic(password)); a.status != 401 || !strings.Contains(a.line, "Too Many Wrong Passwords") {
		t.Errorf("the right password in the pause: %s", a.line)
	}
	if !k.closed() {
		t.Error("the connection is still open")
	}
	if failed.Load() != 10 || refused.Load() != 1 {
		t.Errorf("%d failed, %d refused", failed.Load(), refused.Load())
	}
	if a := dial(t, h).ask("DESCRIBE", "rtsp://h/t/"+token); a.status != 200 {
		t.Errorf("a token in the pause: %s", a.line)
	}
	if a := reader.ask("OPTIONS", "rtsp://h/cam", session); a.status != 200 {
		t.Errorf("keep-alive in the pause: %s", a.line)
	}
	v, _ := h.play(t, "cam")
	eventually(t, "pictures for a trusted reader", func() bool { return len(v.of(rtsp.Video)) > 0 })
}

// TestMalformed: what is no RTSP is answered with 400 and counted, in whatever state the connection is.
func TestMalformed(t *testing.T) {
	t.Parallel()
	var malformed atomic.Int32
	cfg := patient
	cfg.Refused = func(_ netip.Addr, why rtsp.Refusal) {
		if why == rtsp.Malformed {
			malformed.Add(1)
		}
	}
	h := startHub(t, cfg, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("cam"))
	cases := map[string]string{
		"no version":    "DESCRIBE rtsp://h/cam\r\nCSeq: 1\r\n\r\n",
		"another one":   "DESCRIBE rtsp://h/cam RTSP/2.0\r\nCSeq: 1\r\n\r\n",
		"no URL":        "DESCRIBE http://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"no colon":      "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq 1\r\n\r\n" + strings.Repeat("x", 600),
		"long line":     "DESCRIBE rtsp://h/" + strings.Repeat("a", 3000) + " RTSP/1.0\r\n\r\n",
		"endless line":  "DESCRIBE rtsp://h/cam RTSP/1.0\r\nA: " + strings.Repeat("a", 3000) + "\r\n\r\n",
		"large body":    "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n",
		"an answer":     "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
		"a stray frame": "$\x00\x00\x04abcd",
	}
	for name, text := range cases {
		k := dial(t, h)
		if _, err := k.conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if line, err := k.in.ReadString('\n'); !strings.HasPrefix(line, "RTSP/1.0 400 ") {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
	eventually(t, "all are counted", func() bool { return int(malformed.Load()) == len(cases) })
	if a := dial(t, h).ask("DESCRIBE", "rtsp://h/cam", basic(password)); a.status != 200 {
		t.Errorf("a good reader: %s", a.line)
	}
	if n := malformed.Load(); int(n) != len(cases) {
		t.Errorf("%d counted", n)
	}
}

// TestLog: what readers and cameras say can be read afterwards, without what is secret.
func TestLog(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.4:0", samples.Demo(), "admin", "camera-pw")
	src := cam.source("door")
	src.User, src.Password, src.TokenHash = "admin", "camera-pw", sha256Hex(token)
	h := startHub(t, patient, src)
	if a := dial(t, h).ask("DESCRIBE", "rtsp://porthole:in-url@h/door", basic(password), "User-Agent: LibVLC/3.0"); a.status != 200 {
		t.Fatal(a.line)
	}
	if a := dial(t, h).ask("DESCRIBE", "rtsp://h/t/"+token); a.status != 200 {
		t.Fatal(a.line)
	}
	dial(t, h).ask("DESCRIBE", "rtsp://h/elsewhere")
	// A line is written before its answer, so these are complete; the camera's session may still be talking.
	lines := h.Log(0, "")
	text, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, strings.TrimPrefix(basic(password), "Authorization: Basic "), token, "in-url", "camera-pw", "response="} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q in the log", secret)
		}
	}
	seen := map[string]bool{}
	for i, l := range lines {
		if i > 0 && l.Seq >= lines[i-1].Seq {
			t.Errorf("line %d comes after %d", l.Seq, lines[i-1].Seq)
		}
		if l.Side == "reader" && (strings.Contains(l.Text, "127.0.0.4") || l.Peer != "127.0.0.1") {
			t.Errorf("a reader's line tells of the camera: %+v", l)
		}
		if l.Side == "camera" && l.Peer != "127.0.0.4" {
			t.Errorf("camera's line: %+v", l)
		}
		first, _, _ := strings.Cut(l.Text, "\n")
		seen[strings.Join([]string{l.Side, l.From, l.Stream, first}, " ")] = true
	}
	for _, want := range []string{
		"reader them door DESCRIBE rtsp://h/door RTSP/1.0", "reader us door RTSP/1.0 200 OK", "reader them door DESCRIBE rtsp://h/t/… RTSP/1.0",
		"reader them  DESCRIBE rtsp://h/elsewhere RTSP/1.0", "reader us  RTSP/1.0 401 Unauthorized",
		"camera us door DESCRIBE rtsp://" + cam.Addr().String() + "/live/main RTSP/1.0", "camera them door RTSP/1.0 200 OK",
	} {
		if !seen[want] {
			t.Errorf("%q is not in the log: %v", want, seen)
		}
	}
	if got := h.Log(lines[1].Seq, "door"); len(got) > 1 && got[len(got)-1].Seq <= lines[1].Seq {
		t.Errorf("after %d: %+v", lines[1].Seq, got)
	}
	h.ClearLog()
	last := lines[0].Seq
	for range 3 {
		dial(t, h).ask("OPTIONS", "rtsp://h/elsewhere")
	}
	if got := h.Log(last, ""); len(got) < 6 || got[len(got)-1].Seq <= last {
		t.Errorf("after clearing: %+v", got)
	}
}
