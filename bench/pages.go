package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"porthole/integration/stack"
)

// signagePages are those that people open every day.
var signagePages = []string{
	"/", "/media", "/playlists", "/playlists/1", "/schedule", "/interrupt", "/screens", "/screens/1001", "/groups", "/screens/pair",
	"/settings/signage", "/settings/people", "/settings/transfer",
}

// timing is what a page says of itself: bytes with heads, times in ms since it was opened.
type timing struct {
	Bytes, Requests            int
	Interactive, Load, Blocked float64
	Status                     int
}

// timingScript waits until the page has rested for half a second. Long tasks are those above 50 ms (Long Tasks API).
const timingScript = `new Promise(done => setTimeout(() => {
	const nav = performance.getEntriesByType('navigation')[0];
	const all = [nav, ...performance.getEntriesByType('resource')];
	let blocked = 0;
	new PerformanceObserver(list => list.getEntries().forEach(e => blocked += e.duration)).observe({type: 'longtask', buffered: true});
	setTimeout(() => done({bytes: all.reduce((n, e) => n + e.transferSize, 0), requests: all.length, interactive: nav.domInteractive,
		load: nav.loadEventEnd, blocked, status: nav.responseStatus}), 100);
}, 500))`

// openPages opens each page as who comes for the first time: nothing is in the browser's cache.
func openPages(ctx context.Context, t *table, run *stack.Stack, tries int) error {
	b, err := startChromium(ctx)
	if err != nil {
		return err
	}
	defer b.cancel()
	if err := b.logIn(run.URL(""), "admin", signagePassword); err != nil {
		return err
	}
	err = chromedp.Do(b.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		return err
	}))
	if err != nil {
		return fmt.Errorf("switch off the cache: %w", err)
	}
	for _, path := range signagePages {
		var interactive, load, blocked []time.Duration
		var last timing
		for range tries {
			if err := b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(run.URL(path))); err != nil {
				return fmt.Errorf("open %s: %w", path, err)
			}
			if last, err = evaluate[timing](b, timingScript); err != nil {
				return fmt.Errorf("time %s: %w", path, err)
			}
			if last.Status != 200 {
				return fmt.Errorf("%s answers %d", path, last.Status)
			}
			interactive, load, blocked = append(interactive, millis(last.Interactive)), append(load, millis(last.Load)), append(blocked, millis(last.Blocked))
		}
		name := strings.ReplaceAll(path, "1001", "ID")
		t.set("page", name+": weight, requests", fmt.Sprintf("%.1f kB, %d", float64(last.Bytes)/1e3, last.Requests))
		t.set("page", name+": interactive / loaded / long tasks, p50 of "+fmt.Sprint(tries),
			fmt.Sprintf("%s / %s / %s", ms(percentile(interactive, 50)), ms(percentile(load, 50)), ms(percentile(blocked, 50))))
	}
	return nil
}

func millis(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
