package main_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestOwnInBrowser: the page keeps itself up to date without disturbing who types, shows what belongs to another server only
// when that is chosen, works by keys, and lets a certificate be approved.
func TestOwnInBrowser(t *testing.T) {
	d := newDevice(t)
	p, h := busyPlayer(), hotDevice(t)
	p.shot = picture(t, 640, 360, 1)
	d.peer("player", p)
	d.peer("system", h)
	d.start()
	d.claimed()
	b := d.chromium()
	b.open("/screen")
	b.see("#server-title")
	b.until("its own server is chosen, and nothing of another is there", `document.getElementById('other').hidden && document.getElementById('follow-own').checked`)
	b.do(chromedp.Focus(chromedp.CSS("#follow-own")), chromedp.KeyEvent(kb.ArrowDown))
	b.until("another one is chosen", `!document.getElementById('other').hidden && document.getElementById('follow-other').checked`)
	b.do(chromedp.SendKeys(chromedp.CSS("#server"), "https://signage.exam"))
	p.change("playback", map[string]any{"playing": true, "item": map[string]any{"kind": "image", "name": "Fresh bread.jpg"}})
	b.until("the page has what came since", `document.querySelector('[data-live=now]').textContent.includes('Fresh bread.jpg')`)
	b.do(chromedp.SendKeys(chromedp.CSS("#server"), "ple.com\r"))
	b.until("it is saved", `document.querySelector('main')?.textContent.includes('Saved. The screen follows https://signage.example.com')`)
	b.until("the other server stays chosen", `document.getElementById('other')?.hidden === false`)
	b.click(`form[action="/screen/trust"] button`)
	b.until("it is approved", `document.querySelector('main')?.textContent.includes('Approved. The screen takes the server')`)
	b.click(`[aria-labelledby=trust-title] summary`)
	b.see("[data-live=trust-log]")
	b.until("the picture is there", `document.querySelector('img[data-shot]').naturalWidth === 640`)
	if faults := b.complaints(); len(faults) > 0 {
		t.Errorf("the page complains: %q", faults)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.approved) != 1 || p.approved[0] != newPrint {
		t.Errorf("approved: %q", p.approved)
	}
}
