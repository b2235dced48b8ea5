package rtsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// quick is a Hub that does not make a test wait.
var quick = rtsp.Config{Linger: 300 * time.Millisecond, AnswerTimeout: 2 * time.Second, StallTimeout: time.Second, ReaderTimeout: time.Second}

// patient has time for slow machines where nothing is waited for.
var patient = rtsp.Config{}

// TestPlayers has real programs play: pictures and sound are decoded without complaint.
func TestPlayers(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "admin", "camera:pw")
	src := cam.source("garden")
	src.User, src.Password = "admin", "camera:pw"
	h := startHub(t, patient, src)
	t.Run("ffprobe", func(t *testing.T) {
		out, err := tool(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,profile,width", "-of", "csv", h.url("garden"))
		if err != nil || !strings.Contains(out, "stream,h264,Main,1280") || !strings.Contains(out, "stream,aac,LC") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("ffmpeg", func(t *testing.T) {
		// Without a transport named, ffmpeg asks for UDP first, which is refused.
		out, err := tool(t, "ffmpeg", "-v", "error", "-xerror", "-i", h.url("garden"), "-t", "3", "-f", "framemd5", "-")
		video, audio := strings.Count(out, "\n0,"), strings.Count(out, "\n1,")
		if err != nil || video < 60 || audio < 100 {
			t.Errorf("%v, %d pictures, %d frames of sound: %.2000s", err, video, audio, out)
		}
	})
	t.Run("GStreamer", func(t *testing.T) {
		out, err := tool(t, "gst-launch-1.0", "-q", "rtspsrc", "protocols=tcp", "location="+h.url("garden"), "!",
			"rtph264depay", "!", "h264parse", "!", "fakesink", "num-buffers=60")
		if err != nil || strings.Contains(out, "WARN") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("a wrong password", func(t *testing.T) {
		out, err := tool(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", strings.Replace(h.url("garden"), "sesame", "barley", 1))
		if err == nil || !strings.Contains(out, "401 Unauthorized") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("an unknown camera", func(t *testing.T) {
		out, err := tool(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", h.url("cellar"))
		if err == nil || !strings.Contains(out, "404 Not Found") {
			t.Errorf("%v: %s", err, out)
		}
	})
	s := h.status("garden")
	if s.State != "live" || s.Error != "" || s.BytesIn == 0 || s.BytesOut == 0 {
		t.Errorf("status: %+v", s)
	}
	want := []rtsp.TrackStatus{
		{Kind: rtsp.Video, Codec: rtsp.H264, Detail: "1280×720 main", Width: 1280, Height: 720, Profile: "main", ClockRate: 90000},
		{Kind: rtsp.Audio, Codec: rtsp.AAC, Detail: "48 kHz mono", ClockRate: 48000, Channels: 1},
	}
	if !slices.Equal(s.Tracks, want) {
		t.Errorf("tracks: %+v", s.Tracks)
	}
}

// TestEcho speaks as an Echo Show does: DESCRIBE first, a space in the digest URI, no unicast, no Range.
func TestEcho(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.2:0", samples.Demo(), "admin", "camera-pw")
	src := cam.source("door")
	src.User, src.Password = "admin", "camera-pw"
	h := startHub(t, patient, src)
	// There is a GOP by the time the Echo comes.
	v, _ := h.play(t, "door")
	eventually(t, "a second of pictures", func() bool { return len(v.of(rtsp.Video)) > 25 })

	k := dial(t, h)
	const url = "rtsp://cams.example.org:443/door"
	challenge := k.ask("DESCRIBE", url, "Accept: application/sdp", "User-Agent: Fire OS/6.0 stagefright/1.2 (Linux;Android 7.1.2)")
	if w := challenge.header.Values("WWW-Authenticate"); challenge.status != 401 || len(w) != 2 || !strings.HasPrefix(w[0], "Digest ") || !strings.HasPrefix(w[1], "Basic ") {
		t.Fatalf("%s: %q", challenge.line, w)
	}
	described := k.ask("DESCRIBE", url, "Accept: application/sdp", digest(t, challenge, "DESCRIBE", url, password))
	if described.status != 200 || described.header.Get("Content-Base") != url+"/" || described.header.Get("Content-Type") != "application/sdp" {
		t.Fatalf("%s: %v", described.line, described.header)
	}
	setup := k.ask("SETUP", url+"/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1", digest(t, challenge, "SETUP", url+"/trackID=0", password))
	if setup.status != 200 || !strings.Contains(setup.header.Get("Transport"), "interleaved=0-1") {
		t.Fatalf("%s: %v", setup.line, setup.header)
	}
	session, _, _ := strings.Cut(setup.header.Get("Session"), ";")
	in := "Session: " + session
	second := k.ask("SETUP", url+"/trackID=1", "Transport: RTP/AVP/TCP;interleaved=2-3", in, digest(t, challenge, "SETUP", url+"/trackID=1", password))
	if second.status != 200 {
		t.Fatal(second.line)
	}
	play := k.ask("PLAY", url, in, digest(t, challenge, "PLAY", url, password))
	if play.status != 200 || !strings.Contains(play.header.Get("RTP-Info"), "url="+url+"/trackID=0;seq=") {
		t.Fatalf("%s: %v", play.line, play.header)
	}
	for _, a := range []answer{challenge, described, setup, second, play} {
		for _, secret := range []string{"127.0.0.2", "camera-pw", "live/main", "gortsplib"} {
			if text := strings.Join(append([]string{a.line, a.body}, flatten(a.header)...), "\n"); strings.Contains(text, secret) {
				t.Errorf("%q in the answer:\n%s", secret, text)
			}
		}
	}
	checkStart(t, k, play.header.Get("RTP-Info"))
	if a := k.ask("OPTIONS", url, in); a.status != 200 || !strings.Contains(a.header.Get("Public"), "PLAY") || strings.Contains(a.header.Get("Public"), "RECORD") {
		t.Errorf("OPTIONS: %s, %v", a.line, a.header)
	}
	if a := k.ask("TEARDOWN", url, in); a.status != 200 {
		t.Errorf("TEARDOWN: %s", a.line)
	}
}

// checkStart checks what a reader gets first: each track with the packet that RTP-Info names, a key picture, a sender
// report near the front, and no packet missing.
func checkStart(t *testing.T, k *talk, info string) {
	t.Helper()
	seq := map[byte]uint16{}
	reports := map[byte]int{}
	packets := map[byte]int{}
	key := false
	for packets[0] < 200 || packets[2] < 60 {
		f := k.nextFrame()
		if f.channel%2 == 1 {
			list, err := rtcp.Unmarshal(f.payload)
			if err != nil {
				t.Fatal(err)
			}
			if sr, ok := list[0].(*rtcp.SenderReport); ok && reports[f.channel] == 0 {
				reports[f.channel] = packets[f.channel-1] + 1
				if captured := time.Unix(int64(sr.NTPTime>>32)-2208988800, 0); time.Since(captured).Abs() > 30*time.Second {
					t.Errorf("the report on channel %d says %v", f.channel, captured)
				}
			}
			continue
		}
		var p rtp.Packet
		if err := p.Unmarshal(f.payload); err != nil {
			t.Fatal(err)
		}
		if packets[f.channel]++; packets[f.channel] == 1 {
			if !strings.Contains(info, "seq="+itoa(p.SequenceNumber)+";rtptime="+itoa(p.Timestamp)) {
				t.Errorf("channel %d begins with %d at %d, RTP-Info: %s", f.channel, p.SequenceNumber, p.Timestamp, info)
			}
		} else if p.SequenceNumber != seq[f.channel]+1 {
			t.Fatalf("channel %d: packet %d after %d", f.channel, p.SequenceNumber, seq[f.channel])
		}
		seq[f.channel] = p.SequenceNumber
		if f.channel == 0 && packets[0] <= 3 {
			// FU-A or STAP-A with a key picture (RFC 6184), or one in a packet of its own.
			key = key || p.Payload[0]&0x1f == 5 || p.Payload[0]&0x1f == 28 && p.Payload[1]&0x1f == 5
		}
	}
	if !key {
		t.Error("video does not begin with a key picture")
	}
	for _, c := range []byte{1, 3} {
		if reports[c] == 0 || reports[c] > 3 {
			t.Errorf("the first report on channel %d comes after %d packets", c, reports[c]-1)
		}
	}
}

// TestOnePull has many readers come at once: the camera sees one connection, all see pictures, and it is left alone
// when the last has gone.
func TestOnePull(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	cfg := patient
	cfg.Linger = 300 * time.Millisecond
	h := startHub(t, cfg, cam.source("cam"))
	if n := cam.accepted.Load(); n != 0 || h.status("cam").State != "idle" {
		t.Errorf("%d connections before anybody reads: %+v", n, h.status("cam"))
	}
	ok := t.Run("watched", func(t *testing.T) {
		var viewers []*viewer
		for range 20 {
			v, _ := h.play(t, "cam")
			viewers = append(viewers, v)
		}
		for i, v := range viewers {
			eventually(t, "pictures and sound for reader "+itoa(i), func() bool { return len(v.of(rtsp.Video)) > 10 && len(v.of(rtsp.Audio)) > 10 })
		}
		if n := cam.accepted.Load(); n != 1 {
			t.Errorf("%d connections to the camera", n)
		}
		if s := h.status("cam"); s.Readers != 20 || s.State != "live" {
			t.Errorf("status: %+v", s)
		}
	})
	if ok {
		eventually(t, "the camera is left alone", func() bool { return h.status("cam").State == "idle" && cam.open.Load() == 0 })
		if s := h.status("cam"); s.Readers != 0 || s.Error != "" || len(s.Tracks) != 2 {
			t.Errorf("status: %+v", s)
		}
		v, _ := h.play(t, "cam")
		eventually(t, "a picture after that", func() bool { return len(v.of(rtsp.Video)) > 0 })
	}
}

// TestInstantStart has a reader come in the middle of a GOP: its first picture is a key picture all the same, and it
// knows when that was captured.
func TestInstantStart(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, patient, cam.source("cam"))
	first, _ := h.play(t, "cam")
	eventually(t, "the middle of a GOP", func() bool {
		units := first.of(rtsp.Video)
		for i := range slices.Backward(units) {
			if isKey(units[i]) {
				return i > 0 && len(units)-i > 20
			}
		}
		return false
	})
	v, _ := h.play(t, "cam")
	eventually(t, "a second of pictures", func() bool { return len(v.of(rtsp.Video)) > 25 })
	units := v.of(rtsp.Video)
	if !isKey(units[0]) {
		t.Error("the first picture is no key picture")
	}
	checkOrder(t, units, time.Second)
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.tracks); n != 2 {
		t.Fatalf("%d tracks", n)
	}
	if tr := v.tracks[0]; tr.Kind != rtsp.Video || tr.Codec != rtsp.H264 || tr.ClockRate != 90000 || len(tr.SPS) == 0 || len(tr.PPS) == 0 {
		t.Errorf("video: %+v", tr)
	}
	if tr := v.tracks[1]; tr.Kind != rtsp.Audio || tr.Codec != rtsp.AAC || tr.ClockRate != 48000 || tr.Channels != 1 {
		t.Errorf("audio: %+v", tr)
	}
	for i, u := range v.units {
		if i > 60 && (u.NTP.IsZero() || v.at[i].Sub(u.NTP).Abs() > 10*time.Second) {
			t.Fatalf("unit %d of track %d came at %v and says %v", i, u.Track, v.at[i], u.NTP)
		}
	}
}

func isKey(u rtsp.Unit) bool {
	return slices.ContainsFunc(u.NALUs, func(n []byte) bool { return n[0]&0x1f == 5 })
}

// checkOrder checks that pictures come in order, 40 ms apart, except over gaps.
func checkOrder(t *testing.T, units []rtsp.Unit, gap time.Duration) {
	t.Helper()
	for i := 1; i < len(units); i++ {
		d := int32(units[i].RTPTime - units[i-1].RTPTime)
		if d <= 0 || time.Duration(d)*time.Second/90000 > gap {
			t.Fatalf("picture %d is %d ticks after the one before", i, d)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	cfg := patient
	cfg.MaxReaders = 1
	h := startHub(t, cfg, cam.source("cam"))
	const url = "rtsp://h/cam"
	const transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
	t.Run("wrong passwords close the connection", func(t *testing.T) {
		k := dial(t, h)
		for range 3 {
			if a := k.ask("DESCRIBE", url, basic("wrong")); a.status != 401 {
				t.Fatal(a.line)
			}
		}
		if !k.closed() {
			t.Error("the connection is still open")
		}
	})
	t.Run("every request", func(t *testing.T) {
		k := dial(t, h)
		if a := k.ask("DESCRIBE", url, basic(password)); a.status != 200 {
			t.Fatal(a.line)
		}
		if a := k.ask("SETUP", url+"/trackID=0", transport); a.status != 401 {
			t.Errorf("SETUP without a password: %s", a.line)
		}
		a := k.ask("SETUP", url+"/trackID=0", transport, basic(password))
		if a.status != 200 {
			t.Fatal(a.line)
		}
		session, _, _ := strings.Cut(a.header.Get("Session"), ";")
		if a := k.ask("PLAY", url, "Session: "+session); a.status != 401 {
			t.Errorf("PLAY without a password: %s", a.line)
		}
		if a := k.ask("PLAY", url, "Session: "+session, basic(password)); a.status != 200 {
			t.Errorf("PLAY with it: %s", a.line)
		}
		if a := k.ask("TEARDOWN", url, "Session: "+session); a.status != 200 {
			t.Errorf("TEARDOWN: %s", a.line)
		}
	})
	t.Run("too many readers", func(t *testing.T) {
		eventually(t, "nobody reads any more", func() bool { return h.status("cam").Readers == 0 })
		v, _ := h.play(t, "cam")
		eventually(t, "a picture", func() bool { return len(v.of(rtsp.Video)) > 0 })
		if a := dial(t, h).ask("SETUP", url+"/trackID=0", transport, basic(password)); a.status != 453 {
			t.Errorf("SETUP: %s", a.line)
		}
	})
	t.Run("UDP", func(t *testing.T) {
		if a := dial(t, h).ask("SETUP", url+"/trackID=0", "Transport: RTP/AVP;unicast;client_port=4000-4001", basic(password)); a.status != 461 {
			t.Errorf("SETUP: %s", a.line)
		}
	})
	t.Run("publishing", func(t *testing.T) {
		for _, m := range []string{"ANNOUNCE", "RECORD"} {
			if a := dial(t, h).ask(m, url, basic(password), "Session: 1"); a.status != 501 {
				t.Errorf("%s: %s", m, a.line)
			}
		}
	})
	t.Run("a tunnel in HTTP", func(t *testing.T) {
		k := dial(t, h)
		if _, err := k.conn.Write([]byte("GET /cam HTTP/1.0\r\nAccept: application/x-rtsp-tunnelled\r\nX-Sessioncookie: 1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if b, _ := k.in.Peek(1); len(b) > 0 {
			t.Errorf("answered with %q", b)
		}
	})
	t.Run("Play of an unknown camera", func(t *testing.T) {
		_, ended := h.play(t, "nope")
		if err := <-ended; !errors.Is(err, rtsp.ErrNoCamera) {
			t.Errorf("Play: %v", err)
		}
	})
}

// TestPlayWithPassword plays through the door where a password is asked for.
func TestPlayWithPassword(t *testing.T) {
	t.Parallel()
	h := startHub(t, patient, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("cam"))
	door := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", h.door.Addr().String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := rtsp.Play(ctx, rtsp.PlayConfig{Dial: door, Camera: "cam", User: user, Password: password}, forward(func(rtsp.Unit) { cancel() }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Play: %v", err)
	}
	for _, cfg := range []rtsp.PlayConfig{{Dial: door, Camera: "cam"}, {Dial: door, Camera: "cam", User: user, Password: "x"}} {
		if err := rtsp.Play(t.Context(), cfg, forward(func(rtsp.Unit) {})); !errors.Is(err, rtsp.ErrPassword) {
			t.Errorf("Play as %q: %v", cfg.User, err)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	h := rtsp.NewHub(rtsp.Config{Log: logger(t)})
	h.SetSources([]rtsp.Source{{ID: "b", URL: "rtsp://127.0.0.1/"}, {ID: "a", URL: "rtsp://127.0.0.1/"}})
	b, err := json.Marshal(h.Status())
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(b, &got); err != nil || len(got) != 2 || got[0]["id"] != "a" || got[0]["state"] != "idle" || got[0]["tracks"] == nil {
		t.Errorf("%v: %s", err, b)
	}
}

func flatten(h map[string][]string) []string {
	var out []string
	for k, vs := range h {
		for _, v := range vs {
			out = append(out, k+": "+v)
		}
	}
	return out
}

func itoa[T int | uint16 | uint32](n T) string {
	b, _ := json.Marshal(n)
	return string(b)
}
