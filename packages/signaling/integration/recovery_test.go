package integration_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"porthole/packages/internal/settings"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/sitetest"
)

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

// lifecycle freezes the page, as a laptop's lid or a phone's pocket does, or thaws it.
func lifecycle(state cdppage.SetWebLifecycleStateState) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdppage.SetWebLifecycleState, cdppage.SetWebLifecycleStateParams{State: state})
		return err
	})
}

// While the page slept, the server let its viewer go and nobody told it: the connection was gone, too.
func TestSleep(t *testing.T) {
	site := sitetest.New(t, nil)
	for _, at := range []string{page, "/live"} {
		b := open(t, site.Front)
		b.do(chromedp.Navigate(site.Front.URL + at))
		plays := func(what string) {
			if at == page {
				b.plays(what)
			} else {
				b.moves("demo", "yard", "hall")
			}
		}
		plays("first")
		b.do(lifecycle(cdppage.SetWebLifecycleStateStateFrozen))
		site.Cut()
		site.Live.SetCameras(nil)
		site.Live.SetCameras([]string{"demo", "demo/2", "yard", "hall", "garden"})
		b.do(lifecycle(cdppage.SetWebLifecycleStateStateActive))
		plays("after sleep")
	}
}

// The network goes away under the page and comes back.
func TestNetworkChange(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	b.do(emulate(true))
	site.SetAway(true)
	site.Cut()
	b.until("the page says that there is no network", func() bool { return strings.Contains(b.text("#message"), "This device has no network") })
	b.shot("no-network")
	site.SetAway(false)
	b.do(emulate(false))
	b.plays("after the network came back")
}

// emulate says to the page that there is no network.
func emulate(offline bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.OverrideNetworkState, network.OverrideNetworkStateParams{
			Offline: offline, DownloadThroughput: -1, UploadThroughput: -1,
		})
		return err
	})
}

// soon is how long a picture may take from the camera's return; a busy machine gets several tries.
const soon = 3 * time.Second

// A camera dies while it is watched, for longer than anybody is patient, and returns: so does the picture, right away.
func TestCameraDiesAndReturns(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + "/livestream/viewer?camera=yard"))
	b.plays("first")
	var took []time.Duration
	for try, gone := range []time.Duration{25 * time.Second, 8 * time.Second, 8 * time.Second} {
		site.StopCamera()
		began := time.Now()
		b.until("camera offline", func() bool { return strings.Contains(b.text("#message"), "Camera offline, reconnecting") })
		b.until("nobody is patient any more", func() bool { return time.Since(began) > gone })
		eval[bool](b, `(v => { window.at = v.getVideoPlaybackQuality().totalVideoFrames; return true; })(document.querySelector('video'))`)
		began = time.Now()
		site.StartCamera(t)
		b.until("the picture moves", func() bool {
			return b.text("#badge") == "live" && eval[bool](b, `(n => n < window.at || n > window.at + 1)(document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames)`)
		})
		took = append(took, time.Since(began).Round(time.Millisecond))
		t.Logf("outage %d, of %v: the picture is back after %v", try+1, gone, took[try])
		b.plays("after the outage")
	}
	if slices.Min(took) > soon {
		t.Errorf("the picture comes back after %v", took)
	}
	if faults := b.console(); len(faults) > 0 {
		t.Errorf("console: %q", faults)
	}
}

// signaling is away for a while: the page says so, tells where it looked, and goes on.
func TestServerAway(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	site.SetAway(true)
	site.Cut()
	b.until("the server is away", func() bool { return strings.Contains(b.text("#message"), "The server does not answer, trying again") })
	b.until("each try is listed", func() bool {
		log := b.text("#log")
		return strings.Contains(log, "Connecting to: wss://"+site.Front.Listener.Addr().String()+"/ws") &&
			strings.Contains(log, "Connecting to: wss://"+site.Direct.Listener.Addr().String()+"/ws") && strings.Contains(log, "(code 1006)")
	})
	b.shot("away")
	site.SetAway(false)
	b.plays("after the server came back")
}

// The session ends, or becomes another person's, while the page is open.
func TestWhoMayWatch(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	b.become("nobody")
	site.Cut()
	b.until("not logged in", func() bool { return strings.Contains(b.text("#message"), "You are not logged in") })
	if at := eval[string](b, `document.querySelector('#hint a').getAttribute('href')`); at != "/login?next=%2Flivestream%2Fviewer%3Fcamera%3Ddemo" {
		t.Errorf("the way to log in is %q", at)
	}
	b.shot("unauthorized")
	b.become(sitetest.GuestToken)
	eval[bool](b, `window.dispatchEvent(new Event('online'))`)
	b.until("not allowed", func() bool { return strings.Contains(b.text("#message"), "Your account may not watch this camera") })
	b.shot("forbidden")
	b.become(sitetest.AdminToken)
	eval[bool](b, `window.dispatchEvent(new Event('online'))`)
	b.plays("as the administrator again")

	wall := open(t, site.Front)
	wall.do(chromedp.Navigate(site.Front.URL + "/live"))
	wall.moves("demo")
	wall.become("nobody")
	site.Cut()
	wall.untilOn("the wall says it once for all", func() bool {
		return strings.TrimSpace(wall.text("#text")) == "You are not logged in" && eval[bool](wall, `!document.querySelector('#login').hidden`)
	})
	wall.shot("wall-unauthorized")
}

func TestTooManyViewers(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) { c.PerCamera, c.Total = 1, 1 })
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.plays("first")
	second := open(t, site.Front)
	second.do(chromedp.Navigate(site.Front.URL + page))
	second.until("the limit is named", func() bool { return strings.Contains(second.text("#message"), "close one, or try again later") })
	second.shot("busy")
	b.do(chromedp.Navigate("about:blank"))
	second.plays("when there is a place again")
}

// A browser that may use no UDP of its own, and a firewall that lets its TCP not through either.
func TestBlocked(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shared := nobody.Addr().String()
	nobody.Close()
	for want, change := range map[string]func(*live.Config){
		"UDP is blocked: no network path": nil,
		"UDP and TCP are blocked: no network path": func(c *live.Config) {
			if err := c.Path.Share(shared); err != nil {
				t.Fatal(err)
			}
		},
	} {
		site := sitetest.New(t, change)
		b := open(t, site.Front, chromedp.Flag("webrtc-ip-handling-policy", "disable_non_proxied_udp"))
		b.do(chromedp.Navigate(site.Front.URL + page))
		b.until("no path", func() bool { return strings.Contains(b.text("#message"), want) })
		if log := b.text("#log"); !strings.Contains(log, "Tried: udp 127.0.0.1:") || change != nil && !strings.Contains(log, "tcp "+shared+" (no ") {
			t.Errorf("what was tried is not said:\n%s", log)
		}
		b.shot("blocked")
		wall := open(t, site.Front, chromedp.Flag("webrtc-ip-handling-policy", "disable_non_proxied_udp"))
		wall.do(chromedp.Navigate(site.Front.URL + "/live"))
		wall.untilOn("the wall has still pictures", func() bool {
			state, note := wall.tile("demo")
			return state == "nopath" && note == "Still pictures: no network path" && eval[bool](wall, `document.querySelector('#camera-demo img').naturalWidth > 0`)
		})
	}
}

// Where the device has STUN or TURN servers for browsers, the page asks for them once, before it connects, and uses them.
func TestICEServers(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	const spy = `
		window.asked = 0; window.given = [];
		const get = window.fetch;
		window.fetch = (...args) => { if (String(args[0]).endsWith('ice.json')) window.asked++; return get(...args); };
		const Original = window.RTCPeerConnection;
		window.RTCPeerConnection = class extends Original { constructor(c) { super(c); window.given.push(JSON.stringify(c.iceServers)); } };`
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: spy})
		return err
	}), chromedp.Navigate(site.Front.URL+page))
	b.plays("without servers")
	if n := eval[int](b, `window.asked`); n != 0 {
		t.Errorf("the page asked %d times for servers that it needs not", n)
	}
	site.Web.SetICE(settings.Live{TURN: settings.TURN{URLs: []string{"turn:127.0.0.1:9"}, Secret: "s"}})
	b.do(chromedp.Navigate(site.Front.URL + "/live"))
	b.moves("demo", "yard", "hall")
	if n := eval[int](b, `window.asked`); n != 1 {
		t.Errorf("a wall asked %d times", n)
	}
	for _, given := range eval[[]string](b, `window.given`) {
		if !strings.Contains(given, `"turn:127.0.0.1:9"`) || !strings.Contains(given, `"credential":"`) || !strings.Contains(given, `:admin"`) {
			t.Errorf("a connection got %s", given)
		}
	}
	if faults := without(b.console(), "snapshot.jpg"); len(faults) > 0 {
		t.Errorf("console: %q", faults)
	}
}

// The time is over: the page asks, and goes on when somebody answers.
func TestStillWatching(t *testing.T) {
	site := sitetest.New(t, nil)
	site.Live.SetLimits(live.Limits{PerCamera: 10, Total: 50, MaxTime: 3 * time.Second})
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + page))
	b.until("it asks", func() bool { return strings.Contains(b.text("#message"), "Still watching?") })
	attempts := func() int { return strings.Count(b.text("#log"), "Connecting to") }
	if n := attempts(); n != 1 {
		t.Errorf("%d attempts", n)
	}
	b.shot("still-watching")
	site.Live.SetLimits(live.Limits{PerCamera: 10, Total: 50})
	// Neither the network nor a look at the page answers.
	eval[bool](b, `window.dispatchEvent(new Event('online')), document.dispatchEvent(new Event('visibilitychange'))`)
	if n := attempts(); n != 1 {
		t.Errorf("%d attempts without an answer", n)
	}
	b.press("Enter") // the button has the focus
	b.plays("after the answer")

	site.Live.SetLimits(live.Limits{PerCamera: 10, Total: 50, MaxTime: 3 * time.Second})
	wall := open(t, site.Front)
	wall.do(chromedp.Navigate(site.Front.URL + "/live"))
	wall.untilOn("the wall asks once for all", func() bool {
		return eval[int](wall, `document.querySelectorAll('[data-state=limit]').length`) == 3 && strings.TrimSpace(wall.text("#text")) == "Still watching?"
	})
	wall.shot("wall-still-watching")
	site.Live.SetLimits(live.Limits{PerCamera: 10, Total: 50})
	wall.do(chromedp.Click(chromedp.CSS("#again")))
	wall.moves("demo", "yard", "hall")
}
