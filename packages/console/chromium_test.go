package main_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"porthole/integration/chromiumtest"
	"porthole/packages/internal/unixsock"
)

// chromium is a headless Chromium with one page, logged in at a device through what stands for proxy.
type chromium struct {
	*chromiumtest.Browser
	t   *testing.T
	url string
}

// door stands where proxy does: it ends TLS and forwards to console's socket. What belongs to other processes is not there.
func (d *device) door() *httptest.Server {
	d.t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return unixsock.Dial(ctx, d.options.Env.Socket("console"))
	}}
	forward := &httputil.ReverseProxy{Transport: tr, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", "console"
		r.Out.Header.Set("X-Forwarded-For", "192.168.1.7")
		r.Out.Header.Set("X-Forwarded-Proto", "https")
		r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
	}}
	srv := httptest.NewTLSServer(forward)
	d.t.Cleanup(func() {
		srv.Close()
		tr.CloseIdleConnections()
	})
	return srv
}

// chromium starts one and logs in as admin.
func (d *device) chromium() *chromium {
	d.t.Helper()
	b := &chromium{t: d.t, url: d.door().URL, Browser: chromiumtest.Start(d.t, chromiumtest.Options{
		StepsWithin: 90 * time.Second, EvalWithin: 90 * time.Second,
		Console: []runtime.ConsoleAPICalledType{runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning},
	})}
	b.do(chromedp.Navigate(b.url+"/login?next=/settings"),
		chromedp.SendKeys(chromedp.CSS(`input[name=user]`), "admin"),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	return b
}

// complaints are what went wrong on the page since the last call.
func (b *chromium) complaints() []string { return b.TakeFaults() }

func (b *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.Do(b.t, steps...)
}

func (b *chromium) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// click brings something into view first and lets the browser draw that: on a busy machine a click that comes with the
// scrolling goes to what was there before.
func (b *chromium) click(css string) {
	b.t.Helper()
	b.see(css)
	inPage[bool](b, `(async () => {
		document.querySelector(`+strconv.Quote(css)+`).scrollIntoView({block: 'center'});
		for (let i = 0; i < 2; i++) await new Promise(done => requestAnimationFrame(done));
		return true;
	})()`)
	b.do(chromedp.Click(chromedp.CSS(css)))
}

// see waits until something is visible.
func (b *chromium) see(css string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(css)))
}

func inPage[T any](b *chromium, js string) T {
	b.t.Helper()
	return chromiumtest.Eval[T](b.t, b.Browser, js)
}

// until waits until an expression is true.
func (b *chromium) until(what, js string) {
	b.t.Helper()
	eventually(b.t, what, func() bool { return inPage[bool](b, "!!("+js+")") })
}

// prefer says which colours and how much motion the person likes.
func (b *chromium) prefer(scheme, motion string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}},
		})
		return err
	}))
}
