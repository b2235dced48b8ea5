package update_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/system/update"
)

// contextWithCancel is not the test's own: inside a bubble that ends too late.
func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(context.Background())
}

// bubble runs a test of the usual times of a trial by a clock of its own.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	r := newRig(t)
	r.healthyFor = 0
	synctest.Test(t, func(inner *testing.T) {
		r.t = inner
		defer func() { r.t = t }()
		f(inner, r)
	})
}

// pass lets time pass: in a bubble, at once.
func pass(d time.Duration) { <-time.After(d) }

// until waits for something.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// keep has a version on trial be kept at the second look.
func (r *rig) keep(e *update.Engine) *update.Engine {
	r.t.Helper()
	for range 2 {
		if e.Look(r.t.Context()) {
			return e
		}
	}
	r.t.Fatalf("it was not kept: %+v", e.Status())
	return nil
}

// tinyStorage mounts a small storage at a folder, with what update needs. fill takes all of its room, and returns what gives it
// back.
func tinyStorage(t *testing.T, dir string) (fill func() (free func())) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(dir, "update"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() func() {
		path := filepath.Join(dir, "filler")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 4096)); err != nil {
				if !errors.Is(err, unix.ENOSPC) {
					t.Fatal(err)
				}
				return func() {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

// newCard returns an empty folder for a device.
func newCard(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(cards, "card")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// copyOf copies a device, so that it need not be made anew for each test.
func (r *rig) copyOf(t *testing.T) *rig {
	t.Helper()
	c := &rig{t: t, dir: newCard(t), key: r.key, slot: r.slot, healthyFor: r.healthyFor, deadline: r.deadline, updates: r.updates}
	if err := os.CopyFS(c.dir, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	c.healthy()
	return c
}
