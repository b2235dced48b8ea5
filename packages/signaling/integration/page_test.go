package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
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

// A picture that is converted says so.
func TestConverted(t *testing.T) {
	site := withCamera(t, testPicture+" -c:v mpeg4 -q:v 5 -g 25")
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("a picture no browser plays")
	if note := b.text("#note"); !strings.HasPrefix(note, "This browser does not play the camera's picture") || !strings.Contains(note, "the device converts it") {
		t.Errorf("the page says %q", note)
	}
	if codec := b.fact("Codec"); codec != "VP8" {
		t.Errorf("codec %q", codec)
	}
	b.shot("converted")
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
	muted := func() bool { return eval[bool](b, `document.querySelector('video').muted`) }
	b.until("there is sound", func() bool { return !eval[bool](b, `document.querySelector('#sound').hidden`) })
	b.press("m")
	b.until("m switches it on", func() bool { return !muted() })
	b.press("m")
	b.until("m switches it off", muted)

	b.press("i")
	b.until("the figures are there", func() bool {
		text := eval[string](b, `document.querySelector('#overlay').innerText`)
		return regexp.MustCompile(`(?s)Delay\s+≈ \d+ ms.*Bit rate\s+\d+ kbit/s.*Picture\s+1280×720, \d+ fps.*Codec\s+H264.*Path\s+direct, UDP`).MatchString(text)
	})
	b.shot("figures")
	b.press("i")
	b.until("the figures are gone", func() bool { return eval[bool](b, `document.querySelector('#overlay').hidden`) })
	small := func() bool { return eval[bool](b, `document.pictureInPictureElement !== null`) }
	b.press("p")
	b.until("p makes a small window", small)
	b.press("p")
	b.until("p closes it", func() bool { return !small() })

	// In full screen, too, the arrows go from camera to camera.
	b.press("f")
	b.until("f fills the screen", full)
	for _, step := range []struct{ key, camera, name string }{{"ArrowRight", "yard", "Yard"}, {"ArrowRight", "hall", "Hall"}, {"ArrowLeft", "yard", "Yard"}} {
		b.press(step.key)
		b.until("the name is the other camera's", func() bool {
			return b.text("#name") == step.name && eval[bool](b, `location.search === '?camera=`+step.camera+`' && document.title.startsWith('`+step.name+`')`)
		})
		b.plays(step.camera)
	}
	if !full() {
		t.Error("the next camera leaves full screen")
	}
	b.until("the buttons go after a while", func() bool { return eval[bool](b, `document.querySelector('#stage').dataset.idle === ''`) })
	b.shot("full-screen")
	b.press("f")
	b.until("f leaves", func() bool { return !full() })
	b.press("ArrowLeft")
	b.plays("the first camera")
	b.do(chromedp.SetValue(chromedp.CSS("#stream"), "2"))
	eval[bool](b, `document.querySelector('#stream').dispatchEvent(new Event('change'))`)
	b.until("the address names the stream", func() bool { return eval[bool](b, `location.search === '?camera=demo&stream=2'`) })
	b.plays("the second stream")
	swipe := func(from, to float64) {
		eval[bool](b, fmt.Sprintf(`(p => {
			for (const [name, x] of [['pointerdown', %v], ['pointerup', %v]])
				p.dispatchEvent(new PointerEvent(name, {clientX: x, clientY: 200, isPrimary: true, pointerType: 'touch', bubbles: true}));
			return true;
		})(document.querySelector('#picture'))`, from, to))
	}
	swipe(400, 200)
	b.until("a swipe goes on", func() bool { return b.text("#name") == "Yard" })
	swipe(200, 400)
	b.until("a swipe goes back", func() bool { return b.text("#name") == "Front door" })
	b.plays("after swiping")
	if faults := b.console(); len(faults) > 0 {
		t.Errorf("console: %q", faults)
	}
	b.press("Escape")
	b.until("Escape goes to the cameras", func() bool { return eval[bool](b, `location.pathname === '/'`) })
}

// The page fits every screen, light and dark.
func TestLayout(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	b.until("all buttons are there", func() bool { return !eval[bool](b, `document.querySelector('#sound').hidden`) })
	for _, width := range []int64{320, 1280, 3840} {
		height := map[int64]int64{320: 568, 1280: 800, 3840: 2160}[width]
		for _, mode := range []string{"light", "dark"} {
			b.do(chromedp.EmulateViewport(width, height), scheme(mode))
			for _, open := range []bool{false, true} {
				eval[bool](b, fmt.Sprintf(`document.querySelector('details').open = %v`, open))
				if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
					t.Errorf("%d px, %s, Debug open %v: %d px too wide", width, mode, open, over)
				}
				if rows := eval[int](b, `new Set([...document.querySelectorAll('#controls button:not([hidden])')].map(e => e.offsetTop)).size`); rows != 1 {
					t.Errorf("%d px: the buttons stand in %d rows", width, rows)
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
		return !eval[bool](b, `document.querySelector('video').muted`) && strings.TrimSpace(b.text("#sound")) == "Sound off"
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
