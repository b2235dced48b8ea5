package vm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"porthole/integration/chromiumtest"
	"porthole/integration/vm"
)

// watchInBrowser: a Chromium in the same network as the guest logs in to its console, opens the viewer page and sees the
// camera: its clock advances, and the pictures are the demo clip's.
func watchInBrowser(t *testing.T, m *vm.Machine) {
	t.Helper()
	b := startChromium(t)
	defer b.Close()
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
type chrome struct{ *chromiumtest.Browser }

func startChromium(t *testing.T) *chrome {
	t.Helper()
	return &chrome{chromiumtest.Start(t, chromiumtest.Options{
		StepsWithin: patience, EvalWithin: 2 * time.Minute,
		Flags: []chromedp.ExecAllocatorOption{chromedp.Flag("autoplay-policy", "user-gesture-required")},
	})}
}

func (b *chrome) problems() []string { return b.Faults() }

func (b *chrome) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	b.Do(t, steps...)
}

func eval[T any](t *testing.T, b *chrome, js string) T {
	t.Helper()
	return chromiumtest.Eval[T](t, b.Browser, js)
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
