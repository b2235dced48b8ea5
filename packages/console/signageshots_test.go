package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// maxPageWeight is how many bytes a page may have to load, but for pictures and videos.
const maxPageWeight = 100_000

// weight counts the bytes of the page, its styles and scripts, as they came over the wire, and how far things moved.
// 0.1 is what web.dev/articles/cls calls good.
const weight = `(async () => {
	const shift = await new Promise(done => {
		let sum = 0;
		new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value; }).observe({type: 'layout-shift', buffered: true});
		setTimeout(() => done(sum), 150);
	});
	let bytes = performance.getEntriesByType('navigation')[0].transferSize;
	for (const e of performance.getEntriesByType('resource'))
		if (!['img', 'video', 'image'].includes(e.initiatorType) && !e.name.includes('/fragments/')) bytes += e.encodedBodySize;
	return {Bytes: bytes, Shift: shift};
})()`

// TestSignageLooks opens every page of the content in Chromium at the sizes and colours that people use: nothing runs
// over the edge, nothing complains. With SCREENSHOTS set to a folder, pictures of them are kept there to be looked at.
func TestSignageLooks(t *testing.T) {
	d := newDevice(t).withDecoder()
	d.start()
	b := d.claimed()
	d.insert(screens...)
	pages := seedContent(t, d, b)
	d.looks(pages)
}

// TestOwnLooks does the same with the page of the device's own screen, when there is much to say.
func TestOwnLooks(t *testing.T) {
	d := newDevice(t)
	p, h := busyPlayer(), hotDevice(t)
	p.shot = picture(t, 640, 360, 1)
	d.peer("player", p)
	d.peer("system", h)
	d.start()
	b := d.claimed()
	b.post("/screen/server", "follow", "other", "server", "https://signage.example.com", "trust", "first")
	b.do("POST", "/screen/display", map[string][]string{"orientation": {"landscape"}, "off": {"signal"}, "h0_day": {"0", "1", "2", "3", "4"}, "h0_from": {"08:00"}, "h0_to": {"20:00"}})
	d.looks(map[string]string{"own": "/screen", "import": "/settings/import"})
}

// looks opens pages at all sizes and colours. They are new to the browser each time.
func (d *device) looks(pages map[string]string) {
	t := d.t
	t.Helper()
	c := d.chromium()
	// A first visit: nothing is in the browser's cache.
	c.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		return err
	}))
	shoot := func(name string) {
		dir := os.Getenv("SCREENSHOTS")
		if dir == "" {
			return
		}
		png, err := chromedp.Run(c.Context(), chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []struct {
		w      int64
		scheme string
	}{{1280, "light"}, {1280, "dark"}, {320, "light"}, {3840, "light"}} {
		c.prefer(size.scheme, "reduce")
		c.do(chromedp.EmulateViewport(size.w, 900))
		for name, path := range pages {
			if only := os.Getenv("ONLY"); only != "" && !strings.Contains(only, name) {
				continue
			}
			c.open(path)
			c.see("main")
			if over := inPage[[]string](c, `[...document.querySelectorAll('body *')].filter(n => { const r = n.getBoundingClientRect(); return r.width > 0 && r.right > innerWidth + 1 && getComputedStyle(n).position !== 'absolute' && !n.closest('.unseen, .skip'); }).map(n => n.tagName + '.' + n.className)`); len(over) > 0 || !inPage[bool](c, `document.documentElement.scrollWidth <= innerWidth`) {
				t.Errorf("%s at %d px runs over the edge: %q", path, size.w, over)
			}
			load := inPage[struct {
				Bytes int
				Shift float64
			}](c, weight)
			if load.Bytes < 4_000 || load.Bytes > maxPageWeight {
				t.Errorf("%s weighs %d bytes without media", path, load.Bytes)
			}
			if load.Shift > .1 {
				t.Errorf("%s at %d px: what one reads moves while it loads: %.3f", path, size.w, load.Shift)
			}
			t.Logf("%-16s %4d px: %6d bytes, layout shift %.3f", name, size.w, load.Bytes, load.Shift)
			shoot(fmt.Sprintf("%s-%d-%s", name, size.w, size.scheme))
		}
	}
	for _, f := range c.complaints() {
		// Cameras and live views are other processes' and not there.
		if !strings.Contains(f, "/cameras/") && !strings.Contains(f, "/livestream/") {
			t.Errorf("a page's console: %s", f)
		}
	}
}

// seedContent fills a device as a shop has it, and returns its pages by name.
func seedContent(t *testing.T, d *device, b *browser) map[string]string {
	t.Helper()
	if a := b.upload("Summer sale.jpg", picture(t, 1920, 1080, 1), "Lunch menu with a rather long name that somebody gave it.jpg", picture(t, 1080, 1920, 2),
		"Opening hours.jpg", picture(t, 1280, 720, 3), "Poster 8K.jpg", picture(t, 3000, 2000, 4), "Spring.jpg", picture(t, 800, 600, 0), "Bakery tour.mp4", clip(t, 5)); a.status != 303 {
		t.Fatalf("upload: %d\n%s", a.status, a.body)
	}
	ids := b.media()
	window := b.made(b.post("/playlists", "name", "Shop window"))
	lunch := b.made(b.post("/playlists", "name", "Lunch"))
	b.made(b.post("/playlists", "name", "Closed"))
	for _, name := range []string{"Summer sale.jpg", "Bakery tour.mp4", "Opening hours.jpg"} {
		b.made(b.post(window+"/items", "kind", "media", "media", ids[name]))
	}
	b.made(b.post(lunch+"/items", "kind", "media", "media", ids["Lunch menu with a rather long name that somebody gave it.jpg"]))
	for _, list := range []string{window, lunch} {
		publish(t, b, list)
	}
	b.made(b.post(window+"/items", "kind", "text", "text", "Fresh bread every morning", "seconds", "8"))
	b.made(b.post(window+"/items", "kind", "stream", "url", "rtsp://user:hunter2@192.168.1.20/stream1", "seconds", "30"))
	d.insert("UPDATE player_groups SET playlist = 1", "UPDATE players SET playlist = 1 WHERE id = 13")
	plan := func(name, playlist, target, from, to, priority string, days ...string) string {
		form := map[string][]string{"name": {name}, "playlist": {playlist}, "target": {target}, "from": {from}, "to": {to}, "priority": {priority}, "enabled": {"1"}, "day": days}
		return b.made(b.do("POST", "/schedule/rules/new", form))
	}
	plan("Lunch menu", "2", "group:1", "11:30", "14:00", "5", "0", "1", "2", "3", "4")
	plan("All day window", "1", "all", "08:00", "18:30", "3", "0", "1", "2", "3", "4", "5")
	plan("Night", "3", "all", "22:00", "06:00", "1", "0", "1", "2", "3", "4", "5", "6")
	plan("Saturday brunch", "2", "screen:11", "10:00", "15:00", "3", "5")
	b.made(b.post("/interrupt", "what", "text", "text", "We close in ten minutes", "target", "group:1", "ends", "15"))
	return map[string]string{
		"media": "/media", "medium": "/media/" + ids["Bakery tour.mp4"], "playlists": "/playlists", "playlist": window, "preview": window + "/preview",
		"schedule": "/schedule", "schedule-group": "/schedule?for=group:1", "rule": "/schedule/rules/1", "rule-new": "/schedule/rules/new", "interrupt": "/interrupt", "settings": "/settings", "proxy": "/settings/proxy",
		"sure": "/media/" + ids["Spring.jpg"] + "/delete", "copy": window + "/copy",
	}
}

// publish publishes a playlist as its page offers it.
func publish(t *testing.T, b *browser, list string) {
	t.Helper()
	if a := b.post(list+"/publish", "rev", draftRev(b.get(list).body)); a.status != 303 {
		t.Fatalf("publish %s: %d\n%s", list, a.status, a.body)
	}
}

// draftRev is what the button Publish carries.
func draftRev(body string) string {
	_, after, _ := strings.Cut(body, `data-op="publish"><input type="hidden" name="rev" value="`)
	rev, _, _ := strings.Cut(after, `"`)
	return rev
}
