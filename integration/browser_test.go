package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"porthole/integration/chromiumtest"
	"porthole/integration/stack"
)

// browser is a headless Chromium with one page, logged in.
type browser struct{ *chromiumtest.Browser }

// spy keeps every peer connection the page makes within reach of the test.
const spy = `
	window.testPeers = [];
	const Original = window.RTCPeerConnection;
	window.RTCPeerConnection = class extends Original {
		constructor(...args) { super(...args); window.testPeers.push(this); }
	};`

// decoded asks all peer connections how many pictures were decoded.
const decoded = `(async () => {
	let frames = 0;
	for (const p of window.testPeers) for (const s of (await p.getStats()).values())
		if (s.type === 'inbound-rtp' && s.kind === 'video') frames += s.framesDecoded || 0;
	return frames;
})()`

func newBrowser(t *testing.T, s *stack.Stack) *browser {
	t.Helper()
	return newBrowserAt(t, s.URL(""))
}

// newBrowserAt logs in at that address; flags are further ones of Chromium's.
func newBrowserAt(t *testing.T, at string, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	b := &browser{chromiumtest.Start(t, chromiumtest.Options{
		StepsWithin: 90 * time.Second, EvalWithin: 90 * time.Second, Console: []runtime.ConsoleAPICalledType{runtime.ConsoleAPICalledTypeError},
		Flags: append([]chromedp.ExecAllocatorOption{chromedp.Flag("autoplay-policy", "user-gesture-required")}, flags...),
	})}
	t.Cleanup(func() {
		if dir := os.Getenv("SCREENSHOTS"); dir != "" {
			if png, err := chromedp.Run(b.Context(), chromedp.FullScreenshot(100)); err == nil {
				os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+".png"), png, 0o644)
			}
		}
	})
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: spy})
		return err
	}), chromedp.Navigate(at+"/login"),
		chromedp.SendKeys(chromedp.CSS(`input[name=user]`), "admin"),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	return b
}

func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	b.Do(t, steps...)
}

func eval[T any](t *testing.T, b *browser, js string) T {
	t.Helper()
	return chromiumtest.Eval[T](t, b.Browser, js)
}

func (b *browser) problems() []string { return b.Faults() }

// plays waits until pictures are decoded and the video's clock advances.
func (b *browser) plays(t *testing.T, what string) {
	t.Helper()
	from := eval[int](t, b, decoded)
	var clock float64
	eventually(t, what, func() error {
		now := eval[float64](t, b, `document.querySelector('video')?.currentTime ?? -1`)
		if n := eval[int](t, b, decoded); n < from+15 {
			return fmt.Errorf("%d frames decoded, %d before; console: %q", n, from, b.problems())
		}
		if clock == 0 || now <= clock {
			clock = now
			return fmt.Errorf("currentTime is %v", now)
		}
		return nil
	})
}

func TestViewerPage(t *testing.T) {
	s := start(t, "")
	for name, path := range map[string]string{
		"shared port": "/livestream/viewer?camera=demo",
		"port 8765":   "/livestream/viewer?camera=demo&signaling=" + fmt.Sprint(s.WSS),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.do(t, chromedp.Navigate(s.URL(path)))
			b.plays(t, "live picture")
			size := eval[[2]int](t, b, `(v => [v.videoWidth, v.videoHeight])(document.querySelector('video'))`)
			debug := eval[string](t, b, `document.body.textContent`)
			if size != [2]int{1280, 720} {
				t.Errorf("the picture is %v", size)
			}
			want := fmt.Sprintf("Connecting to: wss://localhost:%d/ws", s.HTTPS)
			if strings.Contains(path, "signaling=") {
				want = fmt.Sprintf("Connecting to: wss://localhost:%d", s.WSS)
			}
			if !strings.Contains(debug, want) {
				t.Errorf("the Debug section lacks %q", want)
			}
			if p := b.problems(); len(p) > 0 {
				t.Errorf("the page's console: %q", p)
			}
		})
	}
}

// TestKillEach kills each process while a viewer watches: the others keep running, it comes back, the page goes on.
func TestKillEach(t *testing.T) {
	s := start(t, "")
	b := newBrowser(t, s)
	b.do(t, chromedp.Navigate(s.URL("/livestream/viewer?camera=demo")))
	b.plays(t, "live picture")
	for _, name := range []string{"system", "console", "signaling", "proxy"} {
		t.Run(name, func(t *testing.T) {
			before, err := s.PIDs(t.Context())
			if err != nil || before[name] == 0 {
				t.Fatalf("processes: %v, %v", before, err)
			}
			if err := syscall.Kill(before[name], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, name+" comes back", func() error {
				now, err := s.PIDs(t.Context())
				if err != nil {
					return err
				}
				if now[name] == 0 || now[name] == before[name] {
					return errors.New("not yet")
				}
				for other, pid := range before {
					if other != name && now[other] != pid {
						t.Fatalf("%s died with %s", other, name)
					}
				}
				return nil
			})
			b.plays(t, "the page goes on after "+name)
		})
	}
}

// TestConsoleInBrowser watches a camera on the console's own page.
func TestConsoleInBrowser(t *testing.T) {
	s := start(t, "")
	b := newBrowser(t, s)
	b.do(t, chromedp.WaitVisible(chromedp.CSS(`[data-watch=demo]`)), chromedp.Click(chromedp.CSS(`[data-watch=demo]`)))
	b.plays(t, "live picture on the console")
	b.do(t, chromedp.EmulateViewport(320, 640))
	if !eval[bool](t, b, `document.documentElement.scrollWidth <= 320`) {
		t.Error("the console scrolls sideways at 320 px")
	}
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}

// TestWallInBrowser goes from the console to all cameras, to one of them, and back.
func TestWallInBrowser(t *testing.T) {
	s := start(t, "")
	b := newBrowser(t, s)
	b.do(t, chromedp.WaitVisible(chromedp.CSS(`a[href="/live"]`)), chromedp.Click(chromedp.CSS(`a[href="/live"]`)),
		chromedp.WaitVisible(chromedp.CSS(`#camera-demo[data-state=live]`)))
	b.plays(t, "live picture on the wall")
	b.do(t, chromedp.Click(chromedp.CSS(`#camera-demo a`)), chromedp.WaitVisible(chromedp.CSS(`#badge[data-state=live]`)))
	b.plays(t, "live picture alone")
	b.do(t, chromedp.Click(chromedp.CSS(`#back`)), chromedp.WaitVisible(chromedp.CSS(`#camera-demo[data-state=live]`)))
	b.plays(t, "live picture on the wall again")
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}
