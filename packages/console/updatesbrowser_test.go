package main_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"porthole/packages/internal/update"
)

// chosen puts the update file into the page's form.
func (b *chromium) chosen(file string) {
	b.t.Helper()
	b.see(`form[data-update] input[type=file]`)
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
}

// comes waits until an expression is true on a page that loads itself anew meanwhile.
func (b *chromium) comes(what, js string) {
	b.t.Helper()
	eventually(b.t, what, func() bool {
		ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
		defer cancel()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+js+")"))
		return err == nil && ok
	})
}

// TestUpdateInBrowser chooses files that are none and one that is, sees what will happen, loads the page anew in the middle of
// the upload, goes on with the same file, and follows the device through its restart.
func TestUpdateInBrowser(t *testing.T) {
	u := newUpdating(t)
	gate := make(chan struct{})
	var once sync.Once
	open := func() { once.Do(func() { close(gate) }) }
	t.Cleanup(open)
	f := u.key.make(t, release{Version: "v1.5.0", Kernel: "6.12", Programs: "1.5.0", RootSize: 24 << 20, Compressed: true})
	name := f.file(t)
	u.card.Slow = func() { // a slow card, until the gate is open
		wait := time.NewTimer(300 * time.Millisecond)
		defer wait.Stop()
		select {
		case <-gate:
		case <-wait.C:
		}
	}
	b := u.chromium()
	b.open("/settings/updates")
	garbage := filepath.Join(t.TempDir(), "holiday.update")
	if err := os.WriteFile(garbage, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	b.chosen(garbage)
	b.until("it says what is wrong", `document.querySelector('[data-wrong]').textContent.includes('not an update for Porthole')`)
	b.chosen(u.next("v1.2.0").file(t))
	b.until("it says what will happen", `document.querySelector('[data-confirm]').textContent.includes('v1.4.0 → v1.2.0')`)
	b.click(`form[data-update] button`)
	b.until("an older version is asked about", `document.querySelector('[data-wrong]').textContent.includes('older than v1.4.0') && document.activeElement.id === 'file-downgrade'`)
	if !inPage[bool](b, `document.getElementById('file').files.length === 1`) {
		t.Error("the file has to be chosen once more")
	}
	b.chosen(name)
	b.until("it says what will happen", `document.querySelector('[data-confirm]').textContent.includes('v1.4.0 → v1.5.0')`)
	b.click(`#file-install`)
	b.click(`form[data-update] button`)
	b.until("it is being sent, and what the device has is not", `document.querySelector('[data-say]').textContent.includes('of it already')`)
	b.until("the steps are there", `document.querySelector('[data-live=steps]').textContent.includes('Programs')`)
	// In the middle of it, the page is loaded anew.
	b.open("/settings/updates")
	b.until("it says that nobody sends it", `document.querySelector('[data-live=said]').textContent.includes('has not arrived whole')`)
	open()
	b.chosen(name)
	b.click(`#file-install`)
	b.click(`form[data-update] button`)
	b.comes("the new version is tried or kept", `/is being watched|is installed/.test(document.querySelector('[data-live=said]')?.textContent)`)
	b.comes("it is kept, and the page is the new version's", `document.querySelector('[data-live=said]')?.textContent?.includes('v1.5.0 is installed') && document.querySelector('[data-page]')?.dataset.page === 'v1.5.0'`)
	b.until("the history says so", `document.querySelector('[data-live=history]')?.textContent?.includes('v1.4.0 → v1.5.0')`)
	b.complaints() // connections that broke while it restarted

	// From an address, and it goes wrong.
	u.card.spoil("v1.6.0")
	bad := u.next("v1.6.0")
	b.do(chromedp.SendKeys(chromedp.CSS("#url"), serveUpdate(t, &shelf{content: bad.Bundle, ranges: true})+"\r"))
	b.until("it is ready", `document.querySelector('form[action="/settings/updates/install"]') !== null`)
	u.card.setDeadline(3)
	b.click(`form[action="/settings/updates/install"] button`)
	b.comes("what is wrong is shown, or over", `/The screen has shown no picture/.test(document.querySelector('main')?.textContent)`)
	b.comes("it was rolled back", `document.querySelector('[data-live=said]')?.textContent?.includes('v1.6.0 was tried, and v1.5.0 runs again')`)
	b.comes("it is the page of what runs", `document.querySelector('[data-page]')?.dataset.page === 'v1.5.0' && document.readyState === 'complete'`)
	b.complaints()
	b.open("/settings/updates") // whatever the page has loaded by itself meanwhile
	b.click(`[data-live=history] summary`)
	b.until("the details open", `document.querySelector('[data-live=history] details')?.open`)
	if faults := b.complaints(); len(faults) > 0 {
		t.Errorf("the page complains: %q", faults)
	}
	if s := u.card.status(); s.Version != "v1.5.0" || s.Phase != update.RolledBack {
		t.Errorf("%+v", s)
	}
	if a, s := u.api(http.MethodGet, "", nil); a.status != http.StatusOK || len(s.History) != 2 || !strings.Contains(s.History[0].Reason, "screen") {
		t.Errorf("%d %+v", a.status, s.History)
	}
}
