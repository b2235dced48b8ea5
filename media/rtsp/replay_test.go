package rtsp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// TestRecordedPlayers replays what players said to other servers: each request gets its status, and pictures come from a
// key picture on, with the sender reports.
func TestRecordedPlayers(t *testing.T) {
	t.Parallel()
	h := startHub(t, patient, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("door"))
	v, _ := h.play(t, "door")
	eventually(t, "a second of pictures", func() bool { return len(v.of(rtsp.Video)) > 25 })
	files, err := filepath.Glob("testdata/sessions/*.txt")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			replay(t, dial(t, h), string(text))
		})
	}
}

var placeholder = regexp.MustCompile(`\{(url|base|session)\}`)

func replay(t *testing.T, k *talk, text string) {
	t.Helper()
	vars := map[string]string{"{url}": "rtsp://cams.example.org/door"}
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(name string) string {
			if vars[name] == "" {
				t.Fatalf("%s is not known yet in %q", name, s)
			}
			return vars[name]
		})
	}
	var challenge answer
	var request []string
	played := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		want, ends := strings.CutPrefix(line, "< ")
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "{digest "):
			f := strings.Fields(strings.TrimSuffix(fill(strings.TrimPrefix(line, "{digest ")), "}"))
			line = plainDigest(challenge, f[0], f[1])
		case !ends:
			line = fill(line)
		}
		if !ends {
			request = append(request, line)
			continue
		}
		first := strings.Fields(request[0])
		k.cseq = len(first) // replaced by the recorded number
		if _, err := fmt.Sscanf(request[1], "CSeq: %d", &k.cseq); err != nil {
			t.Fatal(err)
		}
		k.cseq--
		a := k.ask(first[0], first[1], request[2:]...)
		if itoa(a.status) != want {
			t.Fatalf("%s: %s, want %s", first[0], a.line, want)
		}
		if a.status == 401 {
			challenge = a
		}
		if base := a.header.Get("Content-Base"); base != "" {
			vars["{base}"] = base
		}
		if s, _, _ := strings.Cut(a.header.Get("Session"), ";"); s != "" {
			vars["{session}"] = s
		}
		if first[0] == "PLAY" {
			checkStart(t, k, a.header.Get("RTP-Info"))
			played = true
		}
		request = nil
	}
	if !played {
		t.Error("the session has no PLAY")
	}
}

// plainDigest answers a challenge as RFC 2617 has it, without quirks.
func plainDigest(challenge answer, method, url string) string {
	_, rest, _ := strings.Cut(challenge.header.Get("WWW-Authenticate"), `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	ha1 := md5Hex(user + ":" + rtsp.Realm + ":" + password)
	return fmt.Sprintf(`Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
		user, rtsp.Realm, nonce, url, md5Hex(ha1+":"+nonce+":"+md5Hex(method+":"+url)))
}

// TestEchoCold: an Echo that asks for a camera which has to be started waits for it and gets the same.
func TestEchoCold(t *testing.T) {
	t.Parallel()
	h := startHub(t, patient, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("door"))
	k := dial(t, h)
	const url = "rtsp://cams.example.org:443/door"
	const agent = "User-Agent: Fire OS/6.0 stagefright/1.2 (Linux;Android 7.1.2)"
	challenge := k.ask("DESCRIBE", url, "Accept: application/sdp", agent)
	described := k.ask("DESCRIBE", url, "Accept: application/sdp", agent, digest(t, challenge, "DESCRIBE", url, password))
	if described.status != 200 || !strings.HasPrefix(described.header.Get("Content-Base"), "rtsp://") || !strings.Contains(described.body, "m=video") {
		t.Fatalf("%s: %v\n%s", described.line, described.header, described.body)
	}
	var session string
	for i, channels := range []string{"0-1", "2-3"} {
		track := url + "/trackID=" + itoa(i)
		lines := []string{"Transport: RTP/AVP/TCP;interleaved=" + channels, agent, digest(t, challenge, "SETUP", track, password)}
		if session != "" {
			lines = append(lines, session)
		}
		a := k.ask("SETUP", track, lines...)
		if a.status != 200 || a.header.Get("Transport") == "" || !strings.Contains(a.header.Get("Session"), ";timeout=") {
			t.Fatalf("%s: %v", a.line, a.header)
		}
		session = "Session: " + strings.Split(a.header.Get("Session"), ";")[0]
	}
	play := k.ask("PLAY", url, session, agent, digest(t, challenge, "PLAY", url, password))
	if play.status != 200 {
		t.Fatal(play.line)
	}
	checkCold(t, k)
	// The keep-alive, which an Echo sends with its first nonce for as long as it plays.
	if a := k.ask("OPTIONS", url, session, agent, digest(t, challenge, "OPTIONS", url, password)); a.status != 200 {
		t.Errorf("keep-alive: %s", a.line)
	}
	eventually(t, "pictures go on", func() bool { return k.nextFrame().channel == 0 })
}

// TestRealPlayers: ffmpeg and GStreamer read with every way of authentication that is offered to them.
func TestRealPlayers(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	var sources []rtsp.Source
	for _, a := range []rtsp.Auth{rtsp.AnyAuth, rtsp.DigestAuth, rtsp.BasicAuth} {
		src := cam.source(string(a))
		src.Auth = a
		sources = append(sources, src)
	}
	sources[0].TokenHash = sha256Hex(token)
	h := startHub(t, patient, sources...)
	urls := map[string]string{"token": "rtsp://" + h.door.Addr().String() + "/t/" + token}
	for _, id := range []string{"any", "digest", "basic"} {
		urls[id] = h.url(id)
	}
	for id, url := range urls {
		out, err := tool(t, "ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-map", "0", "-c", "copy", "-t", "0.5", "-f", "null", "-")
		if err != nil {
			t.Errorf("ffmpeg, %s: %v: %s", id, err, out)
		}
		out, err = tool(t, "gst-launch-1.0", "-q", "rtspsrc", "location="+url, "protocols=tcp", "!", "rtph264depay", "!", "h264parse", "!",
			"fakesink", "num-buffers=10")
		if err != nil {
			t.Errorf("GStreamer, %s: %v: %s", id, err, out)
		}
	}
	for _, l := range h.Log(0, "digest") {
		if strings.Contains(l.Text, "Bad Request") {
			t.Errorf("%s", l.Text)
		}
	}
}

// checkCold checks what a reader gets first of a camera that had to be started: video from a key picture on, and for each
// track a sender report with its first packets, none of which is missing.
func checkCold(t *testing.T, k *talk) {
	t.Helper()
	seq := map[byte]uint16{}
	packets, reported := map[byte]int{}, map[byte]int{}
	key := false
	for packets[0] < 60 || packets[2] < 20 {
		f := k.nextFrame()
		if f.channel%2 == 1 {
			list, err := rtcp.Unmarshal(f.payload)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := list[0].(*rtcp.SenderReport); ok && reported[f.channel] == 0 {
				reported[f.channel] = packets[f.channel-1] + 1
			}
			continue
		}
		var p rtp.Packet
		if err := p.Unmarshal(f.payload); err != nil {
			t.Fatal(err)
		}
		if packets[f.channel]++; packets[f.channel] > 1 && p.SequenceNumber != seq[f.channel]+1 {
			t.Fatalf("channel %d: packet %d after %d", f.channel, p.SequenceNumber, seq[f.channel])
		}
		seq[f.channel] = p.SequenceNumber
		if kind := p.Payload[0] & 0x1f; f.channel == 0 && packets[0] <= 4 {
			// A key picture, or the start of one in fragments, behind its parameter sets (RFC 6184).
			key = key || kind == 5 || kind == 28 && p.Payload[1]&0x1f == 5 || kind == 24 && packets[0] > 1
		}
	}
	if !key {
		t.Error("video does not begin with a key picture")
	}
	for _, c := range []byte{1, 3} {
		if reported[c] == 0 || reported[c] > 3 {
			t.Errorf("the first report on channel %d comes after %d packets", c, reported[c]-1)
		}
	}
}
