package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"porthole/packages/signaling/live"
	"porthole/packages/signaling/sitetest"
)

// tile reads what a camera's tile is like.
func (b *browser) tile(camera string) (state, note string) {
	s := eval[[2]string](b, fmt.Sprintf(`(t => [t.dataset.state, t.querySelector('.tile-note').textContent])(document.querySelector('#camera-%s'))`, camera))
	return s[0], s[1]
}

// moves waits until a tile's video shows one picture after the other.
func (b *browser) moves(cameras ...string) {
	b.t.Helper()
	for _, c := range cameras {
		frames := func() int {
			return eval[int](b, fmt.Sprintf(`document.querySelector('#camera-%s video').getVideoPlaybackQuality().totalVideoFrames`, c))
		}
		b.untilOn("the wall: "+c+" is live", func() bool { s, _ := b.tile(c); return s == "live" })
		from := frames()
		b.untilOn("the wall: "+c+" moves", func() bool { n := frames(); return n > from+5 || n < from && n > 5 })
	}
}

// untilOn is until for pages without a Debug section.
func (b *browser) untilOn(what string, ok func() bool) {
	b.t.Helper()
	b.wait(what, ok, func() string { return eval[string](b, `document.body.innerText`) })
}

func TestWall(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + "/live"))
	b.moves("demo", "yard", "hall")
	if eval[bool](b, `[...document.querySelectorAll('video')].some(v => !v.muted)`) {
		t.Error("a tile plays with sound")
	}
	if s := b.text("#badge"); s != "3 of 4 live" {
		t.Errorf("the badge says %q", s)
	}
	// There is nothing behind this one.
	b.untilOn("garden is offline", func() bool {
		state, note := b.tile("garden")
		return state == "offline" && strings.Contains(note, "Camera offline")
	})
	b.shot("wall")

	focused := func() string {
		return eval[string](b, `document.activeElement?.closest('.tile')?.dataset.camera ?? ''`)
	}
	columns := eval[int](b, `Number(document.querySelector('#grid').style.getPropertyValue('--columns'))`)
	if columns != 2 {
		t.Errorf("4 tiles stand in %d columns on 1280×900", columns)
	}
	for _, step := range []struct{ key, want string }{
		{"ArrowRight", "demo"}, {"ArrowRight", "yard"}, {"ArrowDown", "garden"}, {"ArrowLeft", "hall"}, {"ArrowUp", "demo"}, {"ArrowUp", "demo"},
		{"ArrowLeft", "garden"}, {"ArrowRight", "demo"}, {"ArrowRight", "yard"},
	} {
		b.press(step.key)
		if got := focused(); got != step.want {
			t.Errorf("after %s %q has the focus, want %q", step.key, got, step.want)
		}
	}
	// One tile at a time is heard, and only then is its sound asked for.
	tracks := func(camera string) int {
		return eval[int](b, fmt.Sprintf(`(v => v.muted ? -1 : v.srcObject?.getAudioTracks().length ?? 0)(document.querySelector('#camera-%s video'))`, camera))
	}
	if eval[bool](b, `[...document.querySelectorAll('video')].some(v => v.srcObject?.getAudioTracks().length)`) {
		t.Error("sound comes that nobody hears")
	}
	b.press("m")
	b.untilOn("m lets the yard be heard", func() bool { return tracks("yard") == 1 })
	b.moves("yard")
	b.shot("wall-sound")
	b.press("ArrowLeft")
	b.press("m")
	b.untilOn("now it is the front door", func() bool { return tracks("demo") == 1 && tracks("yard") == -1 })
	b.press("m")
	b.untilOn("m mutes", func() bool { return tracks("demo") == -1 })
	b.moves("demo", "yard")
	b.press("ArrowRight")
	full := func() bool { return eval[bool](b, `document.fullscreenElement?.id === 'wall'`) }
	b.press("f")
	b.untilOn("f fills the screen", full)
	b.press("f")
	b.untilOn("f leaves", func() bool { return !full() })
	b.press("Enter")
	b.untilOn("Enter opens the camera", func() bool {
		return eval[bool](b, `location.pathname + location.search === '/livestream/viewer?camera=yard' && document.readyState === 'complete'`)
	})
	b.plays("the camera alone")
	b.press("Escape")
	b.untilOn("Escape goes back to its tile", func() bool {
		return eval[bool](b, `location.pathname === '/live' && document.activeElement?.closest('.tile')?.dataset.camera === 'yard'`)
	})
	b.moves("demo", "yard", "hall")
	b.press("Escape")
	b.untilOn("Escape goes home", func() bool { return eval[bool](b, `location.pathname === '/'`) })
	if faults := without(without(b.console(), "snapshot.jpg"), "404"); len(faults) > 0 {
		t.Errorf("console: %q", faults)
	}
}

// What is out of sight is not live, and a page nobody looks at ends after a while.
func TestWallStopsUnseen(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	b.do(chromedp.EmulateViewport(400, 300), chromedp.Navigate(site.Front.URL+"/live"))
	b.moves("demo")
	if state, _ := b.tile("hall"); state != "still" {
		t.Errorf("a tile below the window is %s", state)
	}
	eval[bool](b, `document.querySelector('#camera-hall').scrollIntoView(), true`)
	b.moves("hall")
	b.untilOn("the first one is out of sight", func() bool {
		state, _ := b.tile("demo")
		return state == "still" && eval[bool](b, `document.querySelector('#camera-demo video').srcObject === null`)
	})
	hide := func(yes bool) {
		eval[bool](b, fmt.Sprintf(`Object.defineProperty(document, 'hidden', {configurable: true, value: %v}), document.dispatchEvent(new Event('visibilitychange'))`, yes))
	}
	hide(true)
	b.untilOn("a hidden page ends", func() bool { state, _ := b.tile("hall"); return state == "still" })
	hide(false)
	b.moves("hall")
}

// A tile for which there is no place shows still pictures, says so, and takes a place when there is one.
func TestWallBusy(t *testing.T) {
	site := sitetest.New(t, func(c *live.Config) { c.PerCamera = 1 })
	first := open(t, site.Front)
	first.do(chromedp.Navigate(site.Front.URL + page))
	first.plays("first")
	b := open(t, site.Front)
	b.do(chromedp.Navigate(site.Front.URL + "/live"))
	b.moves("yard", "hall")
	b.untilOn("it says why", func() bool {
		state, note := b.tile("demo")
		return state == "busy" && note == "Still pictures: no place for another live one"
	})
	b.untilOn("the still picture is made anew", func() bool {
		n, _ := strconv.Atoi(eval[string](b, `document.querySelector('#camera-demo').dataset.stills ?? ''`))
		return n >= 2 && eval[bool](b, `document.querySelector('#camera-demo img').naturalWidth > 0`)
	})
	b.shot("wall-busy")
	first.do(chromedp.Navigate("about:blank"))
	b.moves("demo")
}

// The wall of many cameras fits every screen.
func TestWallLayout(t *testing.T) {
	site := sitetest.New(t, nil)
	b := open(t, site.Front)
	for _, n := range []int{1, 2, 5, 9, 16, 24} {
		site.Cameras(n)
		b.do(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(site.Front.URL+"/live"))
		b.moves("demo")
		for _, size := range [][2]int64{{320, 568}, {568, 320}, {1280, 800}, {3840, 2160}} {
			for _, mode := range []string{"light", "dark"} {
				b.do(chromedp.EmulateViewport(size[0], size[1]), scheme(mode))
				b.untilOn("the layout follows", func() bool {
					return eval[bool](b, `(g => Math.abs(g.firstElementChild.clientWidth - parseFloat(g.style.getPropertyValue('--tile'))) < 1)(document.querySelector('#grid'))`)
				})
				// The grid follows the window a moment after it, and may have had that width before.
				b.untilOn(fmt.Sprintf("%d cameras fit into %v", n, size), func() bool {
					over := eval[[2]float64](b, `[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]`)
					high := size[0] == 3840 || size[0] == 1280 && n <= 9
					return over[0] <= 0 && (!high || over[1] <= 0)
				})
				if wide := eval[float64](b, `document.querySelector('.tile').clientWidth`); wide < 225 {
					t.Errorf("%d cameras, %v: a tile of %v px", n, size, wide)
				}
				b.shot(fmt.Sprintf("wall-%d-%d-%s", n, size[0], mode))
			}
		}
	}
}
