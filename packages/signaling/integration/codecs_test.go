package integration_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"porthole/media/rtsp"
	"porthole/media/rtsp/rtsptest"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/sitetest"
)

const (
	testPicture = "-f lavfi -i testsrc2=size=640x360:rate=25"
	testSound   = " -f lavfi -i sine=frequency=880:sample_rate=48000"
	x264        = " -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50"
	x265        = " -c:v libx265 -preset ultrafast -pix_fmt yuv420p -g 50 -x265-params log-level=error:pools=1:"
)

// withCamera starts a site whose camera "demo" is a real one with ffmpeg for its encoder, pulled by a Hub as in proxy.
func withCamera(t *testing.T, publish string) *sitetest.Site {
	t.Helper()
	cam := rtsptest.Start(t, rtsptest.Options{})
	cam.PublishAs(t, strings.Fields(publish)...)
	hub := rtsp.NewHub(rtsp.Config{Log: slog.New(slog.DiscardHandler)})
	hub.SetSources([]rtsp.Source{{ID: "demo", URL: cam.URL(), Transport: "tcp"}})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := hub.Run(ctx); err != nil {
			t.Errorf("the hub: %v", err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			hub.Handle(c, rtsp.ViaSocket)
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		wg.Wait()
	})
	return sitetest.New(t, func(c *live.Config) {
		c.Play = func(ctx context.Context, camera string, sink rtsp.Sink) error {
			dial := func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
			}
			return rtsp.Play(ctx, rtsp.PlayConfig{Dial: dial, Camera: camera}, sink)
		}
	})
}

// watchJS watches the camera "demo" by WHEP; what is wrong is its value.
const watchJS = `(async () => {
  const pc = window.pc = new RTCPeerConnection();
  pc.addTransceiver('video', {direction: 'recvonly'});
  pc.addTransceiver('audio', {direction: 'recvonly'});
  const video = window.video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  pc.ontrack = e => {
    video.srcObject = e.streams[0];
    e.receiver.jitterBufferTarget = 0;
    video.play();
    if (e.track.kind === 'audio') {
      const context = new AudioContext();
      window.analyser = context.createAnalyser();
      context.createMediaStreamSource(e.streams[0]).connect(analyser);
    }
  };
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 20));
  const r = await fetch('/cameras/demo/whep', {method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: pc.localDescription.sdp});
  const text = await r.text();
  if (!r.ok) return r.status + ' ' + text;
  await pc.setRemoteDescription({type: 'answer', sdp: text});
  return '';
})()`

// statsJS is JSON of received.
const statsJS = `(async () => {
  const out = {time: performance.now() / 1000, clock: video.currentTime, width: video.videoWidth, height: video.videoHeight,
    state: pc.connectionState};
  if (window.analyser) {
    const wave = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(wave);
    out.loudness = Math.max(...wave);
  }
  const stats = await pc.getStats();
  stats.forEach(s => {
    if (s.type !== 'inbound-rtp') return;
    const c = stats.get(s.codecId) ?? {};
    if (s.kind === 'video') {
      Object.assign(out, {video: c.mimeType + ' ' + (/profile-level-id=(..)/.exec(c.sdpFmtpLine)?.[1] ?? ''), frames: s.framesDecoded,
        freezes: s.freezeCount, plis: s.pliCount});
    } else if (s.packetsReceived > 0) {
      Object.assign(out, {audio: c.mimeType, loudness: Math.max(out.loudness ?? 0, Math.sqrt((s.totalAudioEnergy ?? 0) / (s.totalSamplesDuration || 1)))});
    }
  });
  return JSON.stringify(out);
})()`

// received is what a browser gets.
type received struct {
	Time, Clock           float64 // seconds, of the page and of the picture
	Width, Height         int
	Frames, Freezes, PLIs int
	Video, Audio, State   string
	Loudness              float64 // 0 to 1
}

// player is a browser on the page with watchJS.
type player struct {
	t    *testing.T
	eval func(js string) string
}

func (p player) watch() {
	p.t.Helper()
	if wrong := p.eval(watchJS); wrong != "" {
		p.t.Fatalf("cannot watch: %s", wrong)
	}
}

func (p player) received() received {
	p.t.Helper()
	var r received
	if text := p.eval(statsJS); json.Unmarshal([]byte(text), &r) != nil {
		p.t.Fatalf("the page says %q", text)
	}
	return r
}

// until polls what the browser gets.
func (p player) until(what string, ok func(received) bool) received {
	p.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); ; <-tick.C {
		r := p.received()
		if ok(r) {
			return r
		}
		if time.Now().After(end) {
			p.t.Fatalf("never happened: %s: %+v", what, r)
		}
	}
}

// moves waits until n more pictures have been decoded and the clock has advanced.
func (p player) moves(what string, n int) received {
	p.t.Helper()
	first := p.received()
	return p.until(what, func(r received) bool {
		return r.Frames >= first.Frames+n && r.Clock > first.Clock
	})
}

// hears waits for sound that is not silence.
func (p player) hears() received {
	p.t.Helper()
	return p.until("sound is heard", func(r received) bool { return r.Loudness > 0.01 })
}

// chromium is a player that is logged in at the site.
func chromium(t *testing.T, site *sitetest.Site) player {
	b := open(t, site.Front)
	// Sound takes a person who did something.
	b.do(chromedp.Click(chromedp.CSS("#entered")))
	return player{t, func(js string) string { return eval[string](b, js) }}
}

// TestCodecs: every camera's picture moves in Chromium and its sound is heard, as they are where that will do and converted
// where not.
func TestCodecs(t *testing.T) {
	for name, c := range map[string]struct {
		publish string
		// video and audio are what the browser gets; audio is empty without sound.
		video, audio string
	}{
		"H.264 baseline, AAC":         {testPicture + testSound + x264 + " -tune zerolatency -profile:v baseline -c:a aac", "video/H264 42", "audio/opus"},
		"H.264 baseline, AAC in LATM": {testPicture + testSound + x264 + " -tune zerolatency -profile:v baseline -c:a aac -rtpflags latm", "video/H264 42", "audio/opus"},
		"H.264 main, G.711 A-law":     {testPicture + testSound + x264 + " -tune zerolatency -coder 1 -profile:v main -c:a pcm_alaw -ar 8000 -ac 1", "video/H264 4d", "audio/PCMA"},
		"H.264 high, G.711 µ-law":     {testPicture + testSound + " -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 50 -bf 0 -profile:v high -c:a pcm_mulaw -ar 8000 -ac 1", "video/H264", "audio/PCMU"},
		"H.264 B-frames, Opus":        {testPicture + testSound + x264 + " -bf 1 -b_strategy 0 -x264-params b-pyramid=none -c:a libopus", "video/H264 4d", "audio/opus"},
		"H.264 B-frames referred to":  {testPicture + testSound + x264 + " -bf 3 -b_strategy 0 -x264-params b-pyramid=normal -c:a aac", "video/VP8", "audio/opus"},
		"H.264 4:2:2":                 {testPicture + " -c:v libx264 -preset ultrafast -pix_fmt yuv422p -g 50 -bf 0", "video/VP8", ""},
		"H.265, AAC":                  {testPicture + testSound + x265 + "bframes=0 -c:a aac -ar 16000", "video/VP8", "audio/opus"},
		"H.265 B-frames":              {testPicture + x265 + "bframes=3", "video/VP8", ""},
		"MPEG-4":                      {testPicture + " -c:v mpeg4 -q:v 5 -g 25", "video/VP8", ""},
		"motion JPEG, G.711 µ-law":    {testPicture + testSound + " -pix_fmt yuvj420p -c:v mjpeg -huffman default -q:v 5 -c:a pcm_mulaw -ar 8000 -ac 1", "video/VP8", "audio/PCMU"},
		"H.265 of 1080p":              {strings.Replace(testPicture, "640x360:rate=25", "1920x1080:rate=5", 1) + x265 + "bframes=0", "video/VP8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := chromium(t, withCamera(t, c.publish))
			b.watch()
			b.moves("the picture moves", 10)
			if c.audio != "" {
				b.hears()
			}
			first := b.received()
			r := b.moves("it goes on", 20)
			if !strings.HasPrefix(r.Video, c.video) || r.Audio != c.audio {
				t.Errorf("the browser gets %q and %q, want %q and %q", r.Video, r.Audio, c.video, c.audio)
			}
			want := [2]int{640, 360}
			if strings.HasSuffix(name, "1080p") {
				want = [2]int{1280, 720}
			}
			if r.Width != want[0] || r.Height != want[1] {
				t.Errorf("the picture is %d×%d, want %v", r.Width, r.Height, want)
			}
			t.Logf("%.1f pictures/s, clock %.2f, %d freezes, %d requests for key frames", float64(r.Frames-first.Frames)/(r.Time-first.Time),
				(r.Clock-first.Clock)/(r.Time-first.Time), r.Freezes, r.PLIs)
		})
	}
}
