package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"porthole/media/rtsp"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/sitetest"
)

const page = "/livestream/viewer?camera=demo"

func TestLivePicture(t *testing.T) {
	site := sitetest.New(t, nil)
	for name, c := range map[string]struct {
		srv        *httptest.Server
		path, want string
	}{
		"shared port":             {site.Front, page, "wss://" + site.Front.Listener.Addr().String() + "/ws"},
		"signaling port":          {site.Front, page + "&signaling=8765", "wss://" + site.Direct.Listener.Addr().String()},
		"page on signaling's own": {site.Direct, page, "wss://" + site.Direct.Listener.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, site.Front)
			b.do(chromedp.Navigate(c.srv.URL + c.path))
			b.plays("first")
			if log := b.text("#log"); !strings.Contains(log, "Connecting to: "+c.want) || strings.Contains(log, "failed") {
				t.Errorf("the Debug section says %q, want %s", log, c.want)
			}
			if size := eval[string](b, `(v => v.videoWidth + 'x' + v.videoHeight)(document.querySelector('video'))`); size != "1280x720" {
				t.Errorf("the picture is %s", size)
			}
			if codec := b.fact("Codec"); !strings.HasPrefix(codec, "H264 (4d") {
				t.Errorf("codec %q, want the camera's own profile, Main", codec)
			}
			for _, name := range []string{"First picture", "Resolution", "Frames per second", "Bit rate", "Round trip"} {
				if v := b.fact(name); v == "" || v == "–" {
					t.Errorf("the Debug section has no %s", name)
				}
			}
			if note := b.text("#note"); strings.Contains(note, "No sound") {
				t.Errorf("of the sound it says %q", note)
			}
			if !eval[bool](b, `document.querySelector('#message').hidden`) {
				t.Error("a message over a live picture")
			}
			b.until("there is sound", func() bool { return !eval[bool](b, `document.querySelector('#sound').hidden`) })
			faults := b.console()
			if c.srv == site.Direct {
				// The console's style sheet is not on this port.
				faults = without(faults, "/assets/porthole.css")
			}
			if len(faults) > 0 {
				t.Errorf("console: %q", faults)
			}
			t.Logf("first picture after %s", b.fact("First picture"))
		})
	}
}

func without(list []string, part string) []string {
	var out []string
	for _, s := range list {
		if !strings.Contains(s, part) {
			out = append(out, s)
		}
	}
	return out
}

func TestRecovery(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")

	site.Cut()
	b.until("the page notices", func() bool {
		return strings.Contains(b.text("#log"), "Connection lost") || strings.Contains(b.text("#log"), "Ended: lost")
	})
	b.plays("after the socket was cut")

	// proxy is killed: the connection stays, and the picture comes back over it.
	attempts := strings.Count(b.text("#log"), "Connecting to")
	site.StopHub()
	b.until("camera offline", func() bool { return strings.Contains(b.text("#message"), "Camera offline, reconnecting") })
	if badge := b.text("#badge"); badge != "offline" {
		t.Errorf("the badge says %q", badge)
	}
	b.shot("offline")
	site.StartHub(t)
	b.plays("after proxy came back")
	if n := strings.Count(b.text("#log"), "Connecting to"); n != attempts {
		t.Errorf("the page connected %d times more", n-attempts)
	}

	// The camera is unknown for a while, then there again.
	site.Live.SetCameras(nil)
	b.until("no such camera", func() bool { return strings.Contains(b.text("#message"), "There is no such camera") })
	site.Live.SetCameras([]string{"demo"})
	eval[bool](b, `window.dispatchEvent(new Event('online'))`)
	b.plays("after the network came back")
}

// What can be wrong is said over the picture.
func TestMessages(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) { c.PerCamera, c.Total = 1, 1 })
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	second := open(t, site.Front)
	second.do(chromedp.Navigate(site.Front.URL + page))
	second.until("the limit is named", func() bool { return strings.Contains(second.text("#message"), "close one, or try again later") })
	b.do(chromedp.Navigate("about:blank"))
	second.plays("when there is a place again")
}

// h265 makes a camera say that it sends H.265, which Chromium without hardware help does not play.
func h265(play func(context.Context, string, rtsp.Sink) error) func(context.Context, string, rtsp.Sink) error {
	return func(ctx context.Context, camera string, sink rtsp.Sink) error {
		return play(ctx, camera, &renamed{sink})
	}
}

type renamed struct{ rtsp.Sink }

func (r *renamed) Tracks(tracks []rtsp.Track) {
	tracks = slices.Clone(tracks)
	for i := range tracks {
		if tracks[i].Kind == rtsp.Video {
			tracks[i].Codec = rtsp.H265
		}
	}
	r.Sink.Tracks(tracks)
}

func TestNoCodecInCommon(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) { c.Play, c.Convert = h265(c.Play), nil })
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.until("no codec in common", func() bool { return strings.Contains(b.text("#message"), "No codec in common: the camera sends H265") })
	b.shot("no-codec")
}

func TestKeysAndButtons(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	paused := func() bool { return eval[bool](b, `document.querySelector('video').paused`) }
	b.do(chromedp.KeyEvent(" "))
	b.until("space pauses", paused)
	b.do(chromedp.KeyEvent(" "))
	b.until("space plays", func() bool { return !paused() })
	full := func() bool { return eval[bool](b, `document.fullscreenElement?.id === 'stage'`) }
	b.do(chromedp.KeyEvent("f"))
	b.until("f fills the screen", full)
	b.do(chromedp.KeyEvent("f"))
	b.until("f leaves", func() bool { return !full() })
	b.do(chromedp.KeyEvent("m"))
	if !eval[bool](b, `document.querySelector('video').muted`) {
		t.Error("m switches sound on where there is none")
	}
	b.do(chromedp.KeyEvent("\x1b"))
	b.until("Escape goes to the cameras", func() bool { return eval[bool](b, `location.pathname === '/'`) })
}

// The page fits every screen, light and dark.
func TestLayout(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	for _, width := range []int64{320, 1280, 3840} {
		height := map[int64]int64{320: 568, 1280: 800, 3840: 2160}[width]
		for _, mode := range []string{"light", "dark"} {
			b.do(chromedp.EmulateViewport(width, height), scheme(mode))
			for _, open := range []bool{false, true} {
				eval[bool](b, fmt.Sprintf(`document.querySelector('details').open = %v`, open))
				if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
					t.Errorf("%d px, %s, Debug open %v: %d px too wide", width, mode, open, over)
				}
				name := fmt.Sprintf("viewer-%d-%s", width, mode)
				if open {
					name += "-debug"
				}
				b.shot(name)
			}
		}
	}
	if bottom := eval[float64](b, `document.querySelector('details').open = false, document.querySelector('.live-controls').getBoundingClientRect().bottom - innerHeight`); bottom > 0 {
		t.Errorf("the buttons lie %v px below the screen", bottom)
	}
	b.do(chromedp.EmulateViewport(320, 568), chromedp.Navigate(site.Front.URL+"/livestream/viewer?camera=attic"))
	b.shot("problem-320-dark")
	if h1 := b.text("h1"); h1 != "No such camera" {
		t.Errorf("an unknown camera: %q", h1)
	}
}

// g711 turns the clip's AAC into PCMU silence, as many a camera sends.
type g711 struct {
	rtsp.Sink
	audio int
}

func (g *g711) Tracks(tracks []rtsp.Track) {
	tracks = slices.Clone(tracks)
	g.audio = slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Audio })
	tracks[g.audio] = rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.PCMU, ClockRate: 8000, Channels: 1}
	g.Sink.Tracks(tracks)
}

func (g *g711) Unit(u rtsp.Unit) {
	if u.Track == g.audio {
		// 1,024 samples at 48 kHz.
		u.RTPTime, u.Payload = u.RTPTime/6, bytes.Repeat([]byte{0xff}, 171)
	}
	g.Sink.Unit(u)
}

func TestSound(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) {
		play := c.Play
		c.Play = func(ctx context.Context, camera string, sink rtsp.Sink) error {
			return play(ctx, camera, &g711{Sink: sink})
		}
	})
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	if !eval[bool](b, `document.querySelector('video').muted`) {
		t.Error("the page starts with sound, which browsers forbid")
	}
	b.until("there is a sound button", func() bool { return !eval[bool](b, `document.querySelector('#sound').hidden`) })
	b.do(chromedp.Click(chromedp.CSS("#sound")))
	b.until("sound is on", func() bool {
		return !eval[bool](b, `document.querySelector('video').muted`) && b.text("#sound") == "Sound off"
	})
	b.until("sound is heard", func() bool {
		return eval[bool](b, `document.querySelector('video').srcObject.getAudioTracks()[0]?.muted === false`)
	})
	b.do(chromedp.KeyEvent("m"))
	b.until("m mutes", func() bool { return eval[bool](b, `document.querySelector('video').muted`) })
	if note := b.text("#note"); note != "" {
		t.Errorf("the page says %q", note)
	}
	b.plays("still")
}
