package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"porthole/hw/devperm"
	"porthole/hw/uevent"
	"porthole/packages/internal/unixsock"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this needs root: run the tests as root, as CI does")
	}
}

// fakeEvents are device events that a test makes.
type fakeEvents struct {
	ch     chan uevent.Event
	closed chan struct{}
	once   sync.Once
}

func (f *fakeEvents) Next() (uevent.Event, error) {
	select {
	case ev := <-f.ch:
		return ev, nil
	case <-f.closed:
		return uevent.Event{}, os.ErrClosed
	}
}

func (f *fakeEvents) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// TestHandOver: devices that are there, and one that comes, end up with the group.
func TestHandOver(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	node := func(name string) string {
		t.Helper()
		path := filepath.Join(root, "dev", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		return path
	}
	group := func(path string) int {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return int(st.Sys().(*syscall.Stat_t).Gid)
	}
	card, mem := node("dri/card0"), node("mem")
	events := &fakeEvents{ch: make(chan uevent.Event), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- handOver(ctx, slog.New(slog.DiscardHandler), devperm.Nodes{Root: root}, events, unixsock.GIDVideo)
	}()
	until(t, "the screen is the group's", func() bool { return group(card) == unixsock.GIDVideo })
	cec := node("cec0")
	events.ch <- uevent.Event{Action: "add", DevPath: "/d", Vars: map[string]string{"DEVNAME": "cec0"}}
	until(t, "CEC is the group's", func() bool { return group(cec) == unixsock.GIDVideo })
	if group(mem) != 0 {
		t.Error("memory is the group's too")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestUnlock: the boot partition is writable only in between.
func TestUnlock(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("mount for the test: %v: run it where mounting is allowed", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "porthole.toml")
	write := func() bool { return os.WriteFile(file, nil, 0o600) == nil }
	if write() {
		t.Fatal("writable before")
	}
	lock, err := unlocker(dir)()
	if err != nil {
		t.Fatal(err)
	}
	if !write() {
		t.Error("not writable in between")
	}
	if err := lock(); err != nil {
		t.Fatal(err)
	}
	if write() {
		t.Error("writable afterwards")
	}
	open := t.TempDir() // on a developer's machine
	lock, err = unlocker(open)()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(); err != nil || os.WriteFile(filepath.Join(open, "x"), nil, 0o600) != nil {
		t.Errorf("a folder that was writable is not any more: %v", err)
	}
}
