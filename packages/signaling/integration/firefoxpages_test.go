package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"porthole/packages/signaling/sitetest"
)

// TestPagesInFirefox: the viewer page and the wall work in a browser that knows neither H.264 in WebRTC nor some of what
// the pages use where they can.
func TestPagesInFirefox(t *testing.T) {
	site := sitetest.New(t, nil)
	f := openFirefox(t, site)
	until := func(what, js string) {
		t.Helper()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(deadline); f.eval(fmt.Sprintf(`(async () => String(%s))()`, js)) != "true"; <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("never happened: %s; the page says %q", what, f.eval(`(async () => document.body.innerText)()`))
			}
		}
	}
	at := func(path string) {
		t.Helper()
		f.eval(fmt.Sprintf(`(async () => { location.href = %q; return ''; })()`, path))
		until("the page is open", fmt.Sprintf(`location.pathname + location.search === %q && document.readyState === 'complete'`, path))
	}
	at(page)
	until("the page is live", `document.querySelector('#badge').textContent === 'live'`)
	until("the picture moves", `document.querySelector('video').currentTime > 1 && document.querySelector('#facts').textContent.match(/Frames decoded(\d+)/)[1] > 25`)
	until("the page says that it is converted", `document.querySelector('#note').textContent.includes('the device converts')`)
	until("there is a sound button", `!document.querySelector('#sound').hidden`)
	figures := f.eval(`(async () => { document.querySelector('#info').click(); await new Promise(r => setTimeout(r, 2500)); return document.querySelector('#overlay').innerText; })()`)
	if !strings.Contains(figures, "≈") || !strings.Contains(figures, "VP8") || !strings.Contains(figures, "kbit/s") || !strings.Contains(figures, "direct, UDP") {
		t.Errorf("the figures are %q", figures)
	}
	at("/live")
	// The device converts two cameras at once, whichever ask first; whoever is third has still pictures and says why.
	const three = `['demo', 'yard', 'hall'].map((c) => document.querySelector('#camera-' + c))`
	until("two are live on the wall, and move", three+`.filter((c) => c.dataset.state === 'live' && c.querySelector('video').currentTime > 1).length === 2`)
	until("the third has still pictures", three+`.filter((c) => c.dataset.state === 'busy' && c.querySelector('img').naturalWidth > 0).length === 1`)
}
