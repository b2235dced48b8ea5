package main_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"porthole/packages/internal/unixsock"
)

// chromium is a headless Chromium with one page, logged in at a device through what stands for proxy.
type chromium struct {
	t   *testing.T
	ctx context.Context
	url string

	mu     sync.Mutex
	faults []string // guarded by mu: what the page's console called an error
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
	if _, err := exec.LookPath("chromium"); err != nil {
		d.t.Fatal("this test needs Chromium: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.UserDataDir(d.t.TempDir()), chromedp.WindowSize(1280, 900))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	d.t.Cleanup(func() {
		cancel()
		cancelAlloc()
	})
	b := &chromium{t: d.t, ctx: ctx, url: d.door().URL}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		d.t.Fatalf("start Chromium: %v", err)
	}
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdplog.Enable, cdp.Empty{})
		return err
	}), chromedp.Navigate(b.url+"/login?next=/settings"),
		chromedp.SendKeys(chromedp.CSS(`input[name=user]`), "admin"),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	return b
}

func (b *chromium) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, ev.ExceptionDetails.Text+" "+ev.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			b.faults = append(b.faults, string(ev.Args[0].Value))
		}
	case *cdplog.EventEntryAdded:
		if ev.Entry.Level == cdplog.EntryLevelError {
			b.faults = append(b.faults, ev.Entry.Text+" "+ev.Entry.URL)
		}
	}
}

// complaints are what the page's console called an error since the last call.
func (b *chromium) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.faults
	b.faults = nil
	return list
}

func (b *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 90*time.Second)
	defer cancel()
	for _, step := range steps {
		err := chromedp.Do(ctx, step)
		// A page that comes or refreshes itself may take the node away between its being found and its being used.
		for tries := 0; err != nil && strings.Contains(err.Error(), "Could not find node") && tries < 5; tries++ {
			err = chromedp.Do(ctx, step)
		}
		if err != nil {
			b.t.Fatalf("browser: %v\nconsole: %q", err, b.complaints())
		}
	}
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
	ctx, cancel := context.WithTimeout(b.ctx, 90*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("browser: %s: %v\nconsole: %q", js, err, b.complaints())
	}
	return v
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
