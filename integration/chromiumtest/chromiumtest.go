// Package chromiumtest drives a headless Chromium with one page, for tests that look at pages as people do.
package chromiumtest

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Options say how a Browser is.
type Options struct {
	// StepsWithin and EvalWithin bound a call of Do and of Eval.
	StepsWithin, EvalWithin time.Duration
	// Console are the calls of the page's console that count as faults. Exceptions and what Chromium itself logs as an error
	// always do.
	Console []runtime.ConsoleAPICalledType
	// Flags are further ones of Chromium's.
	Flags []chromedp.ExecAllocatorOption
}

// Browser is a headless Chromium with one page.
type Browser struct {
	options Options
	ctx     context.Context
	close   func()

	mu     sync.Mutex
	faults []string // guarded by mu
}

// Start starts one, which ends with the test.
func Start(t testing.TB, o Options) *Browser {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("this test needs Chromium: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), append(opts, o.Flags...)...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &Browser{options: o, ctx: ctx, close: sync.OnceFunc(func() {
		cancel()
		cancelAlloc()
	})}
	t.Cleanup(b.close)
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	b.Do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdplog.Enable, cdp.Empty{})
		return err
	}))
	return b
}

// Close ends the browser before the test does.
func (b *Browser) Close() { b.close() }

// Context is for chromedp's own calls.
func (b *Browser) Context() context.Context { return b.ctx }

func (b *Browser) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, ev.ExceptionDetails.Text+" "+ev.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		if slices.Contains(b.options.Console, ev.Type) {
			b.faults = append(b.faults, string(ev.Args[0].Value))
		}
	case *cdplog.EventEntryAdded:
		if ev.Entry.Level == cdplog.EntryLevelError {
			b.faults = append(b.faults, ev.Entry.Text+" "+ev.Entry.URL)
		}
	}
}

// Faults are what went wrong on the pages so far.
func (b *Browser) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// TakeFaults are those since the last call.
func (b *Browser) TakeFaults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.faults
	b.faults = nil
	return list
}

// Do takes steps, one after the other.
func (b *Browser) Do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, b.options.StepsWithin)
	defer cancel()
	for _, step := range steps {
		err := chromedp.Do(ctx, step)
		// A page that comes or refreshes itself may take the node away between its being found and its being used.
		for tries := 0; err != nil && strings.Contains(err.Error(), "Could not find node") && tries < 5; tries++ {
			err = chromedp.Do(ctx, step)
		}
		if err != nil {
			t.Fatalf("browser: %v; the page's console: %q", err, b.Faults())
		}
	}
}

// Eval returns what js is, a promise's value once it is there.
func Eval[T any](t testing.TB, b *Browser, js string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, b.options.EvalWithin)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("browser: %s: %v; the page's console: %q", js, err, b.Faults())
	}
	return v
}
