package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// order is an expression for the names in the editor's list, from top to bottom.
const order = `[...document.querySelectorAll('[data-items] > li')].map(n => n.dataset.name).join()`

// TestUploadInBrowser chooses and drops files, is refused with one of them, and goes on after a reload.
func TestUploadInBrowser(t *testing.T) {
	d := newDevice(t).withDecoder()
	d.start()
	d.claimed()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"Sale.jpg": picture(t, 1920, 1080, 1), "Tour.mp4": clip(t, 2), "Fake.jpg": []byte("<html>no picture")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := d.chromium()
	c.open("/media")
	c.see("[data-upload] .drop")
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{filepath.Join(dir, "Sale.jpg"), filepath.Join(dir, "Tour.mp4"), filepath.Join(dir, "Fake.jpg")}))
	c.until("both are ready and one is refused", `document.querySelectorAll('.uploads li[data-state=ready]').length === 2 && document.querySelectorAll('.uploads li[data-state=refused]').length === 1`)
	if text := inPage[string](c, `document.querySelector('.uploads li[data-state=refused]').textContent`); !strings.Contains(text, "Fake.jpg") || len(text) < 40 {
		t.Errorf("the refusal says %q", text)
	}
	c.until("both are in the list", `document.querySelectorAll('.media-grid .medium').length === 2`)
	c.until("their pictures come", `[...document.querySelectorAll('.media-grid img')].every(n => n.naturalWidth > 0)`)
	if text := inPage[string](c, `document.querySelector('.media-grid').textContent`); !strings.Contains(text, "640×360 · 2 s") || strings.Count(text, "Plays on every board") != 2 {
		t.Errorf("the list says %q", text)
	}

	// Dragged onto the page, anywhere: large enough to be on its way when the page is loaded anew.
	inPage[bool](c, `(async () => {
		const canvas = new OffscreenCanvas(300, 200);
		canvas.getContext('2d').fillRect(0, 0, 150, 200);
		const blob = await canvas.convertToBlob({type: 'image/png'});
		window.dragged = new DataTransfer();
		dragged.items.add(new File([blob], 'Dragged.png', {type: 'image/png', lastModified: 1}));
		const over = new DragEvent('dragenter', {dataTransfer: dragged, bubbles: true, cancelable: true});
		document.body.dispatchEvent(over);
		return over.defaultPrevented && document.querySelector('.upload.over') !== null;
	})()`)
	inPage[bool](c, `document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: dragged, bubbles: true, cancelable: true})) || true`)
	c.until("what was dragged is in the list", `document.querySelector('.media-grid').textContent.includes('Dragged.png')`)

	// Marked ones go into a playlist together.
	c.click(`.media-grid li:nth-child(1) input`)
	c.click(`.media-grid li:nth-child(2) input`)
	c.until("the bar counts", `document.querySelector('[data-marked]').textContent.includes('2')`)
	c.click(`button[name=do][value=add]`)
	c.see(`[data-items] .item`)
	if n := inPage[int](c, `document.querySelectorAll('[data-items] .item').length`); n != 2 {
		t.Errorf("%d items in the new playlist", n)
	}
	if f := c.complaints(); len(f) > 0 {
		t.Errorf("the page's console: %q", f)
	}
}

// TestPauseInBrowser pauses an upload, leaves the page, and goes on with the same file where it stopped.
func TestPauseInBrowser(t *testing.T) {
	d := newDevice(t).withDecoder()
	d.start()
	d.claimed()
	// Some chunks of 8 MB: a picture, and much behind it that nobody looks at.
	file := filepath.Join(t.TempDir(), "Large.jpg")
	if err := os.WriteFile(file, append(picture(t, 640, 480, 1), make([]byte, 60<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	c := d.chromium()
	c.open("/media")
	c.see("[data-upload] .drop")
	// The second part is kept back until the test has pressed Pause.
	inPage[bool](c, `(() => {
		const real = window.fetch;
		let parts = 0;
		window.fetch = (url, options) => {
			if (options?.method === 'PATCH' && ++parts > 1) {
				window.holding = true;
				return new Promise((ok, no) => options.signal.addEventListener('abort', () => no(new DOMException('', 'AbortError'))));
			}
			return real(url, options);
		};
		return true;
	})()`)
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{file}))
	c.until("it is on its way", `window.holding && /^1[0-9] % of/.test(document.querySelector('.uploads .detail').textContent)`)
	c.click(`.uploads button`)
	c.until("it is paused", `document.querySelector('.uploads li[data-state=paused] .detail')?.textContent.startsWith('Paused at 1')`)
	c.open("/media")
	c.until("the page remembers", `document.querySelector('.uploads li[data-unfinished="Large.jpg"]') !== null`)
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{file}))
	c.until("it goes on where it stopped and ends", `document.querySelector('.uploads li[data-state=ready], .uploads li[data-state=refused]') !== null`)
	if n := inPage[int](c, `performance.getEntriesByType('resource').filter(e => e.name.includes('/uploads/')).length`); n > 9 {
		t.Errorf("%d requests: it began anew", n)
	}
	if !inPage[bool](c, `document.querySelector('.uploads li[data-unfinished]') === null`) {
		t.Error("what is finished is still called unfinished")
	}
}

// TestEditorInBrowser orders items with the mouse and the keys, changes a duration, publishes, undoes.
func TestEditorInBrowser(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	d.insert(screens...)
	list := b.made(b.post("/playlists", "name", "Window"))
	for _, text := range []string{"A", "B", "C", "D"} {
		b.made(b.post(list+"/items", "kind", "text", "text", text))
	}
	d.insert("UPDATE player_groups SET playlist = 1")
	c := d.chromium()
	for _, motion := range []string{"no-preference", "reduce"} {
		c.prefer("light", motion)
		c.open(list)
		c.see(".item .handle")
		was := inPage[string](c, order)
		want := strings.Join([]string{was[2:3], was[4:5], was[0:1], was[6:7]}, ",")
		c.do(chromedp.DragAndDrop(chromedp.CSS(".item:nth-child(1) .handle"), chromedp.CSS(".item:nth-child(3) .handle")))
		c.until("the first is dragged to the third place", order+` === '`+want+`'`)
		c.until("the device says so too", `document.querySelector('[data-saved]').textContent === 'Saved'`)
		if got := names(b.get(list).body); got != want {
			t.Errorf("the device has %s, not %s", got, want)
		}
		c.until("the place is announced", `document.querySelector('[data-say]').textContent.includes('place 3 of 4')`)
		if left := inPage[int](c, `[...document.querySelectorAll('.item')].filter(n => n.style.transform !== '').length`); left != 0 {
			t.Errorf("%d items stay shifted", left)
		}
	}
	// Escape leaves everything as it was.
	was := inPage[string](c, order)
	inPage[bool](c, `(() => {
		const h = document.querySelector('.item:nth-child(1) .handle'), r = h.getBoundingClientRect();
		h.setPointerCapture = () => {};
		const at = {pointerId: 1, button: 0, bubbles: true, cancelable: true, clientX: r.x + 5};
		h.dispatchEvent(new PointerEvent('pointerdown', {...at, clientY: r.y + 5}));
		h.dispatchEvent(new PointerEvent('pointermove', {...at, clientY: r.y + 300}));
		return document.querySelector('.dragged') !== null;
	})()`)
	c.do(chromedp.KeyEvent(kb.Escape))
	c.until("nothing is dragged", `document.querySelector('.dragged') === null`)
	if now := inPage[string](c, order); now != was {
		t.Errorf("after Escape %s, before %s", now, was)
	}

	// The keys: Alt and an arrow on the handle, again and again, and at the end.
	first := was[0:1]
	inPage[bool](c, `document.querySelector('.item:nth-child(1) .handle').focus() || true`)
	for place := range []int{2, 3, 4} {
		c.do(chromedp.KeyEvent(kb.ArrowDown, chromedp.KeyModifiers(chromedp.ModifierAlt)))
		c.until("it moves and keeps the focus", `document.activeElement.closest('.item')?.dataset.name === '`+first+`' && [...document.querySelectorAll('.item')].indexOf(document.activeElement.closest('.item')) === `+itoa(int64(place+1))+` && document.querySelector('[data-saved]').textContent === 'Saved'`)
	}
	c.do(chromedp.KeyEvent(kb.ArrowDown, chromedp.KeyModifiers(chromedp.ModifierAlt)))
	c.until("it says that this is the last", `document.querySelector('[data-say]').textContent === 'This is the last.'`)
	// A button that goes grey hands the focus on.
	c.click(`.item:nth-child(2) .order button[name=to]`)
	c.until("the focus stays in the row", `document.activeElement.matches('.item:nth-child(1) .handle')`)

	// Two changes at once, and a note that is being typed meanwhile.
	note := `document.querySelector('.item:nth-child(1) input[name=description]')`
	inPage[bool](c, `(item => {
		const set = (name, value) => { const n = item.querySelector('[name=' + name + ']'); n.value = value; n.dispatchEvent(new Event('change', {bubbles: true})); };
		set('seconds', '24'); set('seconds', '25');
		item.querySelector('details').open = true;
		`+note+`.focus(); `+note+`.value = 'half a no';
		return true;
	})(document.querySelector('.item:nth-child(1)'))`)
	c.until("the total follows", `document.querySelector('[data-part=total]').textContent.includes('55 s') && document.querySelector('[data-saved]').textContent === 'Saved'`)
	if typed := inPage[string](c, note+`.value`); typed != "half a no" {
		t.Errorf("what was being typed is now %q", typed)
	}
	c.do(chromedp.KeyEvent("te" + kb.Tab))
	c.until("the note is saved", `document.querySelector('.item:nth-child(1) .what').textContent.includes('half a note') && document.querySelector('[data-saved]').textContent === 'Saved'`)
	c.do(chromedp.SetValue(chromedp.CSS(`.item:nth-child(1) input[name=seconds]`), "0"))
	c.until("what is wrong stands beside it", `document.querySelector('.item:nth-child(1) .error')?.textContent.includes('1 to 86400') && document.querySelector('[data-saved]').textContent === 'Not saved'`)
	inPage[bool](c, `(n => { n.value = '25'; return n.dispatchEvent(new Event('change', {bubbles: true})); })(document.querySelector('.item:nth-child(1) input[name=seconds]'))`)
	c.until("mended", `document.querySelector('.item .error') === null && document.querySelector('[data-saved]').textContent === 'Saved'`)

	gone := inPage[string](c, `document.querySelector('.item:nth-child(2)').dataset.name`)
	c.click(`.item:nth-child(2) .danger`)
	c.until("it is gone and can come back", `document.querySelectorAll('.item').length === 3 && document.activeElement.id === 'undo'`)
	c.click(`#undo`)
	c.until("it is back", `document.querySelector('.item:nth-child(2)').dataset.name === '`+gone+`'`)

	// Another editor's change comes by itself.
	b.made(b.post(list+"/items", "kind", "text", "text", "Theirs"))
	c.until("theirs is there", order+`.endsWith(',Theirs')`)

	c.click(`[data-op=publish] button`)
	c.until("it is published", `document.querySelector('[data-part=state]').textContent.includes('published, version 1') && document.querySelector('[data-part=actions]').textContent.includes('It is on 2 screens')`)
	if f := c.complaints(); len(f) != 1 || !strings.Contains(f[0], "422") {
		t.Errorf("the page's console: %q", f)
	}
}

// names are the names of the items, as order has them.
func names(body string) string {
	var list []string
	for _, i := range items(body) {
		name, _, _ := strings.Cut(i, " ")
		list = append(list, name)
	}
	return strings.Join(list, ",")
}

// TestPreviewInBrowser: each thing is shown for its time, a text as a text; keys go on and back.
func TestPreviewInBrowser(t *testing.T) {
	d := newDevice(t).withDecoder()
	d.start()
	b := d.claimed()
	b.upload("a.jpg", picture(t, 64, 64, 1), "v.mp4", clip(t, 1))
	list := b.made(b.post("/playlists", "name", "Window"))
	ids := b.media()
	b.made(b.post(list+"/items", "kind", "text", "text", "Hello <b>", "seconds", "1"))
	b.made(b.post(list+"/items", "kind", "media", "media", ids["a.jpg"]))
	b.made(b.post(list+"/items", "kind", "media", "media", ids["v.mp4"]))
	c := d.chromium()
	c.open(list + "/preview")
	c.until("the text is shown", `document.querySelector('.stage .words p')?.textContent === 'Hello <b>'`)
	c.until("a second later the picture", `document.querySelector('.stage img.layer')?.naturalWidth === 64 && document.querySelectorAll('.stage .layer').length === 1`)
	c.do(chromedp.KeyEvent(kb.ArrowRight))
	c.until("then the video, which plays", `document.querySelector('.stage video.layer')?.currentTime > 0`)
	c.until("at its end it begins again with the text", `document.querySelector('[data-caption]').textContent.startsWith('1 of 3')`)
	c.do(chromedp.KeyEvent(" "))
	c.until("it pauses", `document.querySelector('[data-do=pause]').getAttribute('aria-pressed') === 'true'`)
	c.do(chromedp.KeyEvent(kb.ArrowLeft))
	c.until("back from the first is the last", `document.querySelector('[data-caption]').textContent.startsWith('3 of 3')`)
	c.click(`[data-do=turn]`)
	c.until("portrait is upright", `(r => r.height > r.width)(document.querySelector('.stage').getBoundingClientRect())`)
	if f := c.complaints(); len(f) > 0 {
		t.Errorf("the page's console: %q", f)
	}
}

// TestPlanInBrowser plans a playlist with the quick choice of days, and interrupts.
func TestPlanInBrowser(t *testing.T) {
	d, _ := planned(t)
	c := d.chromium()
	c.open("/schedule")
	c.click(`a.primary[href^="/schedule/rules/new"]`)
	c.see(`[data-days="56"]`)
	c.do(chromedp.SendKeys(chromedp.CSS("#name"), "Brunch"), chromedp.Click(chromedp.CSS(`[data-days="56"]`)),
		chromedp.SetValue(chromedp.CSS("#from"), "10:00"), chromedp.SetValue(chromedp.CSS("#to"), "13:00"), chromedp.Click(chromedp.CSS("form .primary")))
	c.see(`.rules li`)
	if text := inPage[string](c, `document.querySelector('.rules li').textContent`); !strings.Contains(text, "Saturday and Sunday, 10:00 to 13:00") {
		t.Errorf("planned: %q", text)
	}
	// The calendar draws it where it belongs: three hours, from the tenth on.
	box := inPage[[]float64](c, `(() => { const s = document.querySelectorAll('.slots')[5].getBoundingClientRect(), b = document.querySelectorAll('.slots')[5].querySelector('.block').getBoundingClientRect(); return [(b.top - s.top) / s.height * 24, b.height / s.height * 24, b.width / s.width]; })()`)
	for i, want := range []float64{10, 3, 1} {
		if box[i] < want-.1 || box[i] > want+.1 {
			t.Errorf("drawn at hour %.2f for %.2f hours over %.2f of the width", box[0], box[1], box[2])
			break
		}
	}
	c.click(`a[href="/interrupt"]`)
	c.do(chromedp.WaitVisible(chromedp.CSS("#text")), chromedp.SendKeys(chromedp.CSS("#text"), "Fire drill"), chromedp.Click(chromedp.CSS("form .primary")))
	c.see(".running")
	c.open("/media")
	c.see(".running button")
	c.click(".running button")
	c.until("it is over", `document.querySelector('.running') === null && document.querySelector('.notice.good') !== null`)
	if f := c.complaints(); len(f) > 0 {
		t.Errorf("the page's console: %q", f)
	}
}
