package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// watchScript notes, in every page, when the first picture was on the screen, and while reading which pictures were, by
// their numbers. Times are in ms: first since the page was opened, the others since 1970.
var watchScript = strings.NewReplacer("SIZE", strconv.Itoa(blockSize), "COUNT", strconv.Itoa(blockCount), "BITS", strconv.Itoa(clockBits)).Replace(`(() => {
	const hooked = new WeakSet();
	window.bench = {first: 0, reading: false, shown: []};
	const canvas = document.createElement('canvas');
	canvas.width = COUNT; canvas.height = 1;
	const brush = canvas.getContext('2d', {willReadFrequently: true});
	const number = video => {
		brush.drawImage(video, 0, SIZE / 4, COUNT * SIZE, SIZE / 2, 0, 0, COUNT, 1);
		const pixels = brush.getImageData(0, 0, COUNT, 1).data;
		const white = i => pixels[4 * i] > 128;
		if (!white(0) || white(1)) return -1;
		let n = 0;
		for (let b = 0; b < BITS; b++) {
			if (white(2 + b) === white(2 + BITS + b)) return -1;
			if (white(2 + b)) n |= 1 << b;
		}
		return n;
	};
	const hook = video => {
		if (hooked.has(video)) return;
		hooked.add(video);
		const frame = (now, meta) => {
			if (!window.bench.first) window.bench.first = meta.presentationTime;
			if (window.bench.reading) window.bench.shown.push([number(video), performance.timeOrigin + meta.presentationTime]);
			video.requestVideoFrameCallback(frame);
		};
		video.requestVideoFrameCallback(frame);
	};
	new MutationObserver(() => document.querySelectorAll('video').forEach(hook)).observe(document, {childList: true, subtree: true});
})()`)

// chromium is a headless browser with one page.
type chromium struct {
	ctx    context.Context
	cancel func()
}

func startChromium(ctx context.Context) (*chromium, error) {
	dir, err := os.MkdirTemp("", "porthole-chromium")
	if err != nil {
		return nil, fmt.Errorf("make a folder for Chromium: %w", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.UserDataDir(dir), chromedp.WindowSize(1280, 900))
	alloc, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	own, cancel := chromedp.NewContext(alloc)
	b := &chromium{ctx: own, cancel: func() {
		cancel()
		cancelAlloc()
		os.RemoveAll(dir)
	}}
	// The browser lives as long as the context it is first used with.
	err = chromedp.Do(own, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchScript})
		return err
	}))
	if err != nil {
		b.cancel()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return b, nil
}

func (b *chromium) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

func evaluate[T any](b *chromium, js string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// logIn enters the console.
func (b *chromium) logIn(base, user, password string) error {
	return b.do(chromedp.Navigate(base+"/login"), chromedp.SendKeys(chromedp.CSS(`input[name=user]`), user),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password+"\r"), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
}

// open opens a page and returns when its first picture was shown, since it was opened.
func (b *chromium) open(ctx context.Context, address string) (time.Duration, error) {
	if _, err := url.Parse(address); err != nil {
		return 0, err
	}
	if err := b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(address)); err != nil {
		return 0, fmt.Errorf("open %s: %w", address, err)
	}
	var first float64
	err := waitFor(ctx, func() (err error) {
		if first, err = evaluate[float64](b, "window.bench?.first ?? 0"); err == nil && first == 0 {
			err = errors.New("no picture came")
		}
		return err
	})
	return time.Duration(first * float64(time.Millisecond)), err
}

// pageOpen opens the servers' own pages again and again, at a random phase of the GOP, while the camera is read anyway.
func pageOpen(ctx context.Context, t *table, servers []*server, b *chromium, tries int) error {
	took, missed := map[*server][]time.Duration{}, map[*server]int{}
	for range tries {
		for _, srv := range servers {
			if err := b.do(chromedp.Navigate("about:blank")); err != nil {
				return fmt.Errorf("leave the page: %w", err)
			}
			pause := time.NewTimer(300*time.Millisecond + rand.N(2*time.Second))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			}
			d, err := b.open(ctx, srv.page)
			if err == nil {
				took[srv] = append(took[srv], d)
			} else if missed[srv]++; missed[srv] > 3 {
				return fmt.Errorf("open the page of %s: %w", srv.name, err)
			}
		}
	}
	for _, srv := range servers {
		all := took[srv]
		if len(all) == 0 {
			continue
		}
		cell := fmt.Sprintf("%s / %s / %s / %s", ms(slices.Min(all)), ms(percentile(all, 50)), ms(percentile(all, 95)), ms(slices.Max(all)))
		if n := missed[srv]; n > 0 {
			cell += fmt.Sprintf(" (%d without a picture in 30 s)", n)
		}
		t.set(srv.name, fmt.Sprintf("page open → first picture in Chromium, least / p50 / p95 / max of %d", tries), cell)
	}
	return nil
}

// glassRounds is how often the servers take turns, so that what else the machine does meets all of them.
const glassRounds = 3

// glass measures how old the pictures are that the servers' pages show, from their arrival from the camera on, for a time
// each.
func glass(ctx context.Context, t *table, servers []*server, b *chromium, times *clockTimes, d time.Duration) error {
	late, shown, unread := map[*server][]time.Duration{}, map[*server]int{}, map[*server]int{}
	for range glassRounds {
		for _, srv := range servers {
			pictures, err := watch(ctx, srv, b, d/glassRounds)
			if err != nil {
				return fmt.Errorf("watch the page of %s: %w", srv.name, err)
			}
			shown[srv] += len(pictures)
			for _, p := range pictures {
				if d, ok := times.latency(int(p[0]), time.UnixMicro(int64(p[1]*1000))); ok {
					late[srv] = append(late[srv], d)
				} else {
					unread[srv]++
				}
			}
		}
	}
	expected := int(d.Seconds() * clockFPS)
	for _, srv := range servers {
		all := late[srv]
		if len(all) < 20 {
			return fmt.Errorf("only %d pictures of %s could be read, of %d", len(all), srv.name, shown[srv])
		}
		t.set(srv.name, "camera → shown in Chromium, least / p50 / p95", fmt.Sprintf("%s / %s / %s", ms(slices.Min(all)), ms(percentile(all, 50)), ms(percentile(all, 95))))
		t.set(srv.name, fmt.Sprintf("… pictures shown of about %d, unreadable", expected), fmt.Sprintf("%d, %d", shown[srv], unread[srv]))
	}
	return nil
}

// watch reads which pictures the server's page shows, for a while, by number and time in ms since 1970.
func watch(ctx context.Context, srv *server, b *chromium, d time.Duration) (pictures [][2]float64, err error) {
	if _, err := b.open(ctx, srv.page); err != nil {
		return nil, err
	}
	// The start is another question.
	for _, phase := range []struct {
		js string
		d  time.Duration
	}{{"window.bench.reading = false", 5 * time.Second}, {"window.bench.reading = true", d}} {
		if _, err := evaluate[bool](b, phase.js); err != nil {
			return nil, err
		}
		hold := time.NewTimer(phase.d)
		select {
		case <-hold.C:
		case <-ctx.Done():
			hold.Stop()
			return nil, ctx.Err()
		}
	}
	return evaluate[[][2]float64](b, "(window.bench.reading = false, window.bench.shown)")
}
