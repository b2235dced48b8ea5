package main_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/rtsp"
	"porthole/packages/internal/certs"
	"porthole/packages/internal/settings"
)

// TestCameraPage: everything proxy knows of a stream, and every way to it.
func TestCameraPage(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	second := goodStream("yard/2")
	second.State, second.Error = "idle", "nothing answers at that address"
	p := &proxyFake{cameras: []rtsp.CameraStatus{goodStream("yard"), second}}
	d.peer("proxy", p)
	d.peer("system", newSystem(t))
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://joe:hunter2@192.168.1.30/s", "url2", "rtsp://192.168.1.30/t")
	a := b.get("/camera/yard")
	checkPage(t, "camera", a)
	account := streamPassword(t, b)
	expect(t, "the page", a.body, "live for 3 min", "H264", "1280×720", "Main", "AAC, 48000 Hz", "25.0 a second", "every 50 pictures, 2.0 s", "1.5 Mbit/s",
		"12 MB, over TCP", "34 MB", ">17<", "5 min ago, for 1 min", "3 gaps, 120 packets", "A missing &lt;control&gt; line was added.", "Last time: nothing answers",
		`src="/cameras/yard/snapshot.jpg?w=640"`, `src="/cameras/yard/2/snapshot.jpg?w=640"`, `href="/camera/yard/token/2"`,
		`data-whole="rtsps://porthole:`+account+`@porthole.lan:8443/yard/2"`, ">rtsps://porthole:••••••@porthole.lan:8443/yard/2<",
		"!test socket", "!hunter2", "!192.168.1.30")
}

// verdicts are the judgements on a page: "ok Resolution".
func verdicts(body string) map[string]string {
	m := map[string]string{}
	for _, v := range regexp.MustCompile(`<li><span class="pill [a-z]+">([a-z]+)</span><span><strong>([^<]+)</strong> <span class="say">([^<]*)`).FindAllStringSubmatch(body, -1) {
		m[html.UnescapeString(v[2])] = v[1] + ": " + html.UnescapeString(v[3])
	}
	return m
}

func TestVerdicts(t *testing.T) {
	d := newDevice(t)
	p := &proxyFake{}
	d.peer("proxy", p)
	system := newSystem(t)
	d.peer("system", system)
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	for name, c := range map[string]struct {
		change func(*rtsp.CameraStatus)
		want   map[string]string
	}{
		"good":      {func(*rtsp.CameraStatus) {}, map[string]string{"Resolution": "ok: 1280×720", "Video codec": "ok: H.264 Main", "B-frames": "ok: None", "Key pictures": "ok: One in 2.0 s", "Sound": "ok: AAC"}},
		"4K":        {func(s *rtsp.CameraStatus) { s.Tracks[0].Width, s.Tracks[0].Height = 3840, 2160 }, map[string]string{"Resolution": "no: 3840×2160 is over 1080p"}},
		"H.265":     {func(s *rtsp.CameraStatus) { s.Tracks[0].Codec = rtsp.H265 }, map[string]string{"Video codec": "no: H.265"}},
		"MJPEG":     {func(s *rtsp.CameraStatus) { s.Tracks[0].Codec = "M-JPEG" }, map[string]string{"Video codec": "no: M-JPEG"}},
		"B-frames":  {func(s *rtsp.CameraStatus) { s.Tracks[0].BFrames = true }, map[string]string{"B-frames": "look: "}},
		"GOP 4 s":   {func(s *rtsp.CameraStatus) { s.GOPSeconds = 4 }, map[string]string{"Key pictures": "look: One in 4.0 s"}},
		"GOP 10 s":  {func(s *rtsp.CameraStatus) { s.GOPSeconds = 10 }, map[string]string{"Key pictures": "no: One in 10.0 s"}},
		"no sound":  {func(s *rtsp.CameraStatus) { s.Tracks = s.Tracks[:1] }, map[string]string{"Sound": "ok: None"}},
		"Opus":      {func(s *rtsp.CameraStatus) { s.Tracks[1].Codec = rtsp.Opus }, map[string]string{"Sound": "no: Opus"}},
		"G.711":     {func(s *rtsp.CameraStatus) { s.Tracks[1].Codec = rtsp.PCMA }, map[string]string{"Sound": "ok: G711"}},
		"never met": {func(s *rtsp.CameraStatus) { s.Tracks = nil }, map[string]string{"Picture": "look: Not known yet"}},
	} {
		s := goodStream("yard")
		c.change(&s)
		p.mu.Lock()
		p.cameras = []rtsp.CameraStatus{s}
		p.mu.Unlock()
		eventually(t, name+" is on the page", func() bool {
			got := verdicts(b.get("/fragments/camera/yard").body)
			for what, begins := range c.want {
				if !strings.HasPrefix(got[what], begins) {
					return false
				}
			}
			return true
		})
	}
	got := verdicts(b.get("/camera/yard").body)
	for what, begins := range map[string]string{"Public name": "no: None is set", "Port 443": "look: You came by port 8443", "Certificate": "no: It is from this device’s own authority", "Certificate’s key": "look: There is no public certificate yet"} {
		if !strings.HasPrefix(got[what], begins) {
			t.Errorf("%s: %q", what, got[what])
		}
	}
	b.post("/settings/proxy", "public_name", "home.example.org", "default_auth", "any")
	b.header = http.Header{"X-Forwarded-Host": {"home.example.org"}}
	got = verdicts(b.get("/camera/yard").body)
	if got["Public name"] != "ok: home.example.org" || !strings.HasPrefix(got["Port 443"], "ok:") {
		t.Errorf("with a name and by port 443: %q", got)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pair := func(key crypto.Signer, name string) servedPair {
		i := issue(t, key, name)
		return servedPair{ChainPEM: string(certs.EncodePEM(i.leaf)), Public: true}
	}
	for _, c := range []struct {
		in               map[string]servedPair
		certificate, key string
	}{
		{map[string]servedPair{"own": pair(ecKey(t), "other.example.org")}, "no: It is not for home.example.org", "look: ECDSA"},
		{map[string]servedPair{"own": pair(ecKey(t), "home.example.org"), "own-rsa": pair(rsaKey, "other.example.org")}, "no: It is from House CA, which is not known", "look: ECDSA"},
		{map[string]servedPair{"own": pair(ecKey(t), "home.example.org"), "own-rsa": pair(rsaKey, "home.example.org")}, "no: It is from House CA, which is not known", "ok: RSA, 2048 bits"},
	} {
		system.mu.Lock()
		system.published = c.in
		system.mu.Unlock()
		eventually(t, c.certificate+" and "+c.key, func() bool {
			got = verdicts(b.get("/camera/yard").body)
			return strings.HasPrefix(got["Certificate"], c.certificate) && strings.HasPrefix(got["Certificate’s key"], c.key)
		})
	}
}

// TestAlexaOffers: what is copied into a skill or an item says what is known of the streams, and has no account in it.
func TestAlexaOffers(t *testing.T) {
	d := newDevice(t)
	big := goodStream("yard")
	big.Tracks[0].Width, big.Tracks[0].Height, big.Tracks[1].Codec = 1920, 1080, rtsp.PCMU
	d.peer("proxy", &proxyFake{cameras: []rtsp.CameraStatus{big}})
	d.start()
	b := d.claimed()
	b.post("/settings/proxy", "public_name", "home.example.org", "default_auth", "any")
	d.addCamera(b, "name", "Joe's yard", "id", "joes-yard", "url", "rtsp://192.168.1.30/s")
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "url2", "rtsp://192.168.1.30/t")
	had := tokens(t, b, "yard")
	blocks := func(camera string) []string {
		var list []string
		for _, m := range regexp.MustCompile(`(?s)<pre class="copy"><code>(.*?)</code></pre>`).FindAllStringSubmatch(b.get("/camera/"+camera).body, -1) {
			list = append(list, html.UnescapeString(m[1]))
		}
		return list
	}
	got := blocks("yard")
	if len(got) != 3 {
		t.Fatalf("%d blocks to copy", len(got))
	}
	var offer struct {
		CameraStreams []struct {
			URI, ExpirationTime, Protocol, AuthorizationType, VideoCodec, AudioCodec string
			IdleTimeoutSeconds                                                       int
			Resolution                                                               struct{ Width, Height int }
		}
	}
	if err := json.Unmarshal([]byte(got[0]), &offer); err != nil || len(offer.CameraStreams) != 1 {
		t.Fatalf("%v in %s", err, got[0])
	}
	s := offer.CameraStreams[0]
	until, err := time.Parse(time.RFC3339, s.ExpirationTime)
	if err != nil || until.Before(time.Now()) {
		t.Errorf("expires %q", s.ExpirationTime)
	}
	if s.URI != "rtsp://home.example.org:443/t/"+had[0] || s.Protocol != "RTSP" || s.AuthorizationType != "NONE" || s.VideoCodec != "H264" || s.AudioCodec != "G711" || s.Resolution.Width != 1920 || s.IdleTimeoutSeconds != 30 {
		t.Errorf("%+v", s)
	}
	want := fmt.Sprintf(`yard:
    alexa_device: 'yard'
    alexa_name: 'Yard'
    alexa_description: 'Yard'
    alexa_icon: CAMERA
    alexa_actions: InitializeCameraStreams
    alexa_csc_uri: '{"Stream1":"home.example.org:443/t/%s","Stream2":"home.example.org:443/t/%s"}'
    alexa_stream_1: '{"audioCodecs":["G711"],"authorizationTypes":["NONE"],"protocols":["RTSP"],"resolutions":[{"width":1920,"height":1080}],"videoCodecs":["H264"]}'
    alexa_stream_2: '{"audioCodecs":["NONE"],"authorizationTypes":["NONE"],"protocols":["RTSP"],"resolutions":[{"width":1280,"height":720}],"videoCodecs":["H264"]}'`, had[0], had[1])
	if d := cmp.Diff(want, got[2]); d != "" {
		t.Error(d)
	}
	if item := blocks("joes-yard")[1]; !strings.HasPrefix(item, "joes_yard:\n") || !strings.Contains(item, "alexa_name: 'Joe''s yard'\n") {
		t.Errorf("a quote in a name:\n%s", item)
	}
}
