package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestLiveSettingsInBrowser sets limits with the keyboard on a narrow screen, sees who watches, and ends it: the page of who
// watched says so and waits to be asked.
func TestLiveSettingsInBrowser(t *testing.T) {
	s := start(t, "")
	admin := newBrowser(t, s)
	narrow := func(where string) {
		t.Helper()
		if wide := eval[int](t, admin, `document.documentElement.scrollWidth`); wide > 320 {
			t.Errorf("%s is %d px wide on a screen of 320", where, wide)
		}
	}
	admin.do(t, chromedp.EmulateViewport(320, 640), chromedp.Navigate(s.URL("/settings/live")), chromedp.WaitVisible(chromedp.CSS(`#per_camera`)))
	narrow("the settings page")
	if without := eval[int](t, admin, `[...document.querySelectorAll('main input, main textarea')].filter(e => !e.labels.length).length`); without > 0 {
		t.Errorf("%d fields have no label", without)
	}
	admin.do(t, chromedp.SendKeys(chromedp.CSS(`#per_camera`), "2"), chromedp.SendKeys(chromedp.CSS(`#max_minutes`), "soon\r"),
		chromedp.WaitVisible(chromedp.CSS(`#max_minutes-error`)))
	narrow("the settings page with an error")
	admin.do(t, chromedp.SetValue(chromedp.CSS(`#max_minutes`), "60"), chromedp.SendKeys(chromedp.CSS(`#total`), "5\r"), chromedp.WaitVisible(chromedp.CSS(`.notice.good`)))
	says := func(b *browser) string { return eval[string](t, b, `document.body.innerText`) }
	eventually(t, "the limits hold", func() error {
		admin.do(t, chromedp.Navigate(s.URL("/settings/live")))
		if text := says(admin); !strings.Contains(text, "there are 5 places, and 2 at a camera") {
			return errors.New(text)
		}
		return nil
	})

	viewer := newBrowser(t, s)
	viewer.do(t, chromedp.Navigate(s.URL("/livestream/viewer?camera=demo")))
	viewer.plays(t, "live picture")
	eventually(t, "the sessions page knows the viewer", func() error {
		admin.do(t, chromedp.Navigate(s.URL("/sessions")))
		row := eval[string](t, admin, `document.querySelector('[data-list=viewers] tr')?.innerText ?? ''`)
		for _, want := range []string{"admin", "UDP", " ms", " kbit/s", "Chrom"} {
			if !strings.Contains(row, want) {
				return fmt.Errorf("%q lacks %q", row, want)
			}
		}
		return nil
	})
	narrow("the sessions page")
	admin.do(t, chromedp.Focus(chromedp.CSS(`form[action^="/viewers/"] button`)), chromedp.SendKeys(chromedp.CSS(`form[action^="/viewers/"] button`), "\r"),
		chromedp.WaitVisible(chromedp.CSS(`.notice.good`)))
	eventually(t, "the viewer's page says so", func() error {
		if text := says(viewer); !strings.Contains(strings.ToLower(text), "administrator") {
			return errors.New(text)
		}
		return nil
	})
	if p := viewer.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}
