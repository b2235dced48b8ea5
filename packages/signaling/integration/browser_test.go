package integration_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"porthole/integration/chromiumtest"
	"porthole/packages/signaling/sitetest"
)

const deadline = 90 * time.Second

// browser is a headless Chromium with one page.
type browser struct {
	*chromiumtest.Browser
	t *testing.T
}

// open starts a Chromium that is logged in at srv.
func open(t *testing.T, srv *httptest.Server, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	b := &browser{t: t, Browser: chromiumtest.Start(t, chromiumtest.Options{
		StepsWithin: 2 * deadline, EvalWithin: deadline,
		Console: []runtime.ConsoleAPICalledType{runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning},
		Flags:   append([]chromedp.ExecAllocatorOption{chromedp.Flag("autoplay-policy", "user-gesture-required")}, more...),
	})}
	b.do(chromedp.Navigate(srv.URL+"/enter?token="+sitetest.AdminToken), chromedp.WaitVisible(chromedp.CSS("#entered")))
	return b
}

// become changes who is logged in, as in another tab.
func (b *browser) become(token string) {
	b.t.Helper()
	eval[bool](b, `fetch('/enter?token=`+token+`').then(() => true)`)
}

// console returns what went wrong on the page.
func (b *browser) console() []string { return b.Faults() }

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.Do(b.t, steps...)
}

func eval[T any](b *browser, js string) T {
	b.t.Helper()
	return chromiumtest.Eval[T](b.t, b.Browser, js)
}

// fact reads a line of the Debug section.
func (b *browser) fact(name string) string {
	return eval[string](b, `[...document.querySelectorAll('#facts div')].find(d => d.firstChild.textContent === `+strconv.Quote(name)+`)?.lastChild.textContent ?? ''`)
}

func (b *browser) text(selector string) string {
	return eval[string](b, `document.querySelector(`+strconv.Quote(selector)+`).textContent`)
}

// until polls what the viewer page shows.
func (b *browser) until(what string, ok func() bool) {
	b.t.Helper()
	b.wait(what, ok, func() string {
		return fmt.Sprintf("the page says %q\nits log:\n%s\nits facts:\n%s", b.text("#message"),
			eval[string](b, `[...document.querySelectorAll('#log li')].map(l => l.textContent).join('\n')`),
			eval[string](b, `[...document.querySelectorAll('#facts div')].map(d => d.textContent).join('\n')`))
	})
}

// wait polls until ok, or fails with what the page says.
func (b *browser) wait(what string, ok func() bool, says func() string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); {
		if time.Now().After(end) {
			b.t.Fatalf("never happened: %s\n%s\nconsole: %q", what, says(), b.console())
		}
		<-tick.C
	}
}

// press presses and releases a key by its name (UI Events KeyboardEvent key values).
func (b *browser) press(key string) {
	b.t.Helper()
	if k, ok := map[string]string{"Escape": kb.Escape, "Enter": kb.Enter, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
		"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown}[key]; ok {
		key = k
	}
	b.do(chromedp.KeyEvent(key))
}

// plays waits until pictures are decoded, the clock advances, and the page calls it live.
func (b *browser) plays(what string) {
	b.t.Helper()
	frames := func() int { n, _ := strconv.Atoi(b.fact("Frames decoded")); return n }
	clock := func() float64 { return eval[float64](b, `document.querySelector('video').currentTime`) }
	b.until(what+": live", func() bool { return b.text("#badge") == "live" })
	f, c := frames(), clock()
	b.until(what+": pictures are decoded", func() bool { n := frames(); return n > f+10 || n < f && n > 10 })
	b.until(what+": the clock advances", func() bool { return clock() != c })
}

// shot writes a screenshot to the folder in $SCREENSHOTS, for people.
func (b *browser) shot(name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.Context(), chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Errorf("screenshot: %v", err)
	}
}

// scheme emulates a preference for light or dark.
func scheme(value string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		return err
	})
}
