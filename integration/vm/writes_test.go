package vm_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"porthole/integration/stack"
	"porthole/integration/vm"
)

// writesFor is how long each state of TestLongWrites is watched.
var writesFor = flag.Duration("writes", 3*time.Minute, "how long TestLongWrites watches what is written to the card, idle and busy")

// calm is waited for before each: what begins anew writes, and the kernel keeps it back for up to half a minute.
const calm = 75 * time.Second

// maxIdle and maxBusy bound what a device writes to its card in a day, extrapolated, in bytes: what goes to the disk with the
// journal of /perm. A card of 16 GB stands about 500 times its size (docs/measurements.md).
const (
	maxIdle = 100 << 20
	maxBusy = 500 << 20
)

// TestLongWrites: a device that does nothing writes next to nothing to its card, and one with a camera, a screen that plays a
// playlist and a viewer not much more. Only /perm is written to.
func TestLongWrites(t *testing.T) {
	const handedOver, howLong = "PORTHOLE_TEST_IMAGE", "PORTHOLE_TEST_WRITES"
	var env []string
	if !vm.InLAN() {
		env = append(env, handedOver+"="+theVMImage(t), howLong+"="+writesFor.String())
	}
	if !vm.RunInLAN(t, env...) {
		return
	}
	each, err := time.ParseDuration(os.Getenv(howLong))
	if err != nil {
		t.Fatal(err)
	}
	lan, err := vm.NewLAN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lan.Close)
	s := &showing{camera: "yard", disk: newDisk(t, os.Getenv(handedOver), 8<<30, fmt.Sprintf(
		"[[camera]]\nid = \"yard\"\nurl = %q\nuser = \"cam\"\npassword = \"camera secret\"\n", serveCamera(t, lan.Host.String())))}
	s.m = boot(t, vm.Options{Disk: s.disk, LAN: lan})
	s.u = logIn(t, s.m)
	s.e = &stack.Editor{HTTP: s.u.c, Base: s.u.at}
	waitProcesses(t, s.m)
	s.u.c.CloseIdleConnections()
	writes(t, s.m, "idle", each, maxIdle)
	s.fill(t, oneOfEach...)
	s.watch(t, "every item", 0, s.items...)
	b := startChromium(t)
	defer b.Close()
	b.do(t, chromedp.Navigate(s.u.at+"/login"),
		chromedp.SendKeys(chromedp.CSS(`input[name=user]`), "admin"),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password+"\r"),
		chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)),
		chromedp.Navigate(s.u.at+"/livestream/viewer?camera=yard"))
	eventually(t, "the browser plays the camera", func(context.Context) error { return b.showsDemo(t) })
	writes(t, s.m, "playing and watched", each, maxBusy)
}

// writes watches for a time what is written, and says who does.
func writes(t *testing.T, m *vm.Machine, what string, each time.Duration, limit int64) {
	t.Helper()
	pass(t, calm)
	a := m.Agent()
	before, files := written(t, a)
	began := time.Now()
	pass(t, each)
	after, changed := written(t, a)
	took := time.Since(began)
	aDay := func(n int64) int64 { return int64(float64(n) * (24 * time.Hour).Seconds() / took.Seconds()) }
	t.Logf("%s, %v:", what, took.Round(time.Second))
	for _, p := range slices.Sorted(maps.Keys(after.Partitions)) {
		n := after.Partitions[p] - before.Partitions[p]
		t.Logf("  %-12s %9d bytes, a day %6.1f MB", p, n, float64(aDay(n))/1e6)
		switch {
		case p != "vda4" && n != 0:
			t.Errorf("%s: %d bytes were written to %s", what, n, p)
		case p == "vda4" && aDay(n) > limit:
			t.Errorf("%s: %.1f MB a day go to the card, more than %.1f", what, float64(aDay(n))/1e6, float64(limit)/1e6)
		}
	}
	t.Logf("  %-12s %9d", "flushes", after.Flushes-before.Flushes)
	for _, p := range slices.SortedFunc(maps.Keys(after.Processes), func(a, b string) int {
		return cmp.Or(cmp.Compare(after.Processes[b]-before.Processes[b], after.Processes[a]-before.Processes[a]), strings.Compare(a, b))
	}) {
		n := after.Processes[p] - before.Processes[p]
		t.Logf("  %-12s %9d bytes, a day %6.1f MB", p, n, float64(aDay(n))/1e6)
	}
	for _, path := range slices.Sorted(maps.Keys(changed)) {
		if changed[path] != files[path] {
			t.Logf("  changed: %s (%d bytes, last at %s)", path, changed[path].Size, time.Unix(0, changed[path].Changed).UTC().Format(time.TimeOnly))
		}
	}
}

func written(t *testing.T, a vm.Agent) (vm.Writes, map[string]vm.File) {
	t.Helper()
	var w vm.Writes
	var list []vm.File
	// A guest that plays and is watched has little time for questions.
	eventually(t, "ask what was written", func(ctx context.Context) (err error) {
		if w, err = a.Writes(ctx); err != nil {
			return err
		}
		list, err = a.Files(ctx, "/perm")
		return err
	})
	files := map[string]vm.File{}
	for _, f := range list {
		files[f.Path] = f
	}
	return w, files
}

// pass lets time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal("the test was ended")
	}
}
