package vm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"porthole/integration/vm"
)

// watchInBrowser: a Chromium in the same network as the guest logs in to its console, opens the viewer page and sees the
// camera: its clock advances, and the pictures are the demo clip's.
func watchInBrowser(t *testing.T, m *vm.Machine) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("this test needs Chromium: install the Debian package chromium")
	}
	b := startChromium(t)
	defer b.close()
	at := "https://" + m.Addr(443)
	b.do(t, chromedp.Navigate(at+"/login"),
		chromedp.SendKeys(chromedp.CSS(`input[name=user]`), "admin"),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)),
		chromedp.Navigate(at+"/livestream/viewer?camera=yard"))
	clock := -1.0
	eventually(t, "the browser plays the camera", func(context.Context) error {
		now := eval[float64](t, b, `document.querySelector('video')?.currentTime ?? -1`)
		if before := clock; now <= before || before <= 0 {
			clock = now
			return fmt.Errorf("the video's clock is at %v after %v; the page's console: %q", now, before, b.problems())
		}
		return b.showsDemo(t)
	})
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}

// chrome is a headless Chromium with one page.
type chrome struct {
	ctx   context.Context
	close func()

	mu     sync.Mutex
	faults []string // guarded by mu: what the page's console called an error
}

func startChromium(t *testing.T) *chrome {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("autoplay-policy", "user-gesture-required"),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &chrome{ctx: ctx, close: sync.OnceFunc(func() {
		cancel()
		cancelAlloc()
	})}
	t.Cleanup(b.close)
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdplog.Enable, cdp.Empty{})
		return err
	}))
	return b
}

// note keeps what the page's console calls an error.
func (b *chrome) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, ev.ExceptionDetails.Text+" "+ev.ExceptionDetails.URL)
	case *cdplog.EventEntryAdded:
		if ev.Entry.Level == cdplog.EntryLevelError {
			b.faults = append(b.faults, ev.Entry.Text+" "+ev.Entry.URL)
		}
	}
}

func (b *chrome) problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.faults...)
}

func (b *chrome) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("browser: %v; the page's console: %q", err, b.problems())
	}
}

func eval[T any](t *testing.T, b *chrome, js string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("browser: %s: %v; the page's console: %q", js, err, b.problems())
	}
	return v
}

// picture is what the page's video shows, as a data URL; empty before there is anything.
const picture = `(v => {
	if (!v || !v.videoWidth) return '';
	const c = document.createElement('canvas');
	c.width = v.videoWidth;
	c.height = v.videoHeight;
	c.getContext('2d').drawImage(v, 0, 0);
	return c.toDataURL('image/png');
})(document.querySelector('video'))`

func (b *chrome) showsDemo(t *testing.T) error {
	t.Helper()
	data, ok := strings.CutPrefix(eval[string](t, b, picture), "data:image/png;base64,")
	if !ok {
		return errors.New("the video has no picture yet")
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return err
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	show(t, "browser", img)
	return isDemo(img)
}
